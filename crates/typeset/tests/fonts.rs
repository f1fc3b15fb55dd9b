//! The collection: what ships, what a folder adds, what is skipped and why.

use std::fs;

use typeset::{Fonts, Generic, Origin, Scripts, Slant, Sources, Wanted};

fn wanted(family: &str, weight: u16) -> Wanted<'_> {
    Wanted { family, weight, slant: Slant::Upright, width: 100 }
}

#[test]
fn what_ships_writes_korean_and_latin() {
    let fonts = Fonts::load(&Sources::default());
    assert_eq!(fonts.skipped(), []);
    let families: Vec<(&str, u16)> = fonts.faces().iter().map(|face| (face.family(), face.weight())).collect();
    assert_eq!(
        families,
        [
            ("Black Han Sans", 400),
            ("Do Hyeon", 400),
            ("Jua", 400),
            ("Noto Emoji", 700),
            ("Noto Sans Arabic", 400),
            ("Noto Sans Arabic", 700),
            ("Noto Sans Hebrew", 400),
            ("Noto Sans Hebrew", 700),
            ("Noto Sans KR", 300),
            ("Noto Sans KR", 400),
            ("Noto Sans KR", 500),
            ("Noto Sans KR", 700),
            ("Noto Sans KR", 900),
            ("Noto Serif KR", 400),
            ("Noto Serif KR", 700),
        ]
    );
    for face in fonts.faces().iter().filter(|face| face.scripts().hangul) {
        assert!(face.scripts().latin, "{face:?}");
        assert!(face.has_all("0123456789 $%&@ ㄱㅎㅏㅣ 가힘 , . ! ?"), "{face:?}");
    }
    // Every syllable that Korean can write has a face.
    let sans = fonts.find(&wanted("Noto Sans KR", 400)).unwrap();
    assert!(('가'..='힣').all(|syllable| sans.has(syllable)));
    assert!(sans.has_all("展覽會 大韓民國 コーヒー ΑΩαω Москва → ①"));
    let scripts: Vec<_> = fonts.faces().iter().map(|face| face.scripts()).collect();
    assert_eq!(scripts.iter().filter(|scripts| scripts.hangul).count(), 10);
    for has in [|one: &Scripts| one.hebrew, |one: &Scripts| one.arabic, |one: &Scripts| one.emoji] {
        assert!(scripts.iter().any(has));
    }
}

#[test]
fn what_ships_is_small_and_every_file_is_free() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fonts");
    let sources = fs::read_to_string(format!("{folder}/SOURCES.tsv")).unwrap();
    let mut bytes = 0;
    let mut files = 0;
    for row in sources.lines().skip(1) {
        let fields: Vec<&str> = row.split('\t').collect();
        let licence = fields[1].trim_start_matches("@expo-google-fonts/");
        let licence = fs::read_to_string(format!("{folder}/licences/{licence}.txt")).unwrap();
        assert!(licence.contains("SIL OPEN FONT LICENSE Version 1.1"), "{row}");
        let file = fs::read(format!("{folder}/{}", fields[0])).unwrap();
        assert_eq!(Fonts::shipped_file(fields[0]), Some(file.as_slice()), "{row}");
        bytes += file.len();
        files += 1;
    }
    assert_eq!(files, 15);
    assert!(bytes <= 6_000_000, "{bytes}");
}

#[test]
fn families_answer_to_their_names_and_weights() {
    let fonts = Fonts::load(&Sources::default());
    let find = |family, weight| fonts.find(&wanted(family, weight)).map(|face| (face.family(), face.weight()));
    assert_eq!(find("noto sans kr", 400), Some(("Noto Sans KR", 400)));
    assert_eq!(find("NotoSansKR-Black", 400), Some(("Noto Sans KR", 900)));
    assert_eq!(find("Noto Sans KR", 600), Some(("Noto Sans KR", 700)));
    assert_eq!(find("Noto Sans KR", 450), Some(("Noto Sans KR", 500)));
    assert_eq!(find("Noto Sans KR", 100), Some(("Noto Sans KR", 300)));
    assert_eq!(find("serif", 800), Some(("Noto Serif KR", 700)));
    assert_eq!(find("sans-serif", 1000), Some(("Noto Sans KR", 900)));
    assert_eq!(find("no such family", 400), None);
    assert_eq!(Generic::Round.family(), "Jua");
}

#[test]
fn folders_are_searched_and_bad_files_named() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a/b");
    fs::create_dir_all(&inner).unwrap();
    let good = Fonts::shipped_file("Jua-400Regular.woff").unwrap();
    fs::write(inner.join("jua.woff"), good).unwrap();
    fs::write(folder.path().join("empty.ttf"), []).unwrap();
    fs::write(folder.path().join("text.otf"), "not a font").unwrap();
    fs::write(folder.path().join("cut.woff"), &good[..good.len() / 2]).unwrap();
    fs::write(folder.path().join("later.woff2"), "wOF2").unwrap();
    fs::write(folder.path().join("notes.txt"), "no font by its name").unwrap();
    let sources =
        Sources { shipped: true, folders: vec![folder.path().to_owned(), "/no/such/folder".into()], system: false };
    let fonts = Fonts::load(&sources);
    let jua = fonts.find(&wanted("Jua", 400)).unwrap();
    assert!(matches!(jua.origin(), Origin::Folder(path) if path.ends_with("a/b/jua.woff")), "a folder comes first");
    let reasons: Vec<(String, &str)> = fonts
        .skipped()
        .iter()
        .map(|skipped| {
            let name = match &skipped.origin {
                Origin::Folder(path) | Origin::System(path) => path.file_name().unwrap().to_string_lossy().into_owned(),
                Origin::Shipped(name) => name.clone(),
            };
            (name, skipped.reason.as_str())
        })
        .collect();
    let reason = |name: &str| reasons.iter().find(|(known, _)| known == name).map(|(_, reason)| *reason);
    assert_eq!(reason("empty.ttf"), Some("it is not a TrueType, OpenType or WOFF font"));
    assert_eq!(reason("text.otf"), Some("it is not a TrueType, OpenType or WOFF font"));
    assert_eq!(reason("cut.woff"), Some("the WOFF file ends too early"));
    assert_eq!(reason("later.woff2"), Some("WOFF2 is not read; convert it to TTF, OTF or WOFF"));
    assert_eq!(reason("Jua-400Regular.woff"), Some("Jua-Regular comes from another file too"));
    assert!(reason("folder").is_some_and(|reason| reason.contains("No such file")), "{reasons:?}");
    assert_eq!(reasons.len(), 6, "{reasons:?}");
}

#[test]
fn the_order_depends_on_the_files_only() {
    let list = || {
        let fonts = Fonts::load(&Sources { system: true, ..Sources::default() });
        let faces = fonts.faces().iter().map(|face| (face.id(), face.postscript().to_owned(), face.origin().clone()));
        faces.collect::<Vec<_>>()
    };
    assert_eq!(list(), list());
}

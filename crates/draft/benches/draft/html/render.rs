//! Posters and their truths as pictures: rendered once, and again when their sources change.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::browser::Browser;
use super::truth::{Description, NOTE};

/// Raised when what is rendered changes without a change of the posters' files.
const VERSION: u32 = 2;

/// Font families that posters use, with the Debian package of each (of DejaVu's italics: they come with Condensed).
const FONTS: [(&str, &str); 24] = [
    ("DejaVu Sans", "fonts-dejavu-core"),
    ("DejaVu Serif", "fonts-dejavu-core"),
    ("DejaVu Serif Condensed", "fonts-dejavu-extra"),
    ("Liberation Mono", "fonts-liberation"),
    ("Liberation Sans", "fonts-liberation"),
    ("Liberation Sans Narrow", "fonts-liberation"),
    ("Liberation Serif", "fonts-liberation"),
    ("Nanum Brush Script", "fonts-nanum-extra"),
    ("Nanum Pen Script", "fonts-nanum-extra"),
    ("NanumSquare", "fonts-nanum-extra"),
    ("NanumSquareRound", "fonts-nanum-extra"),
    ("NanumBarunGothic", "fonts-nanum"),
    ("NanumGothic", "fonts-nanum"),
    ("NanumMyeongjo", "fonts-nanum"),
    ("Noto Sans CJK KR", "fonts-noto-cjk"),
    ("Noto Sans CJK SC", "fonts-noto-cjk"),
    ("Noto Serif CJK KR", "fonts-noto-cjk"),
    ("Noto Serif CJK SC", "fonts-noto-cjk"),
    ("BM DoHyeon", "fonts-woowa-bm"),
    ("BM EULJIRO TTF", "fonts-woowa-bm"),
    ("BM HANNA 11yrs old", "fonts-woowa-bm"),
    ("BM HANNA Pro", "fonts-woowa-bm"),
    ("BM JUA_TTF", "fonts-woowa-bm"),
    ("BM YEONSUNG", "fonts-woowa-bm"),
];

/// The folder of the posters' sources.
pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/draft/html/posters")
}

/// Names of all posters, sorted.
pub(crate) fn names() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(sources())? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "html") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Renders those of the posters that `folder` has not, or has from other sources.
///
/// # Errors
/// When the browser or a font is missing, or a poster is at fault (words without a mark).
pub(crate) fn render(names: &[String], folder: &Path) -> anyhow::Result<()> {
    let shared = shared_hash()?;
    let mut stale = Vec::new();
    for name in names {
        let page = sources().join(format!("{name}.html"));
        let mut hasher = DefaultHasher::new();
        (VERSION, shared, std::fs::read(&page)?).hash(&mut hasher);
        let key = format!("{:016x}", hasher.finish());
        let note = std::fs::read(folder.join(name).join(NOTE)).ok();
        let known = note.and_then(|bytes| serde_json::from_slice::<Description>(&bytes).ok());
        if known.is_none_or(|known| known.key != key) {
            stale.push((name, page, key));
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    check_fonts()?;
    let browser = Browser::start()?;
    for (name, page, key) in stale {
        eprintln!("rendering {name}");
        render_one(&browser, &page, key, &folder.join(name)).with_context(|| name.clone())?;
    }
    Ok(())
}

fn render_one(browser: &Browser, page: &Path, key: String, folder: &Path) -> anyhow::Result<()> {
    browser.open(page)?;
    let described = browser.run("return document.fonts.ready.then(() => describe())")?;
    let mut description: Description = serde_json::from_value(described)?;
    browser.resize(description.width, description.height)?;
    // A new size can break lines anew.
    let described = browser.run("return describe()")?;
    description = serde_json::from_value(described)?;
    description.key = key;
    std::fs::create_dir_all(folder)?;
    let _ = std::fs::remove_file(folder.join(NOTE));
    let parts = [("poster", ""), ("without-text", "without-text"), ("bare", "bare")]
        .map(|(name, part)| (name.to_owned(), format!("'{part}'")));
    let things = (0..description.things.len()).map(|k| (format!("thing-{k}"), format!("'solo', {k}")));
    for (name, part) in parts.into_iter().chain(things) {
        browser.run(&format!("show({part})"))?;
        let picture = browser.picture()?;
        let size = (description.width, description.height);
        ensure!(picture.dimensions() == size, "rendered at {:?} instead of {size:?}", picture.dimensions());
        picture.save(folder.join(format!("{name}.png")))?;
    }
    // Last: a folder that has it is complete.
    Ok(std::fs::write(folder.join(NOTE), serde_json::to_vec_pretty(&description)?)?)
}

/// Of all files that are no poster: scripts, styles, photographs.
fn shared_hash() -> anyhow::Result<u64> {
    let mut files = BTreeMap::new();
    for folder in [sources(), sources().join("photos")] {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if ["css", "js", "jpg", "webp"].iter().any(|end| path.extension().is_some_and(|found| found == *end)) {
                files.insert(path.clone(), std::fs::read(&path)?);
            }
        }
    }
    let mut hasher = DefaultHasher::new();
    files.into_values().collect::<Vec<_>>().hash(&mut hasher);
    Ok(hasher.finish())
}

/// Another font in a missing one's place would make another benchmark.
fn check_fonts() -> anyhow::Result<()> {
    let output = Command::new("fc-list").args([":", "family"]).output().context("fc-list (Debian: fontconfig)")?;
    let list = String::from_utf8_lossy(&output.stdout);
    let known: Vec<&str> = list.lines().flat_map(|line| line.split(',')).map(str::trim).collect();
    let missing: Vec<_> = FONTS.iter().filter(|(family, _)| !known.contains(family)).collect();
    let families: Vec<&str> = missing.iter().map(|(family, _)| *family).collect();
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    ensure!(
        missing.is_empty(),
        "fonts are missing: {}; install them with\n  apt-get install --no-install-recommends {}",
        families.join(", "),
        packages.join(" ")
    );
    Ok(())
}

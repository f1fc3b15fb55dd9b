//! Posters decomposed by the program, exported in every format, and opened by other programs.
//!
//! `UNFLATTEN_POSTERS` may name a folder of more pictures.

#[path = "../../layers/tests/readers/support.rs"]
mod readers;
mod support;

use std::path::{Path, PathBuf};

use image::RgbaImage;
use jobs::{LayerInfo, Metadata};
use layers::{Format, Limits};
use serde_json::{Value, json};
use support::{run, stderr};
use typeset::Fill;

/// What programs should find for a layer.
fn node(layer: &LayerInfo) -> Value {
    let area = layer.bounding_box.map_or([0, 0, 1, 1], |b| [b.x, b.y, b.x + b.width, b.y + b.height]);
    let text = layer.text.clone().unwrap_or_default();
    json!({ "name": layer.name, "visible": true, "opacity": 1.0, "box": area, "text": text, "empty": layer.bounding_box.is_none() })
}

/// Decomposes a picture, exports it in every format and compares what other programs read with the picture.
fn check(picture: &Path) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let picture = picture.to_str().expect("posters have plain names");
    let made = run(folder.path(), &["decompose", picture, "-n", "auto", "-o", "layers"]);
    assert!(made.status.success(), "{picture}: {}", stderr(&made));
    for format in Format::ALL {
        let file = format!("document.{}", format.extension());
        let exported =
            run(folder.path(), &["export", "layers", "--trim", "--text", "pixels", "--shapes", "pixels", "-o", &file]);
        assert!(exported.status.success(), "{picture}: {}", stderr(&exported));
    }
    let text = std::fs::read(folder.path().join("layers/metadata.json")).expect("the result has metadata");
    let metadata: Metadata = serde_json::from_slice(&text).expect("metadata.json can be read");
    let nodes: Value = metadata
        .layers
        .chunk_by(|one, next| one.group == next.group)
        .flat_map(|run| match (run[0].group, run.iter().map(node).collect::<Vec<_>>()) {
            (Some(group), nodes) if nodes.len() > 1 => {
                vec![json!({ "name": group.name(), "visible": true, "opacity": 1.0, "nodes": nodes })]
            }
            (_, nodes) => nodes,
        })
        .collect();
    let file = std::io::BufReader::new(std::fs::File::open(picture).expect("the poster is there"));
    let input = layers::decode(file, &Limits::default()).expect("the poster is a picture").pixels;
    println!("{picture}: {} layers", metadata.layers.len());
    readers::write_expected(folder.path(), &input, &nodes);
    readers::check(folder.path());
    check_shapes(folder.path(), &input);
    check_words(folder.path(), &metadata);
}

/// How far a channel may be off inside of a shape: the export's 4 and the rendering's 2.
const SHAPE_MOST: u8 = 6;

/// Exports the same result with its flat layers as shapes, and lets LibreOffice draw it.
fn check_shapes(folder: &Path, input: &RgbaImage) {
    let exported = run(folder, &["export", "layers", "--text", "pixels", "-o", "document.pptx"]);
    assert!(exported.status.success(), "{}", stderr(&exported));
    if let Some(slide) = readers::rendered(folder, input.dimensions()) {
        readers::assert_looks_like(&slide, input, SHAPE_MOST);
    }
}

/// Exports the same result with its words as text, and lets other programs read them.
fn check_words(folder: &Path, metadata: &Metadata) {
    for format in [Format::Psd, Format::Pptx, Format::Svg, Format::Zip] {
        let file = format!("document.{}", format.extension());
        let exported = run(folder, &["export", "layers", "-o", &file]);
        assert!(exported.status.success(), "{}", stderr(&exported));
    }
    let words = |layer: &LayerInfo| {
        let live = layer.live_text.as_ref()?;
        let [text] = &live.stand_in(&jobs::TextEdits::new())[..] else { return None };
        // Not every reader has gradients.
        let mut runs = text.lines.iter().flat_map(|line| &line.runs);
        runs.all(|run| matches!(run.style.fill, Fill::Colour(_))).then_some(())?;
        let names = live.blocks[0].lines.iter().map(|line| {
            let postscript = line.font.postscript.as_deref().unwrap_or(&line.font.family);
            [[postscript, &line.font.family]]
        });
        Some(json!({ "name": layer.name, "text": text, "runs": names.collect::<Vec<_>>() }))
    };
    let layers: Vec<Value> = metadata.layers.iter().filter_map(words).collect();
    println!("{} layers with live text", layers.len());
    assert!(!layers.is_empty(), "posters have words");
    let expected = json!({ "layers": layers, "both": true });
    std::fs::write(folder.join("words.json"), expected.to_string()).expect("the folder is there");
    readers::run_readers(folder, "words");
}

#[test]
fn exports_of_posters_open_elsewhere_as_the_poster() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images/poster.png"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    // One with Korean and one with Chinese words.
    for seed in [4, 11] {
        let path = folder.path().join(format!("포스터 {seed}.png"));
        synth::poster(seed, 600, 800).picture.save(&path).expect("the folder is there");
        check(&path);
    }
    if let Some(more) = std::env::var_os("UNFLATTEN_POSTERS") {
        let entries = std::fs::read_dir(more).expect("UNFLATTEN_POSTERS names a folder");
        let mut pictures: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder entry").path()).collect();
        pictures.retain(|path| path.extension().is_some_and(|ending| ending == "png" || ending == "jpg"));
        pictures.sort();
        pictures.iter().for_each(|path| check(path));
    }
}

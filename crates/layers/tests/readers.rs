//! Exports of documents with everything in them, opened by programs that are not ours.

#[path = "readers/support.rs"]
mod support;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;

use image::{Rgba, RgbaImage};
use layers::{
    Blend, Document, DocumentGroup, ExportOptions, Format, Kind, Layer, LayerStack, Node, PixelSource, bounding_box,
    export,
};
use serde_json::{Value, json};

const NAMES: [&str; 4] = ["배경", "Kreis & \"Quadrat\" <1>", "標題 🎈", "leer"];
const GROUP: &str = "그룹";

/// Ground, a half-transparent disc, a block, an empty layer.
fn stack() -> LayerStack {
    let (width, height) = (200, 150);
    let ground = RgbaImage::from_fn(width, height, |x, y| Rgba([x as u8, y as u8, 90, 255]));
    let disc = RgbaImage::from_fn(width, height, |x, y| {
        let distance = (f64::from(x) - 60.0).hypot(f64::from(y) - 70.0);
        let alpha = ((44.0 - distance) * 40.0).clamp(0.0, 180.0) as u8;
        if alpha == 0 { Rgba([0; 4]) } else { Rgba([250, 30, 60, alpha]) }
    });
    let block = RgbaImage::from_fn(width, height, |x, y| {
        if (90..160).contains(&x) && (30..144).contains(&y) { Rgba([10, 200, 30, 255]) } else { Rgba([0; 4]) }
    });
    let pictures = [ground, disc, block, RgbaImage::new(width, height)];
    let layers = pictures.into_iter().zip(NAMES).map(|(pixels, name)| Layer {
        text: (name == NAMES[2]).then(|| "두 줄\n& mehr".into()),
        ..Layer::new(name, if name == NAMES[2] { Kind::Text } else { Kind::Unknown }, pixels)
    });
    LayerStack::new(width, height, layers.collect()).expect("all layers have one size")
}

/// The upper three layers in a half-transparent group, one moved and one hidden; around it another group.
fn grouped() -> Document {
    let mut document = Document::from_stack("Plakat", &stack());
    let mut children = document.nodes.split_off(1);
    if let Node::Layer(disc) = &mut children[0] {
        (disc.x, disc.y, disc.opacity) = (-30, 20, 0.8);
    }
    if let Node::Layer(block) = &mut children[1] {
        block.visible = false;
    }
    let inner = DocumentGroup { name: GROUP.into(), visible: true, opacity: 0.5, blend: Blend::Normal, children };
    let outer = DocumentGroup {
        name: "außen".into(),
        visible: true,
        opacity: 1.0,
        blend: Blend::Normal,
        children: vec![Node::Group(inner)],
    };
    document.nodes.push(Node::Group(outer));
    document
}

/// What a reader has to find, in the words of `check.py`.
fn expected(nodes: &[Node], source: &dyn PixelSource) -> Value {
    let node = |node: &Node| match node {
        Node::Group(group) => json!({
            "name": group.name, "visible": group.visible, "opacity": group.opacity,
            "nodes": expected(&group.children, source),
        }),
        Node::Layer(layer) => {
            let pixels = source.load(layer.source).expect("the stack is in memory");
            let [left, top, right, bottom] = match bounding_box(&pixels) {
                Some(found) => [found.x, found.y, found.x + found.width, found.y + found.height],
                // An empty layer is written as one transparent pixel.
                None => [0, 0, 1, 1],
            }
            .map(i64::from);
            let (x, y) = (i64::from(layer.x), i64::from(layer.y));
            json!({
                "name": layer.name, "visible": layer.visible, "opacity": layer.opacity,
                "box": [left + x, top + y, right + x, bottom + y],
                "text": layer.text.clone().unwrap_or_default(),
                "empty": bounding_box(&pixels).is_none(),
            })
        }
    };
    nodes.iter().map(node).collect()
}

fn check(document: &Document, source: &LayerStack) {
    let folder = exported(document, source);
    support::check(folder.path());
}

/// A folder with the exports of a document and what readers have to find in them.
fn exported(document: &Document, source: &LayerStack) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |format: Format| folder.path().join(Path::new("document").with_extension(format.extension()));
    let options = ExportOptions { trim: true, ..ExportOptions::default() };
    for format in Format::ALL {
        let file = BufWriter::new(File::create(path(format)).expect("the folder is new"));
        export(document, source, format, &options, file).expect("the document is small");
    }
    let composite = document.compose(source).expect("the stack is in memory");
    support::write_expected(folder.path(), &composite, &expected(&document.nodes, source));
    folder
}

#[test]
fn other_programs_read_a_stack() {
    let stack = stack();
    check(&Document::from_stack("Plakat", &stack), &stack);
}

#[test]
fn other_programs_read_groups_and_what_was_edited() {
    check(&grouped(), &stack());
}

/// The discs of [`stack`] without their ground: much of the canvas is transparent, and some is half so.
fn translucent() -> LayerStack {
    let layers = stack().into_layers().into_iter().skip(1);
    LayerStack::new(200, 150, layers.collect()).expect("all layers have one size")
}

#[test]
fn other_programs_read_a_picture_with_alpha() {
    let stack = translucent();
    let folder = exported(&Document::from_stack("Plakat", &stack), &stack);
    // LibreOffice draws on white.
    support::run_readers(folder.path(), "check");
}

#[test]
fn imagemagick_reads_the_transparency_and_the_profile_of_a_psd() {
    if Command::new("convert").arg("-version").output().is_err() {
        return support::skip("ImageMagick is not there", "install it");
    }
    let stack = translucent();
    let document = Document::from_stack("Plakat", &stack);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("document.psd");
    let file = BufWriter::new(File::create(&path).expect("the folder is new"));
    export(&document, &stack, Format::Psd, &ExportOptions::default(), file).expect("the document is small");
    let merged = format!("{}[0]", path.display());
    let output = Command::new("convert").args([&merged, "-depth", "8", "rgba:-"]).output().expect("it was there");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
    let found = RgbaImage::from_raw(200, 150, output.stdout).expect("the size of the picture");
    let composite = document.compose(&stack).expect("the stack is in memory");
    let difference = layers::Difference::between(&found, &composite).expect("the same size");
    assert!(difference.max <= 2, "{difference:?}");
    // Through LittleCMS, which reads the profile.
    let srgb = Command::new("convert").args([&merged, "icc:-"]).output().expect("it was there");
    assert!(srgb.status.success(), "{}", String::from_utf8_lossy(&srgb.stderr));
    let profile = folder.path().join("srgb.icc");
    std::fs::write(&profile, &srgb.stdout).expect("the folder is there");
    let output = Command::new("convert")
        .arg(&merged)
        .arg("-profile")
        .arg(&profile)
        .args(["-depth", "8", "rgba:-"])
        .output()
        .expect("it was there");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn a_large_picture_in_an_svg_is_read_by_libxml2_and_has_no_seams() {
    let mut state = 1_u32;
    let mut noise = RgbaImage::new(2000, 1500);
    for pixel in noise.pixels_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *pixel = Rgba([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8, 255]);
    }
    let stack =
        LayerStack::new(2000, 1500, vec![Layer::new("Rauschen", Kind::Unknown, noise.clone())]).expect("one size");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("document.svg");
    let file = BufWriter::new(File::create(&path).expect("the folder is new"));
    let document = Document::from_stack("Plakat", &stack);
    export(&document, &stack, Format::Svg, &ExportOptions::default(), file).expect("the document is small");
    match support::python() {
        // python-pptx brings lxml, which is libxml2 with its limits.
        Some(python) => {
            let script = "import sys; from lxml import etree; etree.parse(sys.argv[1])";
            let output = Command::new(python).args(["-c", script]).arg(&path).output().expect("it was there");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        None => support::skip("lxml is not there", "run `cargo xtask test`"),
    }
    let drawn = folder.path().join("drawn.png");
    let inkscape = Command::new("inkscape").arg("--export-filename").arg(&drawn).arg(&path).output();
    if inkscape.is_err() {
        eprintln!("SKIPPED: Inkscape is not there");
        return;
    }
    let drawn = File::open(&drawn).expect("Inkscape has drawn the file");
    let picture = layers::decode(std::io::BufReader::new(drawn), &layers::Limits::default()).expect("a picture").pixels;
    assert!(picture == noise, "{:?}", layers::Difference::between(&picture, &noise));
}

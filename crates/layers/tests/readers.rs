//! Exports of documents with everything in them, opened by programs that are not ours.

#[path = "readers/support.rs"]
mod support;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use image::{Rgba, RgbaImage};
use layers::{
    Document, DocumentGroup, ExportOptions, Format, Kind, Layer, LayerStack, Node, PixelSource, bounding_box, export,
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
    let inner = DocumentGroup { name: GROUP.into(), visible: true, opacity: 0.5, children };
    let outer =
        DocumentGroup { name: "außen".into(), visible: true, opacity: 1.0, children: vec![Node::Group(inner)] };
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
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |format: Format| folder.path().join(Path::new("document").with_extension(format.extension()));
    let options = ExportOptions { trim: true, ..ExportOptions::default() };
    for format in Format::ALL {
        let file = BufWriter::new(File::create(path(format)).expect("the folder is new"));
        export(document, source, format, &options, file).expect("the document is small");
    }
    let composite = document.compose(source).expect("the stack is in memory");
    support::write_expected(folder.path(), &composite, &expected(&document.nodes, source));
    support::check(folder.path());
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

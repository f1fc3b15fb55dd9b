//! Everything that a document can say, against a compositor that is slow and obvious; and every written file is read.

use std::cell::RefCell;
use std::io::{Cursor, Read};

use image::{Rgba, RgbaImage};
use proptest::prelude::*;
use zip::ZipArchive;

use crate::document::{Document, DocumentGroup, DocumentLayer, Node, PixelSource, SourceError};
use crate::{Blend, Difference, ExportOptions, Format, Kind, Limits, decode, export};

/// Pictures by number, and how often each was asked for.
struct Pictures {
    pictures: Vec<RgbaImage>,
    loads: RefCell<Vec<usize>>,
}

impl Pictures {
    fn new(pictures: Vec<RgbaImage>) -> Self {
        let loads = RefCell::new(vec![0; pictures.len()]);
        Self { pictures, loads }
    }
}

impl PixelSource for Pictures {
    fn load(&self, source: usize) -> Result<RgbaImage, SourceError> {
        self.loads.borrow_mut()[source] += 1;
        Ok(self.pictures[source].clone())
    }
}

/// Porter and Duff's `over`, one pixel at a time in double precision, premultiplied.
fn reference(nodes: &[Node], pictures: &[RgbaImage], (x, y): (i64, i64)) -> [f64; 4] {
    let clean = |opacity: f32| if opacity.is_nan() { 1.0 } else { f64::from(opacity).clamp(0.0, 1.0) };
    let mut sum = [0.0; 4];
    for node in nodes {
        let (top, opacity) = match node {
            Node::Layer(layer) if layer.visible => {
                let picture = &pictures[layer.source];
                let (column, row) = (x - i64::from(layer.x), y - i64::from(layer.y));
                let inside = |at: i64, length: u32| u32::try_from(at).ok().filter(|at| *at < length);
                let pixel = match (inside(column, picture.width()), inside(row, picture.height())) {
                    (Some(column), Some(row)) => picture.get_pixel(column, row).0.map(f64::from),
                    _ => continue,
                };
                let alpha = pixel[3] / 255.0;
                ([pixel[0] / 255.0 * alpha, pixel[1] / 255.0 * alpha, pixel[2] / 255.0 * alpha, alpha], layer.opacity)
            }
            Node::Group(group) if group.visible => (reference(&group.children, pictures, (x, y)), group.opacity),
            _ => continue,
        };
        let top = top.map(|value| value * clean(opacity));
        sum = std::array::from_fn(|channel| top[channel] + sum[channel] * (1.0 - top[3]));
    }
    sum
}

fn reference_picture(document: &Document, pictures: &[RgbaImage]) -> RgbaImage {
    RgbaImage::from_fn(document.width, document.height, |x, y| {
        let sum = reference(&document.nodes, pictures, (x.into(), y.into()));
        let straight = |value: f64| if sum[3] > 0.0 { (value / sum[3] * 255.0).round() as u8 } else { 0 };
        Rgba([straight(sum[0]), straight(sum[1]), straight(sum[2]), (sum[3] * 255.0).round() as u8])
    })
}

fn offset() -> impl Strategy<Value = i32> {
    prop_oneof![
        6 => -20..20,
        1 => any::<i32>(),
        1 => prop::sample::select(vec![i32::MIN, i32::MIN + 1, i32::MAX, i32::MAX - 1, i32::MAX - 40, 30_000, -30_000]),
    ]
}

fn opacity() -> impl Strategy<Value = f32> {
    let odd = vec![0.0, -0.0, 1.0, -3.0, 7.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, 1e-40];
    prop_oneof![4 => 0.0_f32..1.0, 3 => Just(1.0), 2 => prop::sample::select(odd)]
}

fn picture() -> impl Strategy<Value = RgbaImage> {
    let size = prop_oneof![5 => (1_u32..20, 1_u32..20), 1 => Just((0, 0)), 1 => Just((200, 1)), 1 => Just((1, 90))];
    (size, any::<[[u8; 4]; 5]>(), 0..3).prop_map(|((width, height), colours, kind)| {
        RgbaImage::from_fn(width, height, |x, y| {
            let colour = colours[((x * 3 + y * 7) % 5) as usize];
            match kind {
                0 => Rgba(colour),
                1 => Rgba([colour[0], colour[1], colour[2], 255]),
                // Empty, or nearly so.
                _ => Rgba([colour[0], colour[1], colour[2], u8::from(x == 0 && colour[3] > 250)]),
            }
        })
    })
}

const PICTURES: usize = 4;

fn node() -> impl Strategy<Value = Node> {
    let name = prop_oneof![Just("층".to_owned()), Just("\u{1F600}".repeat(255)), ".{0,12}"];
    let layer = (name, any::<bool>(), opacity(), offset(), offset(), 0..PICTURES).prop_map(
        |(name, hidden, opacity, x, y, source)| {
            let visible = !hidden || x % 2 == 0;
            Node::Layer(DocumentLayer {
                name,
                kind: Kind::Unknown,
                text: None,
                visible,
                opacity,
                blend: Blend::Normal,
                x,
                y,
                turn: 0.0,
                effects: crate::Effects::default(),
                source,
                live_text: Vec::new(),
            })
        },
    );
    layer.prop_recursive(4, 14, 4, |inner| {
        (prop::collection::vec(inner, 0..4), opacity(), prop::bool::weighted(0.9)).prop_map(
            |(children, opacity, visible)| {
                Node::Group(DocumentGroup { name: "그룹".into(), visible, opacity, blend: Blend::Normal, children })
            },
        )
    })
}

fn case() -> impl Strategy<Value = (Document, Vec<RgbaImage>)> {
    let size = prop_oneof![4 => (1_u32..16, 1_u32..16), 1 => Just((300, 1)), 1 => Just((1, 300))];
    (size, prop::collection::vec(node(), 0..6), prop::collection::vec(picture(), PICTURES)).prop_map(
        |((width, height), nodes, pictures)| {
            (Document { title: "\u{0}<&>제목".into(), width, height, density: None, nodes }, pictures)
        },
    )
}

fn written(document: &Document, source: &Pictures, format: Format, trim: bool) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let options = ExportOptions { trim, ..ExportOptions::default() };
    export(document, source, format, &options, &mut out).unwrap_or_else(|error| panic!("{format:?}: {error}"));
    out.into_inner()
}

fn read_picture(bytes: &[u8]) -> RgbaImage {
    decode(Cursor::new(bytes), &Limits::default()).unwrap().pixels
}

/// Unpacks an archive; its XML is well-formed, its JSON and pictures are read.
fn check_archive(bytes: Vec<u8>) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        entries.push((file.name().unwrap().into_owned(), content));
    }
    for (name, content) in &entries {
        match name.rsplit('.').next() {
            Some("xml" | "rels") => _ = roxmltree::Document::parse(std::str::from_utf8(content).unwrap()).unwrap(),
            Some("json") => _ = serde_json::from_slice::<serde_json::Value>(content).unwrap(),
            Some("png" | "jpg" | "jpeg") => _ = read_picture(content),
            _ => {}
        }
    }
    entries
}

fn check_zip(document: &Document, source: &Pictures, expected: &RgbaImage, trim: bool) {
    let entries = check_archive(written(document, source, Format::Zip, trim));
    let find = |name: &str| &entries.iter().find(|entry| entry.0 == name).unwrap().1;
    let manifest: serde_json::Value = serde_json::from_slice(find("manifest.json")).unwrap();
    let tree: Vec<Node> = serde_json::from_value(manifest["tree"].clone()).unwrap();
    // The full pictures at their places give the composite again.
    let count = manifest["layers"].as_array().unwrap().len();
    let full = (0..count).map(|index| read_picture(find(&format!("layer_{index}.png")))).collect::<Vec<_>>();
    let mut placed = Document { nodes: tree, ..document.clone() };
    let mut next = 0;
    at_origin(&mut placed.nodes, &mut next);
    assert_eq!(
        (next, trim),
        (count, entries.iter().any(|entry| entry.0.starts_with("trimmed/")) || (trim && count == 0))
    );
    assert_close(&reference_picture(&placed, &full), expected, "zip");
}

fn at_origin(nodes: &mut [Node], next: &mut usize) {
    for node in nodes {
        match node {
            Node::Layer(layer) => {
                (layer.x, layer.y, layer.source) = (0, 0, *next);
                *next += 1;
            }
            Node::Group(group) => at_origin(&mut group.children, next),
        }
    }
}

fn check_svg(document: &Document, source: &Pictures) {
    let text = String::from_utf8(written(document, source, Format::Svg, false)).unwrap();
    let xml = roxmltree::Document::parse(&text).unwrap();
    let images = xml.descendants().filter(|node| node.has_tag_name("image"));
    for image in images.clone() {
        let number = |name| image.attribute(name).unwrap().parse::<i64>().unwrap();
        assert!(number("x") + number("width") <= i64::from(i32::MAX));
        assert!(number("y") + number("height") <= i64::from(i32::MAX));
    }
    assert_eq!(images.count(), document.layers().len());
    for opacity in xml.descendants().filter_map(|node| node.attribute("opacity")) {
        assert!((0.0..=1.0).contains(&opacity.parse::<f64>().unwrap()));
    }
}

fn check_pptx(document: &Document, source: &Pictures) {
    let entries = check_archive(written(document, source, Format::Pptx, false));
    let slide = &entries.iter().find(|entry| entry.0 == "ppt/slides/slide1.xml").unwrap().1;
    let xml = roxmltree::Document::parse(std::str::from_utf8(slide).unwrap()).unwrap();
    for picture in xml.descendants().filter(|node| node.tag_name().name() == "pic") {
        let find = |name, attribute| {
            let node = picture.descendants().find(|node| node.tag_name().name() == name).unwrap();
            node.attribute(attribute).unwrap().parse::<i64>().unwrap()
        };
        for (corner, size) in [("x", "cx"), ("y", "cy")] {
            let (corner, size) = (find("off", corner), find("ext", size));
            assert!(corner.abs() <= 27_273_042_316_900 && (1..=2 * 27_273_042_316_900).contains(&size));
        }
    }
    for node in xml.descendants().filter(|node| node.tag_name().name() == "alphaModFix") {
        assert!((0..=100_000).contains(&node.attribute("amt").unwrap().parse::<i64>().unwrap()));
    }
}

fn check_psd(document: &Document, source: &Pictures, expected: &RgbaImage) {
    let bytes = written(document, source, Format::Psd, false);
    let file = ::psd::Psd::from_bytes(&bytes).unwrap();
    assert_eq!((file.width(), file.height()), (document.width, document.height));
    assert_eq!(file.layers().len(), document.layers().len());
    let merged = RgbaImage::from_raw(file.width(), file.height(), file.rgba()).unwrap();
    // Colours are kept over white beside the transparency.
    for (found, expected) in merged.pixels().zip(expected.pixels()) {
        assert!(found[3].abs_diff(expected[3]) <= 1);
        let over_white = crate::over(*expected, Rgba([255; 4]));
        for channel in 0..3 {
            assert!(found[channel].abs_diff(over_white[channel]) <= 2, "{found:?} {over_white:?}");
        }
    }
}

fn assert_close(found: &RgbaImage, expected: &RgbaImage, what: &str) {
    let difference = Difference::between(found, expected).unwrap();
    assert!(difference.max <= 1, "{what}: {difference:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_document_is_composed_as_the_reference_does((document, pictures) in case()) {
        let expected = reference_picture(&document, &pictures);
        let found = document.compose(&Pictures::new(pictures)).unwrap();
        assert_close(&found, &expected, "compose");
    }

    #[test]
    fn every_document_is_exported_and_read((document, pictures) in case(), trim: bool) {
        let expected = reference_picture(&document, &pictures);
        let source = Pictures::new(pictures);
        check_zip(&document, &source, &expected, trim);
        check_svg(&document, &source);
        check_pptx(&document, &source);
        check_psd(&document, &source, &expected);
        let entries = check_archive(written(&document, &source, Format::Ora, false));
        let merged = &entries.iter().find(|entry| entry.0 == "mergedimage.png").unwrap().1;
        assert_close(&read_picture(merged), &expected, "ora");
    }
}

fn layer(source: usize, opacity: f32) -> Node {
    let (name, kind) = (String::new(), Kind::Unknown);
    Node::Layer(DocumentLayer {
        name,
        kind,
        text: None,
        visible: true,
        opacity,
        blend: Blend::Normal,
        x: 0,
        y: 0,
        turn: 0.0,
        effects: crate::Effects::default(),
        source,
        live_text: Vec::new(),
    })
}

fn group(opacity: f32, children: Vec<Node>) -> Node {
    Node::Group(DocumentGroup { name: String::new(), visible: true, opacity, blend: Blend::Normal, children })
}

#[test]
fn a_layer_beside_the_canvas_is_exported_in_every_format() {
    let picture = RgbaImage::from_pixel(64, 64, Rgba([10, 20, 30, 255]));
    for at in [(100, 0), (-100, 0), (0, 100), (0, -100), (64, 0), (0, -64), (i32::MAX, 0), (0, i32::MIN)] {
        let mut moved = layer(0, 1.0);
        if let Node::Layer(layer) = &mut moved {
            (layer.x, layer.y) = at;
        }
        let document = Document { title: String::new(), width: 64, height: 64, density: None, nodes: vec![moved] };
        let source = Pictures::new(vec![picture.clone()]);
        assert!(document.compose(&source).unwrap().pixels().all(|pixel| pixel[3] == 0));
        for format in Format::ALL {
            assert!(!written(&document, &source, format, true).is_empty());
        }
    }
}

#[test]
fn a_layer_is_loaded_once_for_all_that_is_made_of_it() {
    let hidden = Node::Group(DocumentGroup {
        name: String::new(),
        visible: false,
        opacity: 1.0,
        blend: Blend::Normal,
        children: vec![layer(1, 1.0), group(0.5, vec![layer(2, 1.0)])],
    });
    let document = Document {
        title: String::new(),
        width: 4,
        height: 4,
        density: None,
        nodes: vec![group(0.5, vec![layer(0, 0.5)]), hidden],
    };
    for (format, loads) in [(Format::Zip, 1), (Format::Ora, 1), (Format::Pptx, 1), (Format::Svg, 1)] {
        let source = Pictures::new(vec![RgbaImage::new(4, 4); 3]);
        written(&document, &source, format, true);
        assert_eq!(*source.loads.borrow(), [loads; 3], "{format:?}");
    }
    let source = Pictures::new(vec![RgbaImage::new(4, 4); 3]);
    document.compose(&source).unwrap();
    assert_eq!(*source.loads.borrow(), [1, 0, 0], "what nobody sees is not loaded");
}

#[test]
fn a_layer_larger_than_psd_allows_is_cut_around_the_canvas() {
    let wide = RgbaImage::from_fn(40_000, 1, |x, _| Rgba([(x % 251) as u8, 0, 0, 255]));
    let mut node = layer(0, 1.0);
    if let Node::Layer(layer) = &mut node {
        layer.x = -35_000;
    }
    let document = Document { title: String::new(), width: 8, height: 1, density: None, nodes: vec![node] };
    let source = Pictures::new(vec![wide]);
    let bytes = written(&document, &source, Format::Psd, false);
    let file = ::psd::Psd::from_bytes(&bytes).unwrap();
    let layer = &file.layers()[0];
    // As far left as it must begin to end with the layer.
    assert_eq!((layer.layer_left(), layer.layer_right()), (-25_000, 5_000 - 1));
    assert_eq!(file.rgba()[0], (35_000 % 251) as u8);
}

#[test]
fn memory_counts_the_canvases_that_exist_at_once() {
    let memory = |nodes| {
        let document = Document { title: String::new(), width: 5000, height: 2, density: None, nodes };
        // In canvases, without the picture and the layer.
        (document.compose_memory(50) - 40_000 - 300) / 80_000
    };
    assert_eq!(memory(vec![]), 0);
    assert_eq!(memory(vec![layer(0, 1.0)]), 1);
    // A faded group over nothing takes its canvas along.
    assert_eq!(memory(vec![group(0.5, vec![group(0.5, vec![layer(0, 1.0)])])]), 1);
    assert_eq!(memory(vec![layer(0, 1.0), group(0.5, vec![layer(0, 1.0)])]), 2);
    let inner = group(0.5, vec![layer(0, 1.0), group(0.5, vec![layer(0, 1.0)])]);
    assert_eq!(memory(vec![layer(0, 1.0), inner, layer(0, 1.0)]), 3);
    // Opaque and hidden groups cost none.
    assert_eq!(memory(vec![layer(0, 1.0), group(1.0, vec![layer(0, 1.0)]), group(0.0, vec![layer(0, 1.0)])]), 1);
    let huge =
        Document { title: String::new(), width: u32::MAX, height: u32::MAX, density: None, nodes: vec![layer(0, 1.0)] };
    assert_eq!(huge.compose_memory(u64::MAX), u64::MAX);
}

#[test]
fn a_thousand_layers_in_groups_are_exported() {
    // Quadratic work in layers or groups would take minutes here.
    let nodes: Vec<Node> =
        (0..1000).map(|n| (0..n % 30).fold(layer(0, 1.0), |node, _| group(1.0, vec![node]))).collect();
    let document = Document { title: String::new(), width: 8, height: 8, density: None, nodes };
    let source = Pictures::new(vec![RgbaImage::from_pixel(4, 4, Rgba([9, 8, 7, 255]))]);
    for format in Format::ALL {
        assert!(written(&document, &source, format, false).len() > 1000);
    }
}

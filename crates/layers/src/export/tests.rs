//! Every format is read back by a program that is not ours: the `psd`, `zip`,
//! `roxmltree` and `image` crates here, psd-tools and python-pptx in
//! `tests/readers.rs`.

mod arbitrary;
mod blend;
mod large;
mod paper;
mod turned;

use std::io::{Cursor, Read};

use base64::Engine;
use image::Rgba;
use zip::ZipArchive;

use super::*;
use crate::document::{DocumentGroup, Node};
use crate::{Blend, Difference, Group, Kind, Layer, LayerStack, Limits, crop, decode};

pub(super) const NAMES: [&str; 4] = ["배경", "Kreis & \"Quadrat\" <1>", "標題 🎈", "leer"];

/// Ground, a half-transparent disc, a block that sticks out, an empty layer.
pub(super) fn stack() -> LayerStack {
    let (width, height) = (64, 48);
    let ground = RgbaImage::from_fn(width, height, |x, y| Rgba([x as u8 * 3, y as u8 * 5, 90, 255]));
    let disc = RgbaImage::from_fn(width, height, |x, y| {
        let distance = (f64::from(x) - 20.0).hypot(f64::from(y) - 20.0);
        let alpha = ((14.0 - distance) * 40.0).clamp(0.0, 180.0) as u8;
        if alpha == 0 { Rgba([0; 4]) } else { Rgba([250, 30, 60, alpha]) }
    });
    let block = RgbaImage::from_fn(width, height, |x, y| {
        if (40..60).contains(&x) && (10..44).contains(&y) { Rgba([10, 200, 30, 255]) } else { Rgba([0; 4]) }
    });
    let pictures = [ground, disc, block, RgbaImage::new(width, height)];
    let layers = pictures.into_iter().zip(NAMES).map(|(pixels, name)| Layer {
        text: (name == NAMES[2]).then(|| "두 줄\n& mehr".into()),
        ..Layer::new(name, Kind::Unknown, pixels)
    });
    LayerStack::new(width, height, layers.collect()).unwrap()
}

/// The stack with its upper three layers in a group of half opacity, the disc moved and the block hidden.
pub(super) fn grouped() -> Document {
    let mut document = Document::from_stack("Plakat", &stack());
    let mut upper = document.nodes.split_off(1);
    if let Node::Layer(disc) = &mut upper[0] {
        (disc.x, disc.y, disc.opacity) = (-12, 7, 0.8);
    }
    if let Node::Layer(block) = &mut upper[1] {
        block.visible = false;
    }
    let group =
        DocumentGroup { name: "그룹".into(), visible: true, opacity: 0.5, blend: Blend::Normal, children: upper };
    document.nodes.push(Node::Group(group));
    document
}

fn written(document: &Document, format: Format) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let extra_files = vec![("metadata.json".into(), b"{}".to_vec())];
    let options = ExportOptions { trim: true, extra_files, ..ExportOptions::default() };
    export(document, &stack(), format, &options, &mut out).unwrap();
    out.into_inner()
}

fn picture(bytes: &[u8]) -> RgbaImage {
    decode(Cursor::new(bytes), &Limits::default()).unwrap().pixels
}

fn entry(archive: &mut ZipArchive<Cursor<Vec<u8>>>, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    archive.by_name(name).unwrap().read_to_end(&mut out).unwrap();
    out
}

fn archive(document: &Document, format: Format) -> ZipArchive<Cursor<Vec<u8>>> {
    ZipArchive::new(Cursor::new(written(document, format))).unwrap()
}

fn assert_close(a: &RgbaImage, b: &RgbaImage) {
    let difference = Difference::between(a, b).unwrap();
    assert!(difference.max <= 1, "{difference:?}");
}

#[test]
fn composing_a_document_is_flattening_its_stack() {
    let document = Document::from_stack("", &stack());
    assert_close(&document.compose(&stack()).unwrap(), &crate::flatten(&stack()));
}

#[test]
fn a_group_fades_as_a_whole() {
    // White over black in one group at half opacity: only white shows, half of it.
    let plain = |value| RgbaImage::from_pixel(1, 1, Rgba([value, value, value, 255]));
    let layers = [plain(90), plain(0), plain(255)].into_iter().map(|pixels| Layer::new("", Kind::Unknown, pixels));
    let stack = LayerStack::new(1, 1, layers.collect()).unwrap();
    let mut document = Document::from_stack("", &stack);
    let children = document.nodes.split_off(1);
    document.nodes.push(Node::Group(DocumentGroup {
        name: String::new(),
        visible: true,
        opacity: 0.5,
        blend: Blend::Normal,
        children,
    }));
    // 90 / 2 + 255 / 2 = 172.5
    assert!((172..=173).contains(&document.compose(&stack).unwrap().get_pixel(0, 0)[0]));
}

/// The stack with each layer cut to its pixels, and the upper three in a group.
fn cut() -> LayerStack {
    let layers = stack().into_layers().into_iter().map(Layer::trimmed);
    let grouped = layers.enumerate().map(|(index, layer)| Layer { group: (index > 0).then_some(Group::Text), ..layer });
    LayerStack::new(64, 48, grouped.collect()).unwrap()
}

#[test]
fn cut_layers_are_exported_like_whole_ones_in_a_named_group() {
    let cut = cut();
    let document = Document::from_stack("Plakat", &cut);
    let [_, Node::Group(group)] = &document.nodes[..] else { panic!("{document:?}") };
    assert_eq!((group.name.as_str(), group.children.len()), ("Text", 3));
    assert_close(&document.compose(&cut).unwrap(), &crate::flatten(&stack()));
    let written = |document: &Document, source: &LayerStack, format| {
        let mut out = Cursor::new(Vec::new());
        let options = ExportOptions { trim: true, ..ExportOptions::default() };
        export(document, source, format, &options, &mut out).unwrap();
        out.into_inner()
    };

    let zip = |document: &Document, source: &LayerStack| {
        ZipArchive::new(Cursor::new(written(document, source, Format::Zip))).unwrap()
    };
    let (mut found, mut whole) = (zip(&document, &cut), zip(&Document::from_stack("Plakat", &stack()), &stack()));
    for index in 0..3 {
        for name in [format!("layer_{index}.png"), format!("trimmed/layer_{index}.png")] {
            assert_eq!(picture(&entry(&mut found, &name)), picture(&entry(&mut whole, &name)), "{name}");
        }
    }
    let manifest: serde_json::Value = serde_json::from_slice(&entry(&mut found, "manifest.json")).unwrap();
    assert_eq!(manifest["tree"][1]["name"], "Text");
    assert_eq!(manifest["tree"][1]["children"][1]["name"], NAMES[2]);
    assert_eq!((&manifest["layers"][2]["x"], &manifest["layers"][2]["trimmed_height"]), (&40.into(), &34.into()));

    let psd = ::psd::Psd::from_bytes(&written(&document, &cut, Format::Psd)).unwrap();
    let group = psd.groups().values().next().unwrap();
    assert_eq!((group.name(), psd.groups().len()), ("Text", 1));
    let layers: Vec<_> = psd.layers().iter().rev().collect();
    assert_eq!((layers[2].layer_left(), layers[2].layer_top()), (40, 10));
    assert!(layers[1..].iter().all(|layer| layer.parent_id() == Some(group.id())));

    let mut ora = ZipArchive::new(Cursor::new(written(&document, &cut, Format::Ora))).unwrap();
    let xml = String::from_utf8(entry(&mut ora, "stack.xml")).unwrap();
    let xml = roxmltree::Document::parse(&xml).unwrap();
    assert!(xml.descendants().any(|node| node.has_tag_name("stack") && node.attribute("name") == Some("Text")));
    let composed = compose_ora(&mut ora, xml.root_element().first_element_child().unwrap());
    assert_close(&composed, &crate::flatten(&stack()));

    for (format, wanted) in [(Format::Svg, "inkscape:label=\"Text\""), (Format::Pptx, "name=\"Text\"")] {
        let bytes = written(&document, &cut, format);
        let text = match format {
            Format::Pptx => entry(&mut ZipArchive::new(Cursor::new(bytes)).unwrap(), "ppt/slides/slide1.xml"),
            _ => bytes,
        };
        assert!(String::from_utf8(text).unwrap().contains(wanted), "{format:?}");
    }
}

#[test]
fn only_neighbours_of_one_group_share_a_folder() {
    let layer = |(index, group): (usize, &Option<Group>)| Layer {
        group: *group,
        ..Layer::new(index.to_string(), Kind::Object, RgbaImage::new(2, 2))
    };
    let names = |groups: &[Option<Group>]| {
        let layers = groups.iter().enumerate().map(layer).collect();
        let document = Document::from_stack("", &LayerStack::new(2, 2, layers).unwrap());
        assert_eq!(document.layers().len(), groups.len());
        let name = |node: &Node| match node {
            Node::Layer(layer) => layer.name.clone(),
            Node::Group(group) => format!("{}: {}", group.name, group.children.len()),
        };
        document.nodes.iter().map(name).collect::<Vec<_>>()
    };
    let (objects, text, none) = (Some(Group::Objects), Some(Group::Text), None);
    assert_eq!(names(&[none, objects, objects, text, text, text]), ["0", "Objects: 2", "Text: 3"]);
    assert_eq!(names(&[none, none, text, none, objects]), ["0", "1", "2", "3", "4"]);
    assert_eq!(names(&[text, objects, text, Some(Group::People)]), ["0", "1", "2", "3"]);
}

#[test]
fn a_source_that_fails_is_an_error() {
    let mut document = Document::from_stack("", &stack());
    if let Node::Layer(layer) = &mut document.nodes[0] {
        layer.source = 9;
    }
    for format in Format::ALL {
        let result = export(&document, &stack(), format, &ExportOptions::default(), Cursor::new(Vec::new()));
        assert!(matches!(result, Err(ExportError::Source(_))), "{format:?}");
    }
}

#[test]
fn formats_are_known_by_their_words() {
    for format in Format::ALL {
        assert_eq!(format.extension().parse(), Ok(format));
    }
    assert!("gif".parse::<Format>().unwrap_err().to_string().contains("psd"));
}

#[test]
fn zip_holds_full_and_trimmed_layers() {
    let document = Document::from_stack("Plakat", &stack());
    let mut archive = archive(&document, Format::Zip);
    let manifest: serde_json::Value = serde_json::from_slice(&entry(&mut archive, "manifest.json")).unwrap();
    let mut canvas = crate::canvas::Canvas::new(64, 48);
    for (index, name) in NAMES.iter().enumerate() {
        let layer = &manifest["layers"][index];
        assert_eq!(layer["name"], *name);
        let full = picture(&entry(&mut archive, &format!("layer_{index}.png")));
        assert_close(&full, &stack().layers()[index].pixels);
        let trimmed = picture(&entry(&mut archive, layer["trimmed_file"].as_str().unwrap()));
        let corner = (layer["x"].as_i64().unwrap() as i32, layer["y"].as_i64().unwrap() as i32);
        canvas.draw(&trimmed, corner, (1.0, Blend::Normal)).unwrap();
    }
    assert_eq!(manifest["layers"][2]["x"], 40);
    assert_eq!(manifest["layers"][2]["trimmed_height"], 34);
    assert_close(&canvas.into_picture().unwrap(), &crate::flatten(&stack()));
    assert_eq!(entry(&mut archive, "metadata.json"), b"{}");
    assert_eq!(picture(&entry(&mut archive, "preview.jpg")).dimensions(), (64, 48));
}

#[test]
fn psd_opens_in_another_reader() {
    let document = Document::from_stack("Plakat", &stack());
    let file = ::psd::Psd::from_bytes(&written(&document, Format::Psd)).unwrap();
    assert_eq!((file.width(), file.height()), (64, 48));
    // This reader lists the topmost layer first.
    let layers: Vec<_> = file.layers().iter().rev().collect();
    let names: Vec<_> = layers.iter().map(|layer| layer.name().to_owned()).collect();
    assert_eq!(names, NAMES);
    for (index, layer) in layers.iter().take(3).enumerate() {
        let found = RgbaImage::from_raw(64, 48, layer.rgba()).unwrap();
        assert_eq!(Difference::between(&found, &stack().layers()[index].pixels).unwrap().max, 0, "layer {index}");
    }
    assert_eq!((layers[2].layer_left(), layers[2].layer_top()), (40, 10));
    assert_close(&RgbaImage::from_raw(64, 48, file.rgba()).unwrap(), &crate::flatten(&stack()));
}

#[test]
fn psd_keeps_groups_and_opacity() {
    let file = ::psd::Psd::from_bytes(&written(&grouped(), Format::Psd)).unwrap();
    let layers: Vec<_> = file.layers().iter().rev().collect();
    assert_eq!(layers.len(), 4);
    // This reader takes a group's opacity from the record that ends it and reads the bit that
    // hides a layer the wrong way round; `tests/readers.rs` checks both.
    let group = file.groups().values().next().unwrap();
    assert_eq!(group.name(), "그룹");
    assert_eq!(layers[0].parent_id(), None);
    assert!(layers[1..].iter().all(|layer| layer.parent_id() == Some(group.id())));
    assert_eq!(layers[1].opacity(), 204);
}

#[test]
fn psd_refuses_what_it_cannot_hold() {
    let document = Document { width: 30_001, ..Document::from_stack("", &stack()) };
    let result = export(&document, &stack(), Format::Psd, &ExportOptions::default(), Cursor::new(Vec::new()));
    assert!(matches!(result, Err(ExportError::TooLarge { format: "PSD", .. })));
}

#[test]
fn a_group_in_which_nothing_is_seen_is_left_out_of_slides() {
    let mut document = Document::from_stack("", &stack());
    let mut nodes = std::mem::take(&mut document.nodes);
    let empty = nodes.pop().unwrap();
    let group = |children| {
        Node::Group(DocumentGroup { name: "g".into(), visible: true, opacity: 1.0, blend: Blend::Normal, children })
    };
    let last = nodes.pop().unwrap();
    nodes.push(group(vec![empty.clone(), group(vec![])]));
    nodes.push(group(vec![empty, last]));
    document.nodes = nodes;
    let mut archive = archive(&document, Format::Pptx);
    let slide = String::from_utf8(entry(&mut archive, "ppt/slides/slide1.xml")).unwrap();
    let slide = roxmltree::Document::parse(&slide).unwrap();
    let count = |name: &str| slide.descendants().filter(|node| node.tag_name().name() == name).count();
    assert_eq!((count("grpSp"), count("pic")), (1, 3));
    let sizes = slide.descendants().filter(|node| node.tag_name().name() == "ext" && node.has_attribute("cx"));
    // The slide itself is a group of size 0.
    for size in sizes.skip(2) {
        assert!(size.attribute("cx") != Some("0") && size.attribute("cy") != Some("0"));
    }
    assert!(archive.by_name("ppt/media/image4.png").is_err());
}

/// Reads the layers of an ORA file the way the specification says and composites them.
fn compose_ora(archive: &mut ZipArchive<Cursor<Vec<u8>>>, stack: roxmltree::Node<'_, '_>) -> RgbaImage {
    let mut canvas = crate::canvas::Canvas::new(64, 48);
    let children: Vec<_> = stack.children().filter(roxmltree::Node::is_element).collect();
    for child in children.into_iter().rev() {
        if child.attribute("visibility") == Some("hidden") {
            continue;
        }
        let opacity: f32 = child.attribute("opacity").unwrap().parse().unwrap();
        if child.has_tag_name("stack") {
            canvas.draw(&compose_ora(archive, child), (0, 0), (opacity, Blend::Normal)).unwrap();
        } else {
            let number = |name| child.attribute(name).unwrap().parse().unwrap();
            let pixels = picture(&entry(archive, child.attribute("src").unwrap()));
            canvas.draw(&pixels, (number("x"), number("y")), (opacity, Blend::Normal)).unwrap();
        }
    }
    canvas.into_picture().unwrap()
}

#[test]
fn ora_follows_its_specification() {
    for document in [Document::from_stack("Plakat", &stack()), grouped()] {
        let bytes = written(&document, Format::Ora);
        // Magic at fixed places: a stored first entry without extra fields.
        assert_eq!(&bytes[30..54], b"mimetypeimage/openraster");
        let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
        let xml = String::from_utf8(entry(&mut archive, "stack.xml")).unwrap();
        let xml = roxmltree::Document::parse(&xml).unwrap();
        let mut names: Vec<_> = xml
            .descendants()
            .filter(|node| node.has_tag_name("layer"))
            .map(|node| node.attribute("name").unwrap())
            .collect();
        names.reverse();
        assert_eq!(names, NAMES);
        let merged = picture(&entry(&mut archive, "mergedimage.png"));
        assert_close(&merged, &document.compose(&stack()).unwrap());
        assert_close(&compose_ora(&mut archive, xml.root_element().first_element_child().unwrap()), &merged);
        assert_eq!(picture(&entry(&mut archive, "Thumbnails/thumbnail.png")).dimensions(), (64, 48));
    }
}

#[test]
fn svg_holds_named_groups_with_placed_pictures() {
    let bytes = written(&grouped(), Format::Svg);
    let text = String::from_utf8(bytes).unwrap();
    let xml = roxmltree::Document::parse(&text).unwrap();
    let labels: Vec<_> = xml
        .descendants()
        .filter_map(|node| node.attribute(("http://www.inkscape.org/namespaces/inkscape", "label")))
        .collect();
    assert_eq!(labels, [NAMES[0], "그룹", NAMES[1], NAMES[2], NAMES[3]]);
    let images: Vec<_> = xml.descendants().filter(|node| node.has_tag_name("image")).collect();
    let disc = &images[1];
    let href = disc.attribute(("http://www.w3.org/1999/xlink", "href")).unwrap();
    let png =
        base64::engine::general_purpose::STANDARD.decode(href.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
    let found = bounding_box(&stack().layers()[1].pixels).unwrap();
    assert_close(&picture(&png), &crop(&stack().layers()[1].pixels, found));
    assert_eq!(disc.attribute("x"), Some((found.x as i32 - 12).to_string().as_str()));
    assert_eq!(disc.attribute("y"), Some((found.y + 7).to_string().as_str()));
    assert_eq!(disc.parent_element().unwrap().attribute("opacity"), Some("0.8"));
    assert_eq!(images[2].parent_element().unwrap().attribute("style"), Some("display:none"));
    assert!(text.contains("<desc>두 줄&#10;&amp; mehr</desc>"));
}

#[test]
fn pptx_parts_are_complete_and_placed() {
    let mut archive = archive(&Document::from_stack("Plakat & Co", &stack()), Format::Pptx);
    let names: Vec<_> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    for name in names.iter().filter(|name| name.ends_with(".xml") || name.ends_with(".rels")) {
        let text = String::from_utf8(entry(&mut archive, name)).unwrap();
        let xml = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        // Every relationship leads to a part.
        let base = name.strip_suffix(".rels").map(|name| name.replace("_rels/", "")).unwrap_or_default();
        for target in xml.descendants().filter_map(|node| node.attribute("Target")) {
            let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
            let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
            for part in target.split('/') {
                if part == ".." { parts.pop().map_or((), |_| ()) } else { parts.push(part) }
            }
            assert!(names.contains(&parts.join("/")), "{name} points to {target}");
        }
    }
    let slide = String::from_utf8(entry(&mut archive, "ppt/slides/slide1.xml")).unwrap();
    let slide = roxmltree::Document::parse(&slide).unwrap();
    let pictures: Vec<_> = slide.descendants().filter(|node| node.tag_name().name() == "pic").collect();
    // The empty layer is left out.
    assert_eq!(pictures.len(), 3);
    let find = |node: roxmltree::Node<'_, '_>, name: &str, attribute: &str| {
        let found = node.descendants().find(|child| child.tag_name().name() == name).unwrap();
        found.attribute(attribute).unwrap().to_owned()
    };
    // 48 pixels must be at least an inch: 914400 / 48 = 19050 EMU per pixel.
    assert_eq!(find(pictures[2], "off", "x"), (40 * 19_050).to_string());
    assert_eq!(find(pictures[2], "ext", "cy"), (34 * 19_050).to_string());
    assert_eq!(find(pictures[2], "cNvPr", "name"), NAMES[2]);
    assert_eq!(find(pictures[2], "cNvPr", "descr"), "두 줄\n& mehr");
}

#[test]
fn slides_keep_to_their_limits() {
    for (width, height) in [(64, 48), (1328, 1328), (8000, 8000), (1, 1), (9000, 10), (60_000, 2)] {
        let document = Document { title: String::new(), width, height, density: None, nodes: Vec::new() };
        let mut archive = archive(&document, Format::Pptx);
        let text = String::from_utf8(entry(&mut archive, "ppt/presentation.xml")).unwrap();
        let xml = roxmltree::Document::parse(&text).unwrap();
        let size = xml.descendants().find(|node| node.tag_name().name() == "sldSz").unwrap();
        for side in ["cx", "cy"] {
            let side: i64 = size.attribute(side).unwrap().parse().unwrap();
            assert!((914_400..=51_206_400).contains(&side), "{width} x {height}: {side}");
        }
    }
}

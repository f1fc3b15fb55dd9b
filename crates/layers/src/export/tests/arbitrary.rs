//! Documents of any shape, read back: PSD by the `psd` crate, ORA as its specification says. `PROPTEST_CASES` sets how many.

use proptest::prelude::*;

use super::*;

fn opacity() -> impl Strategy<Value = f32> {
    prop_oneof![Just(1.0), Just(0.0), 0.0..=1.0_f32]
}

/// A change of one of the four layers of [`stack`]: name, place, opacity, whether it shows.
fn change() -> impl Strategy<Value = (String, i32, i32, f32, bool)> {
    let place = || prop_oneof![-70..70_i32, Just(-100_000), Just(100_000)];
    (".{0,60}", place(), place(), opacity(), any::<bool>())
}

/// Up to three nested groups: where each begins among its siblings, its name and opacity, whether it shows.
fn groups() -> impl Strategy<Value = Vec<(usize, String, f32, bool)>> {
    proptest::collection::vec((0..4_usize, ".{0,60}", opacity(), any::<bool>()), 0..4)
}

fn document(changes: Vec<(String, i32, i32, f32, bool)>, groups: Vec<(usize, String, f32, bool)>) -> Document {
    let mut document = Document::from_stack("Plakat", &stack());
    for (node, (name, x, y, opacity, visible)) in document.nodes.iter_mut().zip(changes) {
        if let Node::Layer(layer) = node {
            (layer.name, layer.x, layer.y, layer.opacity, layer.visible) = (name, x, y, opacity, visible);
        }
    }
    for (start, name, opacity, visible) in groups {
        let start = start.min(document.nodes.len());
        let children = document.nodes.split_off(start);
        document.nodes.push(Node::Group(DocumentGroup { name, visible, opacity, blend: Blend::Normal, children }));
    }
    document
}

/// The names of the layers, the lowest first.
fn names(nodes: &[Node]) -> Vec<String> {
    let of = |node: &Node| match node {
        Node::Layer(layer) => vec![layer.name.clone()],
        Node::Group(group) => names(&group.children),
    };
    nodes.iter().flat_map(of).collect()
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.trim() == name && !name.chars().any(|c| c.is_control() || c.is_whitespace() && c != ' ')
}

/// As Photoshop keeps a picture with all its layers: over white, with its alpha beside it. Here that is in place of blue, so
/// that both are compared.
fn on_white(mut picture: RgbaImage, is_straight: bool) -> RgbaImage {
    for pixel in picture.pixels_mut() {
        let alpha = pixel[3];
        if is_straight {
            *pixel = crate::over(*pixel, Rgba([255; 4]));
        }
        (pixel[2], pixel[3]) = (alpha, 255);
    }
    picture
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_document_comes_back_from_a_psd(changes in proptest::collection::vec(change(), 4), groups in groups()) {
        let document = document(changes, groups);
        let file = ::psd::Psd::from_bytes(&written(&document, Format::Psd)).unwrap();
        assert_close(&on_white(RgbaImage::from_raw(64, 48, file.rgba()).unwrap(), false), &on_white(document.compose(&stack()).unwrap(), true));
        let expected = names(&document.nodes);
        prop_assert_eq!(file.layers().len(), expected.len());
        for (layer, expected) in file.layers().iter().rev().zip(&expected) {
            prop_assert!(!is_plain(expected) || layer.name() == expected, "{:?} became {:?}", expected, layer.name());
        }
    }

    #[test]
    fn any_document_comes_back_from_an_ora(changes in proptest::collection::vec(change(), 4), groups in groups()) {
        let document = document(changes, groups);
        let mut archive = archive(&document, Format::Ora);
        let text = String::from_utf8(entry(&mut archive, "stack.xml")).unwrap();
        let xml = roxmltree::Document::parse(&text).unwrap();
        let root = xml.root_element().children().find(|node| node.has_tag_name("stack")).unwrap();
        assert_close(&compose_ora(&mut archive, root), &document.compose(&stack()).unwrap());
        let found: Vec<_> = xml.descendants().filter(|node| node.has_tag_name("layer")).collect();
        let expected = names(&document.nodes);
        prop_assert_eq!(found.len(), expected.len());
        for (layer, expected) in found.iter().rev().zip(&expected) {
            let name = layer.attribute("name").unwrap();
            prop_assert!(!is_plain(expected) || name == expected, "{:?} became {:?}", expected, name);
        }
    }
}

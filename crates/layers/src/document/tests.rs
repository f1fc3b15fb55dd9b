use super::*;
use crate::{ExportError, ExportOptions, Format, Layer, export};
use std::io::Cursor;

fn nested(depth: usize, opacity: f32) -> Document {
    let mut document = Document::from_stack("", &stack());
    for _ in 0..depth {
        let children = std::mem::take(&mut document.nodes);
        document.nodes.push(Node::Group(DocumentGroup {
            name: "g".into(),
            visible: true,
            opacity,
            blend: Blend::Normal,
            children,
        }));
    }
    document
}

fn stack() -> LayerStack {
    let pixels = RgbaImage::from_pixel(2, 1, image::Rgba([200, 100, 50, 255]));
    let layer = Layer::new("l", Kind::Unknown, pixels);
    LayerStack::new(2, 1, vec![layer]).unwrap()
}

#[test]
fn a_document_of_the_greatest_depth_is_taken_by_everything() {
    let document = nested(Document::MAX_DEPTH, 0.999);
    assert_eq!(document.layers().len(), 1);
    assert!(document.compose(&stack()).unwrap().get_pixel(0, 0)[3] > 235);
    for format in Format::ALL {
        let out = Cursor::new(Vec::new());
        export(&document, &stack(), format, &ExportOptions::default(), out).unwrap();
    }
    let json = serde_json::to_string(&document).unwrap();
    assert_eq!(serde_json::from_str::<Document>(&json).unwrap(), document);
}

#[test]
fn a_document_deeper_than_the_stack_is_an_error() {
    for depth in [Document::MAX_DEPTH + 1, 1_000_000] {
        let document = nested(depth, 0.5);
        assert_eq!(document.layers().len(), 1);
        assert_eq!(document.check_depth(), Err(TooDeep { limit: Document::MAX_DEPTH }));
        assert!(matches!(document.compose(&stack()), Err(ComposeError::TooDeep(_))));
        assert_eq!(document.compose_memory(1), 0);
        for format in Format::ALL {
            let out = Cursor::new(Vec::new());
            let result = export(&document, &stack(), format, &ExportOptions::default(), out);
            assert!(matches!(result, Err(ExportError::TooDeep(_))), "{format:?}");
        }
        assert!(serde_json::to_string(&document).unwrap_err().to_string().contains("60 deep"));
    }
    assert!(serde_json::to_string(&nested(1_000_000, 0.5).nodes[0]).is_err());
}

#[test]
fn an_opacity_that_is_none_is_still_json() {
    let mut document = nested(1, f32::NAN);
    let json = serde_json::to_string(&document).unwrap();
    document.nodes = vec![];
    let read: Document = serde_json::from_str(&json).unwrap();
    assert!(matches!(&read.nodes[0], Node::Group(group) if group.opacity == 1.0));
    assert!(serde_json::to_string(&nested(1, -7.0)).unwrap().contains("\"opacity\":0.0"));
}

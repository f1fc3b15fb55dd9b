//! Layers that are turned, in what each format has for it.

use super::*;
use crate::{bounding_box, turn, turned_box};

const ANGLE: f32 = 30.0;

/// The stack with its block turned.
fn turned() -> Document {
    let mut document = Document::from_stack("Plakat", &stack());
    if let Node::Layer(block) = &mut document.nodes[2] {
        (block.x, block.y, block.turn) = (-3, 4, ANGLE);
    }
    document
}

/// What the block looks like turned, on the canvas.
fn expected() -> RgbaImage {
    let block = stack().into_layers().swap_remove(2).pixels;
    let covers = turned_box(block.width(), block.height(), ANGLE);
    let turned = turn(&block, ANGLE);
    let (width, height) = block.dimensions();
    RgbaImage::from_fn(width, height, |x, y| {
        let at = |value: u32, start: i32| u32::try_from(i64::from(value) - i64::from(start)).ok();
        let place = at(x, covers.x - 3).zip(at(y, covers.y + 4));
        place.and_then(|(x, y)| turned.get_pixel_checked(x, y)).copied().unwrap_or(Rgba([0; 4]))
    })
}

#[test]
fn a_turned_layer_is_composed_and_written_as_turned_pixels() {
    let (document, expected) = (turned(), expected());
    assert!(expected.pixels().filter(|pixel| pixel[3] == 255).count() > 300);
    let pictures = stack().into_layers().into_iter().map(|layer| layer.pixels).collect::<Vec<_>>();
    let flat = crate::flatten_pictures(64, 48, &[&pictures[0], &pictures[1], &expected]).unwrap();
    assert_close(&document.compose(&stack()).unwrap(), &flat);
    assert_close(&picture(&entry(&mut archive(&document, Format::Zip), "layer_2.png")), &expected);
    let mut ora = archive(&document, Format::Ora);
    assert_close(&picture(&entry(&mut ora, "mergedimage.png")), &flat);
    let psd = ::psd::Psd::from_bytes(&written(&document, Format::Psd)).unwrap();
    let layer = psd.layers().iter().find(|layer| layer.name() == NAMES[2]).unwrap();
    assert_close(&RgbaImage::from_raw(64, 48, layer.rgba()).unwrap(), &expected);
}

#[test]
fn slides_and_svg_turn_the_picture_themselves() {
    let document = turned();
    let block = stack().into_layers().swap_remove(2).pixels;
    let upright = crop(&block, bounding_box(&block).unwrap());
    let options = ExportOptions { shapes: ShapeMode::Pixels, ..ExportOptions::default() };
    let of = |format| {
        let mut out = Cursor::new(Vec::new());
        export(&document, &stack(), format, &options, &mut out).unwrap();
        out.into_inner()
    };
    let mut pptx = ZipArchive::new(Cursor::new(of(Format::Pptx))).unwrap();
    assert_eq!(picture(&entry(&mut pptx, "ppt/media/image3.png")), upright);
    let slide = String::from_utf8(entry(&mut pptx, "ppt/slides/slide1.xml")).unwrap();
    let slide = roxmltree::Document::parse(&slide).unwrap();
    let place = slide.descendants().find(|node| node.attribute("rot") == Some("1800000")).unwrap();
    let number = |name: &str, side: &str| -> f64 {
        place
            .children()
            .find(|node| node.has_tag_name(("http://schemas.openxmlformats.org/drawingml/2006/main", name)))
            .unwrap()
            .attribute(side)
            .unwrap()
            .parse()
            .unwrap()
    };
    // The block's middle is 18 right of the layer's and 3 below it, (32, 24) on the canvas before it is moved.
    let (sin, cos) = 30_f64.to_radians().sin_cos();
    let middle = (32.0 - 3.0 + 18.0 * cos - 3.0 * sin, 24.0 + 4.0 + 18.0 * sin + 3.0 * cos);
    let emu = number("ext", "cx") / 20.0;
    assert!((number("ext", "cy") / emu - 34.0).abs() < 0.01);
    assert!(((number("off", "x") + number("ext", "cx") / 2.0) / emu - middle.0).abs() < 0.01);
    assert!(((number("off", "y") + number("ext", "cy") / 2.0) / emu - middle.1).abs() < 0.01);

    let svg = String::from_utf8(of(Format::Svg)).unwrap();
    let transform = format!(
        "translate({} {}) rotate(30) translate(-10 -17)",
        (middle.0 * 1000.0).round() / 1000.0,
        (middle.1 * 1000.0).round() / 1000.0
    );
    assert!(svg.contains(&transform), "{transform}");
    assert_eq!(svg.matches("rotate(").count(), 1);
}

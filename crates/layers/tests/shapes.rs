//! Exports with flat shapes, opened by programs that are not ours.

#[path = "readers/support.rs"]
mod support;

use std::f64::consts::PI;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use image::{Rgba, RgbaImage};
use layers::{
    Document, ExportOptions, Format, Kind, Layer, LayerStack, Node, ShapeMode, bounding_box, export, flatten,
};
use serde_json::{Value, json};

const SIZE: (u32, u32) = (800, 600);
/// Samples of a pixel along each side.
const SAMPLES: u32 = 8;
/// How far a channel may be off inside of a shape: the export's 4 and LibreOffice's 2, which rounds to 8 bits twice.
const MOST: u8 = 6;

type Is = Box<dyn Fn(f64, f64) -> bool>;

/// A layer, and what readers have to find: `shape`, `bounds` before a turn (or around a contour), `angle` in degrees.
struct Drawn {
    name: &'static str,
    pixels: RgbaImage,
    kind: Kind,
    found: Value,
}

fn coverage(x: u32, y: u32, is: &Is) -> f64 {
    let at = |pixel: u32, sample: u32| f64::from(pixel) + (f64::from(sample) + 0.5) / f64::from(SAMPLES);
    let samples = (0..SAMPLES).flat_map(|v| (0..SAMPLES).map(move |u| (u, v)));
    samples.filter(|(u, v)| is(at(x, *u), at(y, *v))).count() as f64 / f64::from(SAMPLES * SAMPLES)
}

fn flat(name: &'static str, [red, green, blue, alpha]: [u8; 4], is: Is, mut found: Value) -> Drawn {
    found["name"] = json!(name);
    found["colour"] = json!([red, green, blue]);
    found["alpha"] = json!(alpha);
    let pixels = RgbaImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let alpha = (coverage(x, y, &is) * f64::from(alpha)).round() as u8;
        if alpha == 0 { Rgba([0; 4]) } else { Rgba([red, green, blue, alpha]) }
    });
    Drawn { name, pixels, kind: Kind::Object, found }
}

fn ellipse(name: &'static str, colour: [u8; 4], (cx, cy): (f64, f64), (a, b): (f64, f64)) -> Drawn {
    let is = move |x: f64, y: f64| ((x - cx) / a).hypot((y - cy) / b) <= 1.0;
    let bounds = [cx - a, cy - b, cx + a, cy + b];
    flat(name, colour, Box::new(is), json!({ "shape": "ellipse", "bounds": bounds, "angle": 0 }))
}

/// Rounded and turned, in degrees.
fn rectangle(
    name: &'static str,
    (cx, cy): (f64, f64),
    (width, height): (f64, f64),
    radius: f64,
    degrees: f64,
) -> Drawn {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let is = move |x: f64, y: f64| {
        let (x, y) = (x - cx, y - cy);
        let (u, v) =
            ((x * cos + y * sin).abs() - width / 2.0 + radius, (y * cos - x * sin).abs() - height / 2.0 + radius);
        if u > 0.0 && v > 0.0 { u.hypot(v) <= radius } else { u.max(v) <= radius }
    };
    let bounds = [cx - width / 2.0, cy - height / 2.0, cx + width / 2.0, cy + height / 2.0];
    let found = json!({ "shape": "rectangle", "bounds": bounds, "angle": degrees, "radius": radius });
    flat(name, [20, 120, 200, 255], Box::new(is), found)
}

/// With round ends.
fn line(name: &'static str, from: (f64, f64), to: (f64, f64), width: f64) -> Drawn {
    let is = move |x: f64, y: f64| {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let along = (((x - from.0) * dx + (y - from.1) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
        (x - from.0 - along * dx).hypot(y - from.1 - along * dy) <= width / 2.0
    };
    let found = json!({ "shape": "line", "from": [from.0, from.1], "to": [to.0, to.1], "width": width });
    flat(name, [40, 40, 40, 255], Box::new(is), found)
}

fn star((cx, cy): (f64, f64), outer: f64, inner: f64) -> Drawn {
    let part = PI / 5.0;
    let is = move |x: f64, y: f64| {
        let (x, y) = (x - cx, y - cy);
        let angle = part - (y.atan2(x).rem_euclid(2.0 * part) - part).abs();
        let (dent, radius) = ((inner * part.cos(), inner * part.sin()), x.hypot(y));
        let (px, py) = (radius * angle.cos(), radius * angle.sin());
        (dent.0 - outer) * py - dent.1 * (px - outer) >= 0.0
    };
    let left = cx - outer * part.cos();
    let reach = outer * (2.0 * part).sin();
    let bounds = [left, cy - reach, cx + outer, cy + reach];
    flat("Star", [250, 190, 20, 255], Box::new(is), json!({ "shape": "path", "bounds": bounds, "parts": 1 }))
}

fn ring((cx, cy): (f64, f64), outer: f64, inner: f64) -> Drawn {
    let is = move |x: f64, y: f64| (inner..=outer).contains(&(x - cx).hypot(y - cy));
    let bounds = [cx - outer, cy - outer, cx + outer, cy + outer];
    flat("Ring", [130, 40, 160, 255], Box::new(is), json!({ "shape": "path", "bounds": bounds, "parts": 2 }))
}

fn picture(name: &'static str, kind: Kind, pixels: RgbaImage) -> Drawn {
    Drawn { name, pixels, kind, found: json!({ "name": name, "shape": "picture" }) }
}

fn drawings() -> Vec<Drawn> {
    let (width, height) = SIZE;
    let ground = RgbaImage::from_fn(width, height, |x, y| Rgba([200 + (x / 16) as u8, 220, 255 - (y / 8) as u8, 255]));
    let noise = |x: u32, y: u32| ((x * 7919) ^ (y * 104_729)).wrapping_mul(2_654_435_761) >> 24;
    let photo = RgbaImage::from_fn(width, height, |x, y| {
        let is_in = (620..760).contains(&x) && (420..560).contains(&y);
        if is_in { Rgba([noise(x, y) as u8, 90, 70, 255]) } else { Rgba([0; 4]) }
    });
    let shadow = RgbaImage::from_fn(width, height, |x, y| {
        let distance = (f64::from(x) - 690.0).hypot(f64::from(y) - 330.0);
        Rgba([0, 0, 0, ((60.0 - distance) * 6.0).clamp(0.0, 160.0) as u8])
    });
    let word = RgbaImage::from_fn(width, height, |x, y| {
        let is_in = (40..60).contains(&x) && (540..580).contains(&y);
        if is_in { Rgba([10, 10, 10, 255]) } else { Rgba([0; 4]) }
    });
    vec![
        picture("Ground", Kind::Background, ground),
        ellipse("Circle", [220, 40, 60, 255], (120.4, 110.7), (80.3, 80.3)),
        ellipse("Flat & <wide>", [60, 160, 90, 255], (640.25, 90.5), (120.0, 45.75)),
        rectangle("Box", (330.0, 90.0), (160.0, 90.0), 0.0, 0.0),
        rectangle("Rounded", (330.3, 230.6), (181.5, 100.25), 24.0, 0.0),
        rectangle("Turned", (130.5, 300.5), (150.0, 80.0), 0.0, 18.0),
        rectangle("모서리", (140.5, 460.25), (140.0, 90.0), 15.0, -25.0),
        line("Line", (260.5, 560.25), (560.75, 470.5), 7.0),
        star((350.5, 400.5), 90.0, 40.0),
        ring((520.2, 300.4), 80.0, 45.5),
        ellipse("Veil", [20, 60, 220, 128], (560.5, 180.5), (90.5, 90.5)),
        picture("Shadow", Kind::Object, shadow),
        picture("Photo", Kind::Object, photo),
        picture("Word", Kind::Text, word),
    ]
}

fn write(folder: &Path, document: &Document, stack: &LayerStack, shapes: ShapeMode) {
    for format in [Format::Psd, Format::Pptx, Format::Svg] {
        let path = folder.join(Path::new("document").with_extension(format.extension()));
        let file = BufWriter::new(File::create(path).expect("the folder is there"));
        let options = ExportOptions { shapes, ..ExportOptions::default() };
        export(document, stack, format, &options, file).expect("the document is small");
    }
}

#[test]
fn other_programs_read_shapes_with_place_and_colour() {
    let drawings = drawings();
    let layers = drawings.iter().map(|drawn| {
        let layer = Layer::new(drawn.name, drawn.kind, drawn.pixels.clone());
        if drawn.kind == Kind::Text { Layer { text: Some("l".into()), ..layer } } else { layer }
    });
    let stack = LayerStack::new(SIZE.0, SIZE.1, layers.collect()).expect("all layers have one size");
    let mut document = Document::from_stack("Shapes", &stack);
    // Half as opaque, and hidden.
    for node in &mut document.nodes {
        if let Node::Layer(layer) = node {
            layer.visible = layer.name != "Rounded";
            layer.opacity = if layer.name == "Box" { 0.5 } else { 1.0 };
        }
    }
    let composite = document.compose(&stack).expect("the stack is in memory");
    for (shapes, name) in [(ShapeMode::Native, "native"), (ShapeMode::Pixels, "pixels")] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write(folder.path(), &document, &stack, shapes);
        let found = drawings.iter().map(|drawn| {
            let mut found = drawn.found.clone();
            if shapes == ShapeMode::Pixels {
                found["shape"] = json!("picture");
            }
            let area = bounding_box(&drawn.pixels).expect("no layer is empty");
            found["box"] = json!([area.x, area.y, area.x + area.width, area.y + area.height]);
            found["opacity"] = json!(if drawn.name == "Box" { 0.5 } else { 1.0 });
            found
        });
        let expected = json!({ "width": SIZE.0, "height": SIZE.1, "layers": found.collect::<Vec<_>>() });
        std::fs::write(folder.path().join("shapes.json"), expected.to_string()).expect("the folder is there");
        std::fs::write(folder.path().join("composite.rgba"), composite.as_raw()).expect("the folder is there");
        support::run_readers(folder.path(), "shapes");
        if let Some(slide) = support::rendered(folder.path(), SIZE) {
            support::assert_looks_like(&slide, &composite, MOST);
        }
        // For people who want to look.
        if let Some(kept) = std::env::var_os("UNFLATTEN_SHAPES") {
            let kept = Path::new(&kept).join(name);
            std::fs::create_dir_all(&kept).expect("a folder to write to");
            for entry in std::fs::read_dir(folder.path()).expect("the folder is there").flatten() {
                std::fs::copy(entry.path(), kept.join(entry.file_name())).expect("a file that was written");
            }
            let file = File::create(kept.join("composite.png")).expect("the folder is there");
            layers::write_png(file, &composite).expect("the picture has pixels");
        }
    }
    assert_ne!(flatten(&stack), composite, "one layer is hidden, one is translucent");
}

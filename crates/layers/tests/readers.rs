//! Exports opened by psd-tools, python-pptx and Python's own libraries.
//!
//! Runs when `UNFLATTEN_PYTHON` names a Python that has them:
//!
//! ```sh
//! python3 -m venv venv && venv/bin/pip install psd-tools python-pptx Pillow
//! UNFLATTEN_PYTHON=venv/bin/python cargo test -p layers --test readers
//! ```

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;

use image::{Rgba, RgbaImage};
use layers::{
    Difference, Document, DocumentGroup, ExportOptions, Format, Kind, Layer, LayerStack, Node, bounding_box, export,
    flatten, write_png,
};

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
        name: name.into(),
        kind: if name == NAMES[2] { Kind::Text } else { Kind::Unknown },
        text: (name == NAMES[2]).then(|| "두 줄\n& mehr".into()),
        pixels,
    });
    LayerStack::new(width, height, layers.collect()).expect("all layers have one size")
}

/// The upper three layers in a half-transparent group, one moved and one hidden.
fn grouped() -> Document {
    let mut document = Document::from_stack("Plakat", &stack());
    let mut children = document.nodes.split_off(1);
    if let Node::Layer(disc) = &mut children[0] {
        (disc.x, disc.y, disc.opacity) = (-30, 20, 0.8);
    }
    if let Node::Layer(block) = &mut children[1] {
        block.visible = false;
    }
    document.nodes.push(Node::Group(DocumentGroup { name: GROUP.into(), visible: true, opacity: 0.5, children }));
    document
}

fn write_all(folder: &Path) {
    let stack = stack();
    let options = ExportOptions { trim: true, extra_files: Vec::new() };
    for (name, document) in [("flat", Document::from_stack("Plakat", &stack)), ("grouped", grouped())] {
        for format in Format::ALL {
            let path = folder.join(format!("{name}.{}", format.extension()));
            let file = BufWriter::new(File::create(path).expect("the folder is new"));
            export(&document, &stack, format, &options, file).expect("the document is small");
        }
        let composite = document.compose(&stack).expect("the stack is in memory");
        let file = File::create(folder.join(format!("{name}.png"))).expect("the folder is new");
        write_png(file, &composite).expect("the picture has pixels");
    }
    let boxes = stack.layers().iter().map(|layer| match bounding_box(&layer.pixels) {
        Some(found) => [found.x, found.y, found.x + found.width, found.y + found.height],
        // An empty layer is written as one transparent pixel.
        None => [0, 0, 1, 1],
    });
    let expected = serde_json::json!({
        "width": stack.width(), "height": stack.height(), "names": NAMES, "group": GROUP,
        "boxes": boxes.collect::<Vec<_>>(),
        "texts": stack.layers().iter().map(|layer| layer.text.clone().unwrap_or_default()).collect::<Vec<_>>(),
    });
    std::fs::write(folder.join("expected.json"), expected.to_string()).expect("the folder is new");
}

#[test]
fn other_programs_read_the_exports() {
    let Some(python) = std::env::var_os("UNFLATTEN_PYTHON") else {
        eprintln!(
            "SKIPPED: set UNFLATTEN_PYTHON to a Python with psd-tools, python-pptx and Pillow \
             (python3 -m venv venv && venv/bin/pip install psd-tools python-pptx Pillow)"
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_all(folder.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().expect("UNFLATTEN_PYTHON runs");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}");
    assert!(output.status.success(), "{out}{error}");
}

/// LibreOffice keeps 8 bits between pictures: so much may any channel be off.
const RENDERED_MOST: u8 = 2;

#[test]
fn libreoffice_renders_the_slide_as_the_composite() {
    let soffice = std::env::var_os("UNFLATTEN_SOFFICE").unwrap_or_else(|| "soffice".into());
    let is_there = Command::new(&soffice).arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("SKIPPED: no soffice; apt install libreoffice-impress, or set UNFLATTEN_SOFFICE to where it is");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stack = stack();
    let slide = folder.path().join("slide.pptx");
    let file = BufWriter::new(File::create(&slide).expect("the folder is new"));
    let document = Document::from_stack("Plakat", &stack);
    export(&document, &stack, Format::Pptx, &ExportOptions::default(), file).expect("the document is small");
    let (width, height) = (stack.width(), stack.height());
    let size = serde_json::json!({
        "PixelWidth": { "type": "long", "value": width.to_string() },
        "PixelHeight": { "type": "long", "value": height.to_string() },
    });
    let profile = format!("-env:UserInstallation=file://{}", folder.path().join("profile").display());
    let output = Command::new(&soffice)
        .args([&profile, "--headless", "--convert-to", &format!("png:impress_png_Export:{size}"), "--outdir"])
        .arg(folder.path())
        .arg(&slide)
        .output()
        .expect("soffice runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let rendered = image::open(folder.path().join("slide.png")).unwrap_or_else(|error| panic!("{error}: {said}"));
    let difference =
        Difference::between(&rendered.into_rgba8(), &flatten(&stack)).expect("the size that was asked for");
    println!("LibreOffice: {difference:?}");
    assert!(difference.max <= RENDERED_MOST, "{difference:?}");
}

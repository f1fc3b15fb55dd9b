//! Peak memory of exporting a large document: 8000 x 8000 pixels, 10 layers,
//! the layers made one at a time as `PixelSource` asks for them.

use std::io::BufWriter;
use std::time::Instant;

use image::{Rgba, RgbaImage};
use layers::{Blend, Document, DocumentLayer, ExportOptions, Format, Kind, Node, PixelSource, SourceError, export};

const SIDE: u32 = 8000;
const LAYERS: usize = 10;

struct Drawn;

impl PixelSource for Drawn {
    fn load(&self, source: usize) -> Result<RgbaImage, SourceError> {
        let n = source as u32;
        Ok(RgbaImage::from_fn(SIDE, SIDE, |x, y| {
            let inside = n == 0 || (x / 64 + y / 64 + n).is_multiple_of(4);
            if inside {
                Rgba([(x / 32) as u8, (y / 32) as u8, (n * 20) as u8, 255 - n as u8 * 9])
            } else {
                Rgba([0; 4])
            }
        }))
    }
}

fn main() {
    let layer = |source| {
        Node::Layer(DocumentLayer {
            name: format!("layer {source}"),
            kind: Kind::Unknown,
            text: None,
            visible: true,
            opacity: 1.0,
            blend: Blend::Normal,
            x: 0,
            y: 0,
            turn: 0.0,
            effects: layers::Effects::default(),
            source,
            live_text: Vec::new(),
        })
    };
    let document = Document {
        title: "large".to_owned(),
        width: SIDE,
        height: SIDE,
        density: None,
        nodes: (0..LAYERS).map(layer).collect(),
    };
    for format in Format::ALL {
        let file = tempfile::tempfile().expect("a temporary file");
        let started = Instant::now();
        reset_peak();
        export(&document, &Drawn, format, &ExportOptions::default(), BufWriter::new(&file)).expect("it is exported");
        let bytes = file.metadata().expect("the file is open").len();
        println!(
            "{:<5} {:>6.1} s, {:>5} MB written, peak {}",
            format.extension(),
            started.elapsed().as_secs_f64(),
            bytes / 1_000_000,
            peak()
        );
    }
}

/// Linux alone tells and resets the most memory that a process had resident.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}

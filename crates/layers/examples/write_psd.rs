//! Builds a stack of three layers, composites it and writes it as a Photoshop file.
//!
//!     cargo run -p layers --example write_psd -- poster.psd

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use image::{Rgba, RgbaImage};
use layers::{Document, ExportOptions, Format, Kind, Layer, LayerStack, export, flatten};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("poster.psd"), PathBuf::from);

    let sky = RgbaImage::from_fn(WIDTH, HEIGHT, |_, y| Rgba([40, 90 + (y / 4) as u8, 200, 255]));
    let stack = LayerStack::new(
        WIDTH,
        HEIGHT,
        vec![
            Layer::new("Background", Kind::Background, sky),
            Layer::new("Sun", Kind::Subject, disc(460.0, 140.0, 80.0, [255, 220, 60])),
            Layer::new("Shade", Kind::Object, RgbaImage::from_pixel(WIDTH, HEIGHT, Rgba([0, 0, 0, 40]))),
        ],
    )?;

    let document = Document::from_stack("Poster", &stack);
    println!("composing takes at most {} bytes", document.compose_memory(u64::from(WIDTH * HEIGHT)));
    println!("the pixel in the sun's centre is {:?}", flatten(&stack).get_pixel(460, 140).0);

    let file = BufWriter::new(File::create(&path)?);
    export(&document, &stack, Format::Psd, &ExportOptions::default(), file)?;
    println!("{}: {} layers", path.display(), stack.len());
    Ok(())
}

/// A disc with a soft edge one pixel wide.
fn disc(centre_x: f32, centre_y: f32, radius: f32, [r, g, b]: [u8; 3]) -> RgbaImage {
    RgbaImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let distance = (x as f32 - centre_x).hypot(y as f32 - centre_y);
        let alpha = (radius - distance + 0.5).clamp(0.0, 1.0);
        Rgba([r, g, b, (alpha * 255.0).round() as u8])
    })
}

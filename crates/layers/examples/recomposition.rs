//! Decodes a picture and layers of it, and reports how well the layers give the picture back.
//!
//!     cargo run -p layers --example recomposition -- poster.jpg layer_0.png layer_1.png layer_2.png
//!
//! The layers are named from the lowest to the highest. Without arguments it makes a small picture of its own.

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::BufReader;

use image::{Rgba, RgbaImage};
use layers::{Kind, Layer, LayerStack, Limits, Report, Thresholds, decode, prune, solve_exact};

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (picture, stack) = match files.split_first() {
        None => sample()?,
        Some((picture, layers)) => {
            let picture = read(picture)?;
            let layers = layers.iter().map(|file| Ok(Layer::new(file.to_string_lossy(), Kind::Unknown, read(file)?)));
            let layers = layers.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
            let stack = LayerStack::new(picture.width(), picture.height(), layers)?;
            (picture, stack)
        }
    };

    let report = Report::new(&stack, &picture, &Thresholds::default())?;
    let difference = report.recomposition;
    println!("recomposition error: at most {} of 255, {:.4} on average", difference.max, difference.mean);
    for (layer, found) in stack.iter().zip(&report.layers) {
        let visible = 100.0 * found.visible_share;
        println!(
            "  {}: covers {:.1} % of the canvas, {visible:.0} % of it visible",
            layer.name,
            100.0 * found.coverage
        );
    }

    let pruned = prune(stack, &report);
    for note in &pruned.notes {
        println!("{note}");
    }
    let exact = solve_exact(pruned.stack, &picture)?;
    let report = Report::new(&exact, &picture, &Thresholds::default())?;
    println!("after solve_exact: at most {} of 255", report.recomposition.max);
    Ok(())
}

fn read(file: &OsString) -> Result<RgbaImage, Box<dyn Error>> {
    let reader = BufReader::new(File::open(file)?);
    match decode(reader, &Limits::default()) {
        Ok(picture) => Ok(picture.pixels),
        Err(error) => {
            let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
            Err(format!("{}: {error}{help}", file.to_string_lossy()).into())
        }
    }
}

/// A red square on blue, with layers that are slightly off and one that is empty.
fn sample() -> Result<(RgbaImage, LayerStack), Box<dyn Error>> {
    let on_square = |x: u32, y: u32| (20..60).contains(&x) && (10..50).contains(&y);
    let picture =
        RgbaImage::from_fn(
            80,
            60,
            |x, y| {
                if on_square(x, y) { Rgba([220, 30, 30, 255]) } else { Rgba([20, 60, 200, 255]) }
            },
        );
    let square =
        RgbaImage::from_fn(80, 60, |x, y| if on_square(x, y) { Rgba([214, 34, 30, 255]) } else { Rgba([0; 4]) });
    let layers = vec![
        Layer::new("background", Kind::Background, RgbaImage::from_pixel(80, 60, Rgba([22, 58, 200, 255]))),
        Layer::new("square", Kind::Object, square),
        Layer::new("nothing", Kind::Unknown, RgbaImage::new(80, 60)),
    ];
    Ok((picture, LayerStack::new(80, 60, layers)?))
}

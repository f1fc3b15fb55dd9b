//! Layers reduced to a model's size and brought back, against the layers they were.
//!
//! The peer is plain premultiplied Lanczos enlargement of every layer. Measured
//! over all layers but the lowest:
//!
//! - soft IoU of alpha and RGB L1, as in `layers::metrics`;
//! - edge error: mean difference of the premultiplied channels (0 to 255)
//!   within 5 pixels of the true layer's edges;
//! - over magenta: the same for the layer put on magenta, where a rim of the
//!   ground's colour would show.
//!
//! `exact` reduces the true layers as they are; `decoded` blurs them and adds
//! noise, as a model's decoder does.

#[path = "upscale/scenes.rs"]
mod scenes;

use std::ops::ControlFlow;
use std::time::Instant;

use image::RgbaImage;
use layers::{
    Difference, Filter, Layer, LayerStack, flatten, metrics::pair_score, over_colour, premultiply, resize, upscale,
};

const BAND: i64 = 5;
const MAGENTA: [u8; 3] = [255, 0, 255];

#[derive(Default, Clone, Copy)]
struct Measured {
    iou: f64,
    rgb_l1: f64,
    edge: f64,
    magenta: f64,
}

fn main() {
    println!(
        "{:<10} {:<8} {:<8} {:>8} {:>8} {:>8} {:>8}",
        "scene", "layers", "way", "IoU", "RGB L1", "edge", "magenta"
    );
    let mut totals: Vec<(&str, &str, Measured)> = Vec::new();
    for (name, truth) in scenes::all() {
        let input = flatten(&truth);
        for (kind, small) in [("exact", reduced(&truth, false)), ("decoded", reduced(&truth, true))] {
            let plain = enlarged(&small, &input);
            let started = Instant::now();
            let upscaled = upscale(&small, &input, &mut |_| ControlFlow::Continue(())).expect("the input has pixels");
            let seconds = started.elapsed().as_secs_f64();
            let error = Difference::between(&flatten(&upscaled), &input).expect("one size").max;
            assert!(error <= 1, "the composite is off by {error}");
            for (way, stack) in [("Lanczos", &plain), ("upscale", &upscaled)] {
                let found = measure(stack, &truth);
                print_line(name, kind, way, found);
                totals.push((kind, way, found));
            }
            println!("{name:<10} {kind:<8} upscale took {seconds:.2} s");
        }
    }
    for kind in ["exact", "decoded"] {
        let mean = |way: &str| {
            let found: Vec<_> = totals.iter().filter(|total| total.0 == kind && total.1 == way).collect();
            let part = |value: fn(&Measured) -> f64| {
                found.iter().map(|total| value(&total.2)).sum::<f64>() / found.len() as f64
            };
            let (iou, rgb_l1) = (part(|found| found.iou), part(|found| found.rgb_l1));
            Measured { iou, rgb_l1, edge: part(|found| found.edge), magenta: part(|found| found.magenta) }
        };
        let (plain, upscaled) = (mean("Lanczos"), mean("upscale"));
        print_line("mean", kind, "Lanczos", plain);
        print_line("mean", kind, "upscale", upscaled);
        println!(
            "mean       {kind:<8} edge error {:+.0} %, over magenta {:+.0} %",
            (upscaled.edge / plain.edge - 1.0) * 100.0,
            (upscaled.magenta / plain.magenta - 1.0) * 100.0,
        );
    }
}

fn print_line(scene: &str, kind: &str, way: &str, found: Measured) {
    let Measured { iou, rgb_l1, edge, magenta } = found;
    println!("{scene:<10} {kind:<8} {way:<8} {iou:>8.4} {rgb_l1:>8.4} {edge:>8.2} {magenta:>8.2}");
}

/// As a model gives the layers back: 640 pixels squared in area, sides of whole 32s, so the shape changes a little.
fn reduced(truth: &LayerStack, decoded: bool) -> LayerStack {
    let scale = 640.0 / (f64::from(truth.width()) * f64::from(truth.height())).sqrt();
    let side = |length: u32| ((f64::from(length) * scale / 32.0).round() * 32.0) as u32;
    let (width, height) = (side(truth.width()), side(truth.height()));
    let mut seed = 1_u32;
    let layers = truth.layers().iter().map(|layer| {
        let mut pixels = resize(&layer.pixels, width, height, Filter::Lanczos3).expect("sides above zero");
        if decoded {
            let soft = resize(&pixels, width * 3 / 4, height * 3 / 4, Filter::Bilinear).expect("sides above zero");
            pixels = resize(&soft, width, height, Filter::Bilinear).expect("sides above zero");
            for pixel in pixels.pixels_mut() {
                let is_edge = (1..255).contains(&pixel[3]);
                for (channel, value) in pixel.0.iter_mut().enumerate() {
                    if channel < 3 || is_edge {
                        *value = value.saturating_add_signed(noise(&mut seed));
                    }
                }
            }
        }
        Layer::new(layer.name.clone(), layer.kind, pixels)
    });
    LayerStack::new(width, height, layers.collect()).expect("one size")
}

/// About -8 to 8, triangular.
fn noise(seed: &mut u32) -> i8 {
    let mut roll = || {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*seed >> 24) as i32 % 9
    };
    (roll() - roll()) as i8
}

fn enlarged(small: &LayerStack, input: &RgbaImage) -> LayerStack {
    let (width, height) = input.dimensions();
    let layers = small.layers().iter().map(|layer| Layer {
        pixels: resize(&layer.pixels, width, height, Filter::Lanczos3).expect("sides above zero"),
        ..layer.clone()
    });
    LayerStack::new(width, height, layers.collect()).expect("one size")
}

fn measure(found: &LayerStack, truth: &LayerStack) -> Measured {
    let mut sum = Measured::default();
    let count = (truth.layers().len() - 1) as f64;
    for (found, truth) in found.layers().iter().zip(truth.layers()).skip(1) {
        let score = pair_score(&found.pixels, &truth.pixels).expect("one size");
        let band = band(&truth.pixels);
        sum.iou += score.alpha_iou / count;
        sum.rgb_l1 += score.rgb_l1 / count;
        sum.edge += difference(&found.pixels, &truth.pixels, &band, |picture, at| premultiply(picture[at]).0) / count;
        let grounds = [over_colour(&found.pixels, MAGENTA), over_colour(&truth.pixels, MAGENTA)];
        let opaque = grounds.map(|ground| image::DynamicImage::from(ground).into_rgba8());
        sum.magenta += difference(&opaque[0], &opaque[1], &band, |picture, at| picture[at].0) / count;
    }
    sum
}

fn difference(
    a: &RgbaImage,
    b: &RgbaImage,
    band: &[(u32, u32)],
    pixel: impl Fn(&RgbaImage, (u32, u32)) -> [u8; 4],
) -> f64 {
    let sum: u64 = band
        .iter()
        .flat_map(|at| pixel(a, *at).into_iter().zip(pixel(b, *at)))
        .map(|(a, b)| u64::from(a.abs_diff(b)))
        .sum();
    sum as f64 / (band.len().max(1) * 4) as f64
}

/// Pixels within [`BAND`] of a place where alpha crosses one half or is partial beside full or none.
fn band(layer: &RgbaImage) -> Vec<(u32, u32)> {
    let (width, height) = (i64::from(layer.width()), i64::from(layer.height()));
    let alpha = |x: i64, y: i64| layer.get_pixel(x as u32, y as u32).0[3];
    let mut near = vec![false; (width * height) as usize];
    for y in 0..height - 1 {
        for x in 0..width - 1 {
            let here = alpha(x, y);
            if here.abs_diff(alpha(x + 1, y)).max(here.abs_diff(alpha(x, y + 1))) < 24 {
                continue;
            }
            for row in (y - BAND).max(0)..(y + BAND + 1).min(height) {
                near[(row * width + (x - BAND).max(0)) as usize..(row * width + (x + BAND + 1).min(width)) as usize]
                    .fill(true);
            }
        }
    }
    let places = (0..near.len()).filter(|at| near[*at]);
    places.map(|at| ((at as i64 % width) as u32, (at as i64 / width) as u32)).collect()
}

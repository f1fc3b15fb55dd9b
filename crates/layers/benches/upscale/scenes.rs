//! Small posters whose layers are known: shapes by formula, sixteen samples for each pixel.

use image::{Rgba, RgbaImage};
use layers::{Kind, Layer, LayerStack};

const WIDTH: u32 = 1600;
const HEIGHT: u32 = 1200;

/// Inside is above zero; near an edge it is the distance to it in pixels.
type Shape = Box<dyn Fn(f32, f32) -> f32>;
type Paint = Box<dyn Fn(f32, f32) -> [f32; 3]>;

pub(crate) fn all() -> Vec<(&'static str, LayerStack)> {
    vec![("flat", flat()), ("textured", textured()), ("soft", soft())]
}

fn flat() -> LayerStack {
    stack(vec![
        solid(ramp([240.0, 235.0, 220.0], [200.0, 215.0, 235.0]), |_, _| 9.0),
        solid(even([200.0, 60.0, 50.0]), disc(520.0, 600.0, 330.0)),
        solid(even([30.0, 80.0, 150.0]), block(900.0, 640.0, 330.0, 190.0, 0.4)),
        solid(even([250.0, 200.0, 40.0]), star(980.0, 560.0, 240.0)),
        solid(even([25.0, 25.0, 30.0]), letters(140.0, 100.0, 5.0)),
        solid(even([250.0, 250.0, 250.0]), letters(500.0, 620.0, 3.0)),
    ])
}

fn textured() -> LayerStack {
    stack(vec![
        solid(mottled([110.0, 140.0, 90.0], 25.0, 0.02), |_, _| 9.0),
        solid(mottled([190.0, 160.0, 120.0], 30.0, 0.06), disc(600.0, 560.0, 380.0)),
        solid(mottled([60.0, 60.0, 90.0], 20.0, 0.15), star(1050.0, 640.0, 300.0)),
        solid(even([240.0, 240.0, 235.0]), letters(260.0, 420.0, 6.0)),
    ])
}

fn soft() -> LayerStack {
    let shadow =
        |x: f32, y: f32| 0.6 * (-((x - 830.0).powi(2) + (y - 690.0).powi(2)) / (2.0 * 180.0_f32.powi(2))).exp();
    stack(vec![
        solid(ramp([90.0, 150.0, 190.0], [230.0, 240.0, 245.0]), |_, _| 9.0),
        layer(even([10.0, 10.0, 25.0]), shadow),
        solid(mottled([220.0, 120.0, 60.0], 15.0, 0.03), disc(800.0, 600.0, 260.0)),
        layer(even([255.0, 255.0, 255.0]), veil(block(520.0, 820.0, 420.0, 150.0, 0.0), 0.55)),
        solid(even([40.0, 40.0, 60.0]), letters(220.0, 720.0, 4.0)),
    ])
}

fn stack(layers: Vec<RgbaImage>) -> LayerStack {
    let named = layers
        .into_iter()
        .enumerate()
        .map(|(index, pixels)| Layer::new(format!("layer {index}"), Kind::Unknown, pixels));
    LayerStack::new(WIDTH, HEIGHT, named.collect()).expect("one size")
}

fn solid(paint: Paint, shape: impl Fn(f32, f32) -> f32) -> RgbaImage {
    layer(paint, |x, y| {
        let samples = (0..16).filter(|sample| {
            let (dx, dy) = (sample % 4, sample / 4);
            shape(x + (dx as f32 - 1.5) / 4.0, y + (dy as f32 - 1.5) / 4.0) > 0.0
        });
        samples.count() as f32 / 16.0
    })
}

fn layer(paint: Paint, alpha: impl Fn(f32, f32) -> f32) -> RgbaImage {
    RgbaImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
        let alpha = (alpha(x, y) * 255.0).round() as u8;
        let [r, g, b] = paint(x, y).map(|value| value.round() as u8);
        if alpha == 0 { Rgba([0; 4]) } else { Rgba([r, g, b, alpha]) }
    })
}

fn veil(shape: Shape, alpha: f32) -> impl Fn(f32, f32) -> f32 {
    move |x, y| if shape(x, y) > 0.0 { alpha } else { 0.0 }
}

fn even(colour: [f32; 3]) -> Paint {
    Box::new(move |_, _| colour)
}

fn ramp(top: [f32; 3], bottom: [f32; 3]) -> Paint {
    Box::new(move |_, y| {
        let t = y / HEIGHT as f32;
        [0, 1, 2].map(|channel: usize| top[channel] * (1.0 - t) + bottom[channel] * t)
    })
}

/// A colour with smooth noise of `amplitude` around it.
fn mottled(colour: [f32; 3], amplitude: f32, frequency: f32) -> Paint {
    Box::new(move |x, y| {
        let (u, v) = (x * frequency, y * frequency);
        let wave = (u + 1.7 * (v * 0.7).sin()).sin() * (v + 1.3 * (u * 0.9).cos()).cos();
        let fine = (u * 3.1 + v * 2.3).sin() * 0.3;
        [1.0, 0.8, 0.6]
            .map(|part: f32| part * amplitude * (wave + fine))
            .iter()
            .zip(colour)
            .fold(([0.0; 3], 0), |(mut out, index), (change, base)| {
                out[index] = (base + change).clamp(0.0, 255.0);
                (out, index + 1)
            })
            .0
    })
}

fn disc(x: f32, y: f32, radius: f32) -> Shape {
    Box::new(move |px, py| radius - (px - x).hypot(py - y))
}

fn block(x: f32, y: f32, half_width: f32, half_height: f32, turn: f32) -> Shape {
    let (sin, cos) = turn.sin_cos();
    Box::new(move |px, py| {
        let (dx, dy) = (px - x, py - y);
        let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
        (half_width - u.abs()).min(half_height - v.abs())
    })
}

fn star(x: f32, y: f32, radius: f32) -> Shape {
    Box::new(move |px, py| {
        let (dx, dy) = (px - x, py - y);
        let turn = dy.atan2(dx) * 5.0;
        radius * (0.7 + 0.3 * turn.cos()) - dx.hypot(dy)
    })
}

/// A line of strokes like letters, each `weight` pixels to both sides of its middle.
fn letters(x: f32, y: f32, weight: f32) -> Shape {
    Box::new(move |px, py| {
        let (u, v) = (px - x, py - y);
        if !(-20.0..=820.0).contains(&u) || !(-20.0..=120.0).contains(&v) {
            return -1.0;
        }
        let cell = 70.0;
        let (index, u) = ((u / cell).floor(), u.rem_euclid(cell));
        let bar = |from: (f32, f32), to: (f32, f32)| {
            let (ex, ey) = (to.0 - from.0, to.1 - from.1);
            let t = (((u - from.0) * ex + (v - from.1) * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0);
            weight - (u - from.0 - t * ex).hypot(v - from.1 - t * ey)
        };
        let ring = weight - ((u - 35.0).hypot(v - 65.0) - 24.0).abs();
        match index as i32 % 4 {
            0 => {
                bar((12.0, 90.0), (35.0, 5.0)).max(bar((58.0, 90.0), (35.0, 5.0))).max(bar((20.0, 60.0), (50.0, 60.0)))
            }
            1 => ring,
            2 => {
                bar((15.0, 5.0), (15.0, 90.0)).max(bar((15.0, 48.0), (55.0, 5.0))).max(bar((15.0, 48.0), (55.0, 90.0)))
            }
            _ => bar((12.0, 10.0), (58.0, 10.0)).max(bar((35.0, 10.0), (35.0, 90.0))),
        }
    })
}

//! Shapes and figures as vector paths, anti-aliased.

use image::{Rgba, RgbaImage, imageops};
use tiny_skia::{
    FillRule, GradientStop, LinearGradient, Paint, Path, PathBuilder, Pixmap, Point, Rect, Shader, SpreadMode, Stroke,
    Transform,
};

use crate::colour::{Colour, contrasting, hsv, mix};
use crate::random::Random;

fn skia(colour: Colour) -> tiny_skia::Color {
    let [r, g, b] = colour.map(|v| (v * 255.0 + 0.5) as u8);
    tiny_skia::Color::from_rgba8(r, g, b, 255)
}

fn solid(colour: Colour) -> Paint<'static> {
    Paint { shader: Shader::SolidColor(skia(colour)), anti_alias: true, ..Paint::default() }
}

/// A transparent canvas.
pub(crate) struct Canvas(Pixmap);

impl Canvas {
    /// # Panics
    /// When a side is 0.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self(Pixmap::new(width, height).expect("a poster has pixels"))
    }

    pub(crate) fn fill(&mut self, path: Option<Path>, colour: Colour) {
        if let Some(path) = path {
            self.0.fill_path(&path, &solid(colour), FillRule::Winding, Transform::identity(), None);
        }
    }

    /// Fills with a gradient from the top to the bottom of the path.
    fn shade(&mut self, path: Option<Path>, top: Colour, bottom: Colour) {
        let Some(path) = path else { return };
        let bounds = path.bounds();
        let stops = vec![GradientStop::new(0.0, skia(top)), GradientStop::new(1.0, skia(bottom))];
        let (from, to) = (Point::from_xy(0.0, bounds.top()), Point::from_xy(0.0, bounds.bottom()));
        let shader = LinearGradient::new(from, to, stops, SpreadMode::Pad, Transform::identity());
        let Some(shader) = shader else { return self.fill(Some(path), top) };
        let paint = Paint { shader, anti_alias: true, ..Paint::default() };
        self.0.fill_path(&path, &paint, FillRule::Winding, Transform::identity(), None);
    }

    pub(crate) fn stroke(&mut self, path: Option<Path>, width: f32, colour: Colour) {
        if let Some(path) = path {
            let stroke = Stroke {
                width,
                line_cap: tiny_skia::LineCap::Round,
                line_join: tiny_skia::LineJoin::Round,
                ..Stroke::default()
            };
            self.0.stroke_path(&path, &solid(colour), &stroke, Transform::identity(), None);
        }
    }

    /// Straight 8-bit colours and alpha.
    pub(crate) fn into_picture(self) -> RgbaImage {
        let (width, height) = (self.0.width(), self.0.height());
        let pixels = self.0.pixels();
        RgbaImage::from_fn(width, height, |x, y| {
            let colour = pixels[(y * width + x) as usize].demultiply();
            Rgba([colour.red(), colour.green(), colour.blue(), colour.alpha()])
        })
    }
}

/// Puts a soft black shadow under a layer: blurred by `sigma`, moved by `offset`.
pub(crate) fn with_shadow(layer: &RgbaImage, offset: (i64, i64), sigma: f32, strength: f32) -> RgbaImage {
    let alpha =
        image::GrayImage::from_fn(layer.width(), layer.height(), |x, y| image::Luma([layer.get_pixel(x, y)[3]]));
    let soft = imageops::fast_blur(&alpha, sigma);
    let mut out = RgbaImage::new(layer.width(), layer.height());
    for (x, y, pixel) in out.enumerate_pixels_mut() {
        let (from_x, from_y) = (i64::from(x) - offset.0, i64::from(y) - offset.1);
        let inside =
            from_x >= 0 && from_y >= 0 && from_x < i64::from(soft.width()) && from_y < i64::from(soft.height());
        let dark = if inside { f32::from(soft.get_pixel(from_x as u32, from_y as u32)[0]) * strength } else { 0.0 };
        *pixel = layers::over(*layer.get_pixel(x, y), Rgba([0, 0, 0, dark.round() as u8]));
    }
    out
}

fn disk(x: f32, y: f32, radius: f32) -> Option<Path> {
    PathBuilder::from_circle(x, y, radius)
}

fn polygon(points: impl IntoIterator<Item = (f32, f32)>) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (k, (x, y)) in points.into_iter().enumerate() {
        if k == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    path.close();
    path.finish()
}

fn line(from: (f32, f32), to: (f32, f32)) -> Option<Path> {
    let mut path = PathBuilder::new();
    path.move_to(from.0, from.1);
    path.line_to(to.0, to.1);
    path.finish()
}

fn rounded(x: f32, y: f32, width: f32, height: f32, radius: f32) -> Option<Path> {
    let (r, b) = (x + width, y + height);
    let mut path = PathBuilder::new();
    path.move_to(x + radius, y);
    path.line_to(r - radius, y);
    path.quad_to(r, y, r, y + radius);
    path.line_to(r, b - radius);
    path.quad_to(r, b, r - radius, b);
    path.line_to(x + radius, b);
    path.quad_to(x, b, x, b - radius);
    path.line_to(x, y + radius);
    path.quad_to(x, y, x + radius, y);
    path.close();
    path.finish()
}

fn oval(x: f32, y: f32, width: f32, height: f32) -> Option<Path> {
    PathBuilder::from_oval(Rect::from_xywh(x - width / 2.0, y - height / 2.0, width, height)?)
}

/// Two to five shapes, beside the subject and below the headline. `unit` is 1/1024 of the side.
pub(crate) fn shapes(canvas: &mut Canvas, size: (f32, f32), unit: f32, background: Colour, random: &mut Random) {
    let (width, height) = size;
    for _ in 0..2 + random.below(4) {
        let radius = random.between(35.0, 90.0) * unit;
        let y = random.between(0.33 * height, height - 130.0 * unit - radius);
        let side = random.between(radius * 0.7, (width / 2.0 - 300.0 * unit).max(radius));
        let x = if random.chance(0.5) { side } else { width - side };
        let colour = contrasting(background, random);
        match random.below(4) {
            0 => canvas.fill(disk(x, y, radius), colour),
            1 => canvas.fill(rounded(x - radius, y - 0.7 * radius, 2.0 * radius, 1.4 * radius, 15.0 * unit), colour),
            2 => canvas.stroke(disk(x, y, radius * 0.8), radius * 0.35, colour),
            _ => {
                let turn = random.between(0.0, 1.0);
                canvas.fill(
                    polygon((0..10).map(|k| {
                        let reach = if k % 2 == 0 { radius } else { radius * 0.45 };
                        let (sin, cos) = (k as f32 * std::f32::consts::PI / 5.0 + turn).sin_cos();
                        (x + reach * cos, y + reach * sin)
                    })),
                    colour,
                );
            }
        }
    }
}

/// The main motif around `centre`.
pub(crate) fn subject(canvas: &mut Canvas, centre: (f32, f32), unit: f32, background: Colour, random: &mut Random) {
    let colours = [(); 3].map(|()| contrasting(background, random));
    match random.below(4) {
        0 | 1 => person(canvas, centre, unit, colours),
        2 => bottle(canvas, centre, unit, colours),
        _ => cat(canvas, centre, unit, colours),
    }
}

fn darker(colour: Colour) -> Colour {
    mix(colour, [0.0; 3], 0.25)
}

fn person(canvas: &mut Canvas, (cx, cy): (f32, f32), u: f32, [coat, belt, hair]: [Colour; 3]) {
    let skin = hsv(0.07, 0.35, 0.97);
    canvas.stroke(line((cx - 120.0 * u, cy + 60.0 * u), (cx - 220.0 * u, cy - 40.0 * u)), 42.0 * u, coat);
    canvas.stroke(line((cx + 120.0 * u, cy + 60.0 * u), (cx + 230.0 * u, cy + 150.0 * u)), 42.0 * u, coat);
    canvas.shade(rounded(cx - 130.0 * u, cy, 260.0 * u, 290.0 * u, 60.0 * u), coat, darker(coat));
    canvas.fill(rounded(cx - 130.0 * u, cy + 120.0 * u, 260.0 * u, 40.0 * u, 2.0 * u), belt);
    canvas.fill(disk(cx - 222.0 * u, cy - 42.0 * u, 28.0 * u), skin);
    canvas.fill(disk(cx + 232.0 * u, cy + 152.0 * u, 28.0 * u), skin);
    canvas.fill(disk(cx, cy - 92.0 * u, 118.0 * u), hair);
    canvas.shade(oval(cx, cy - 65.0 * u, 200.0 * u, 190.0 * u), skin, mix(skin, [0.8, 0.5, 0.4], 0.25));
    for side in [-40.0, 40.0] {
        canvas.fill(disk(cx + side * u, cy - 70.0 * u, 12.0 * u), [0.12, 0.1, 0.1]);
    }
    canvas.stroke(line((cx - 30.0 * u, cy - 12.0 * u), (cx + 30.0 * u, cy - 12.0 * u)), 8.0 * u, [0.6, 0.15, 0.15]);
}

fn bottle(canvas: &mut Canvas, (cx, cy): (f32, f32), u: f32, [glass, label, cap]: [Colour; 3]) {
    canvas.shade(rounded(cx - 45.0 * u, cy - 220.0 * u, 90.0 * u, 200.0 * u, 20.0 * u), glass, darker(glass));
    canvas.shade(rounded(cx - 120.0 * u, cy - 70.0 * u, 240.0 * u, 360.0 * u, 70.0 * u), glass, darker(glass));
    canvas.fill(rounded(cx - 55.0 * u, cy - 250.0 * u, 110.0 * u, 50.0 * u, 10.0 * u), cap);
    canvas.fill(rounded(cx - 120.0 * u, cy + 40.0 * u, 240.0 * u, 150.0 * u, 4.0 * u), label);
    canvas.fill(disk(cx, cy + 115.0 * u, 48.0 * u), cap);
}

fn cat(canvas: &mut Canvas, (cx, cy): (f32, f32), u: f32, [fur, chest, collar]: [Colour; 3]) {
    canvas.stroke(line((cx + 110.0 * u, cy + 240.0 * u), (cx + 210.0 * u, cy + 60.0 * u)), 40.0 * u, fur);
    canvas.shade(oval(cx, cy + 140.0 * u, 290.0 * u, 300.0 * u), fur, darker(fur));
    canvas.fill(oval(cx, cy + 170.0 * u, 130.0 * u, 200.0 * u), chest);
    for side in [-1.0, 1.0] {
        let ear = [(30.0, -150.0), (125.0, -240.0), (125.0, -90.0)];
        canvas.fill(polygon(ear.map(|(x, y)| (cx + side * x * u, cy + y * u))), fur);
    }
    canvas.fill(oval(cx, cy - 80.0 * u, 270.0 * u, 220.0 * u), fur);
    canvas.fill(rounded(cx - 100.0 * u, cy + 10.0 * u, 200.0 * u, 30.0 * u, 10.0 * u), collar);
    for side in [-60.0, 60.0] {
        canvas.fill(oval(cx + side * u, cy - 95.0 * u, 44.0 * u, 56.0 * u), [0.95, 0.9, 0.5]);
        canvas.fill(oval(cx + side * u, cy - 95.0 * u, 16.0 * u, 48.0 * u), [0.08, 0.08, 0.08]);
    }
    canvas.fill(polygon([(-16.0, -50.0), (16.0, -50.0), (0.0, -30.0)].map(|(x, y)| (cx + x * u, cy + y * u))), collar);
}

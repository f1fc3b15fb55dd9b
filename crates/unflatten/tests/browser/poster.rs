//! A poster whose parts are known: a soft ground, a red disc, a blue square, a line of bars for words.

use std::io::Cursor;

use image::{Rgba, RgbaImage};
use serde_json::Value;

pub(crate) const RED: [u8; 4] = [214, 40, 40, 255];
pub(crate) const BLUE: [u8; 4] = [24, 70, 170, 255];
/// Middle of the disc.
pub(crate) const RED_AT: (u32, u32) = (160, 240);
/// Middle of the square.
pub(crate) const BLUE_AT: (u32, u32) = (460, 260);
/// On one of the bars.
pub(crate) const BAR_AT: (u32, u32) = (245, 80);

const INK: [u8; 4] = [20, 24, 30, 255];
const RADIUS: f32 = 70.0;

pub(crate) struct Poster {
    pixels: RgbaImage,
}

impl Poster {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let pixels = RgbaImage::from_fn(width, height, |x, y| {
            let down = y as f32 / height as f32;
            let ground = [250.0 - 20.0 * down, 240.0 - 30.0 * down, 220.0 - 10.0 * down].map(|v| v as u8);
            let away = (x as f32 - RED_AT.0 as f32).hypot(y as f32 - RED_AT.1 as f32);
            let bar = (60..100).contains(&y) && (60..480).contains(&x) && x % 30 < 18;
            let square = x.abs_diff(BLUE_AT.0) < 60 && y.abs_diff(BLUE_AT.1) < 60;
            let (top, alpha) = match () {
                () if bar => (INK, 1.0),
                () if square => (BLUE, 1.0),
                // One pixel of anti-aliasing around the disc.
                () => (RED, (RADIUS + 0.5 - away).clamp(0.0, 1.0)),
            };
            let mix = |c: usize| (f32::from(top[c]) * alpha + f32::from(ground[c]) * (1.0 - alpha)).round() as u8;
            Rgba([mix(0), mix(1), mix(2), 255])
        });
        Self { pixels }
    }

    pub(crate) fn png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.pixels.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png).expect("PNG into memory");
        bytes
    }

    /// Checks that a PNG is this poster: at most 1 of 255 off in every pixel.
    pub(crate) fn assert_is(&self, png: &[u8]) {
        let found = image::load_from_memory(png).expect("a PNG").into_rgba8();
        assert_eq!(found.dimensions(), self.pixels.dimensions());
        for ((x, y, found), wanted) in found.enumerate_pixels().zip(self.pixels.pixels()) {
            let off = found.0.into_iter().zip(wanted.0).map(|(a, b)| a.abs_diff(b)).max();
            assert!(off <= Some(1), "{found:?} instead of {wanted:?} at {x}, {y}");
        }
    }

    /// Composites the layers of a downloaded ZIP with arithmetic of our own and
    /// compares with the poster: at most 1 of 255 off in every pixel.
    pub(crate) fn assert_recomposed_by(&self, archive: &[u8]) {
        let mut archive = zip::ZipArchive::new(Cursor::new(archive)).expect("a ZIP");
        let metadata: Value = serde_json::from_slice(&read(&mut archive, "metadata.json")).expect("JSON");
        let mut below = vec![[0.0_f32; 4]; (self.pixels.width() * self.pixels.height()) as usize];
        for layer in metadata["layers"].as_array().expect("layers") {
            let bytes = read(&mut archive, layer["file"].as_str().expect("a file name"));
            let layer = image::load_from_memory(&bytes).expect("a PNG").into_rgba8();
            assert_eq!(layer.dimensions(), self.pixels.dimensions());
            for (under, over) in below.iter_mut().zip(layer.pixels()) {
                let alpha = f32::from(over[3]) / 255.0;
                for c in 0..3 {
                    under[c] = f32::from(over[c]) * alpha + under[c] * (1.0 - alpha);
                }
                under[3] = 255.0 * alpha + under[3] * (1.0 - alpha);
            }
        }
        for (index, (composite, pixel)) in below.iter().zip(self.pixels.pixels()).enumerate() {
            for c in 0..4 {
                let off = (composite[c] - f32::from(pixel[c])).abs();
                // Half a step more, because each side was rounded once.
                assert!(off <= 1.5, "pixel {index}, channel {c}: {composite:?} instead of {pixel:?}");
            }
        }
        assert!(image::load_from_memory(&read(&mut archive, "preview.jpg")).is_ok(), "the preview is not a picture");
    }
}

fn read(archive: &mut zip::ZipArchive<Cursor<&[u8]>>, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = archive.by_name(name).unwrap_or_else(|err| panic!("{name} is not in the ZIP: {err}"));
    std::io::Read::read_to_end(&mut file, &mut bytes).expect("an entry that unpacks");
    bytes
}

/// Whether two pixels are the same but for rounding (a canvas keeps 8 bits between layers).
pub(crate) fn near(one: [u8; 4], other: [u8; 4]) -> bool {
    one.iter().zip(other).all(|(a, b)| a.abs_diff(b) <= 3)
}

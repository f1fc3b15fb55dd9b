//! Pictures that tests send.

use std::path::Path;

use image::{Rgba, RgbaImage};

/// A poster of our own making: a soft background, bars, discs with smooth edges.
pub(crate) fn poster(width: u32, height: u32, variant: u32) -> RgbaImage {
    let (w, h) = (width as f32, height as f32);
    RgbaImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32, y as f32);
        let mut colour = [235.0 - 20.0 * y / h, 225.0, 200.0 + (variant % 40) as f32];
        let mut paint = |alpha: f32, paint: [f32; 3]| {
            for (below, above) in colour.iter_mut().zip(paint) {
                *below += alpha.clamp(0.0, 1.0) * (above - *below);
            }
        };
        let disc = |cx: f32, cy: f32, r: f32| r - (x - cx * w).hypot(y - cy * h) + 0.5;
        paint(disc(0.3, 0.35, 0.18 * w), [200.0, 60.0, 50.0]);
        paint(disc(0.7, 0.3, 0.12 * w), [30.0, 90.0, 160.0]);
        paint(disc(0.65, 0.7, 0.2 * w), [40.0, 130.0, 80.0]);
        if (0.1..0.5).contains(&(x / w)) && (0.8..0.86).contains(&(y / h)) {
            paint(1.0, [20.0, 20.0, 30.0]);
        }
        let [r, g, b] = colour.map(|value| value.round() as u8);
        Rgba([r, g, b, 255])
    })
}

pub(crate) fn write_poster(dir: &Path, name: &str, side: u32) -> RgbaImage {
    let picture = poster(side, side, 0);
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("the folder can be made");
    picture.save(path).expect("the poster can be written");
    picture
}

/// A poster as PNG bytes.
pub(crate) fn poster_png(side: u32, variant: u32) -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    poster(side, side, variant).write_to(&mut png, image::ImageFormat::Png).expect("a PNG in memory");
    png.into_inner()
}

/// Noise: a picture whose layers compress badly, so that results are large.
pub(crate) fn noise_png(width: u32, height: u32) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let picture = RgbaImage::from_fn(width, height, |_, _| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let [r, g, b, _] = state.to_be_bytes();
        Rgba([r, g, b, 255])
    });
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).expect("a PNG in memory");
    png.into_inner()
}

/// A poster with a title of two lines, as a PNG.
pub(crate) fn titled_png() -> Vec<u8> {
    use typeset::{Align, Bounds, Colour, Fonts, Line, Position, Run, Sources, Style, Text};
    let style = Style { weight: 700, ..Style::new("Noto Sans KR", 52.0, Colour::rgb(30, 40, 110)) };
    let line = |words: &str| Line { runs: vec![Run { text: words.to_owned(), style: style.clone() }] };
    let text = Text {
        lines: vec![line("여름 바다 축제"), line("Free admission")],
        align: Align::Centre,
        angle: 0.0,
        position: Position { x: 300.0, y: 120.0 },
    };
    let fonts = Fonts::load(&Sources::default());
    let bounds = Bounds { x: 0, y: 0, width: 600, height: 400 };
    let drawn = typeset::render(&text, &fonts, bounds).expect("drawn");
    let mut poster = image::RgbaImage::from_pixel(600, 400, image::Rgba([248, 236, 210, 255]));
    image::imageops::overlay(&mut poster, &drawn.picture, drawn.x.into(), drawn.y.into());
    let mut png = Vec::new();
    layers::write_png(&mut png, &poster).expect("encoded");
    png
}

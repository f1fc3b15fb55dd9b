//! Layers whose words were edited: the words drawn, over what stays of the pixels.

use image::{Rgba, RgbaImage};
use jobs::tree::{Placing, Retyped};
use layers::{Filter, Rect};
use typeset::{Bounds, Fonts};

use super::source::LoadError;

/// Clears the pixels of words that were edited: those that are nearer to their boxes than to those of words that stay.
/// `corner` is where the picture's first pixel lies on the canvas of the boxes.
pub(super) fn erase(picture: &mut RgbaImage, corner: (u32, u32), retyped: &Retyped) {
    let distance = |boxes: &[Rect], x: u32, y: u32| {
        boxes.iter().map(|area| gap(x, area.x, area.width).pow(2) + gap(y, area.y, area.height).pow(2)).min()
    };
    for (x, y, pixel) in picture.enumerate_pixels_mut().filter(|(.., pixel)| pixel[3] > 0) {
        let (x, y) = (x.saturating_add(corner.0), y.saturating_add(corner.1));
        let kept = distance(&retyped.kept, x, y);
        if kept.is_none_or(|kept| distance(&retyped.replaced, x, y).is_some_and(|replaced| replaced < kept)) {
            *pixel = Rgba([0; 4]);
        }
    }
}

/// Pixels between a place and a span on one axis.
fn gap(at: u32, start: u32, length: u32) -> u64 {
    let end = u64::from(start) + u64::from(length);
    let at = u64::from(at);
    u64::from(start).saturating_sub(at).max((at + 1).saturating_sub(end))
}

/// A layer as large as the canvas: `kept` pixels, if any, and above them the words. `check` is asked before each block.
pub(super) fn draw(
    kept: Option<RgbaImage>,
    (width, height): (u32, u32),
    retyped: &Retyped,
    fonts: &Fonts,
    check: &dyn Fn() -> Result<(), LoadError>,
) -> Result<RgbaImage, LoadError> {
    let mut canvas = RgbaImage::new(width, height);
    if let Some(kept) = kept {
        let covers = layers::turned_box(kept.width(), kept.height(), retyped.turn);
        let at = (retyped.at.0.saturating_add(covers.x), retyped.at.1.saturating_add(covers.y));
        put(&mut canvas, &layers::turn(&kept, retyped.turn), at);
    }
    for text in &retyped.texts {
        check()?;
        let mut runs = text.lines.iter().flat_map(|line| &line.runs);
        // Nobody sees letters that a layer's scale made smaller than a pixel.
        if runs.any(|run| run.style.size < 1.0) {
            continue;
        }
        let drawn = typeset::render(text, fonts, Bounds { x: 0, y: 0, width, height })?;
        put(&mut canvas, &drawn.picture, (drawn.x, drawn.y));
    }
    Ok(canvas)
}

/// What was drawn on a canvas, scaled differently along its rows and columns, turned and moved. As large as the canvas.
pub(super) fn stretched(
    drawn: RgbaImage,
    stretch: &Placing,
    check: &dyn Fn() -> Result<(), LoadError>,
) -> Result<RgbaImage, LoadError> {
    let mut canvas = RgbaImage::new(drawn.width(), drawn.height());
    let Some(ink) = layers::bounding_box(&drawn) else { return Ok(canvas) };
    let side = |length: u32, scale: f64| ((f64::from(length) * scale).round() as u64).max(1);
    let (width, height) = (side(ink.width, stretch.scale.0), side(ink.height, stretch.scale.1));
    let most = u64::from(drawn.width()) * u64::from(drawn.height());
    let (Ok(columns), Ok(rows)) = (u32::try_from(width), u32::try_from(height)) else {
        return Err(LoadError::TooLarge { width, height });
    };
    if width * height > most {
        return Err(LoadError::TooLarge { width, height });
    }
    let cut = layers::crop(&drawn, ink);
    drop(drawn);
    check()?;
    let scaled = layers::resize(&cut, columns, rows, Filter::Lanczos3)?;
    check()?;
    let middle = |start: u32, length: u32| f64::from(start) + f64::from(length) / 2.0;
    let (x, y) = stretch.point(middle(ink.x, ink.width), middle(ink.y, ink.height));
    let covers = layers::turned_box(columns, rows, stretch.turn);
    let corner = |middle: f64, length: u32| (middle - f64::from(length) / 2.0).round() as i32;
    let turned = layers::turn(&scaled, stretch.turn);
    put(&mut canvas, &turned, (corner(x, covers.width), corner(y, covers.height)));
    Ok(canvas)
}

/// Puts a picture over the canvas; what lies outside is cut off.
fn put(canvas: &mut RgbaImage, picture: &RgbaImage, at: (i32, i32)) {
    for (x, y, top) in picture.enumerate_pixels().filter(|(.., pixel)| pixel[3] > 0) {
        let place = |at: i32, inside: u32| u32::try_from(i64::from(at) + i64::from(inside)).ok();
        let (Some(x), Some(y)) = (place(at.0, x), place(at.1, y)) else { continue };
        if let Some(below) = canvas.get_pixel_mut_checked(x, y) {
            *below = layers::over(*top, *below);
        }
    }
}

#[cfg(test)]
mod tests {
    use typeset::{Align, Colour, Line, Position, Run, Sources, Style, Text};

    use super::*;

    fn text(words: &str, size: f32) -> Text {
        let style = Style::new("Jua", size, Colour::rgb(200, 30, 40));
        let lines = vec![Line { runs: vec![Run { text: words.to_owned(), style }] }];
        Text { lines, align: Align::Left, angle: 0.0, position: Position { x: 4.0, y: 30.0 } }
    }

    fn area(x: u32, width: u32) -> Rect {
        Rect { x, y: 10, width, height: 20 }
    }

    #[test]
    fn pixels_go_with_the_words_that_they_are_nearest_to() {
        let mut picture = RgbaImage::from_pixel(60, 40, Rgba([9, 9, 9, 255]));
        let retyped = Retyped {
            texts: Vec::new(),
            replaced: vec![area(30, 20)],
            kept: vec![area(5, 15)],
            at: (0, 0),
            turn: 0.0,
            stretch: None,
        };
        erase(&mut picture, (0, 0), &retyped);
        let alpha = |x, y| picture.get_pixel(x, y)[3];
        assert_eq!((alpha(0, 0), alpha(20, 15), alpha(24, 39)), (255, 255, 255));
        assert_eq!((alpha(26, 15), alpha(40, 0), alpha(59, 39)), (0, 0, 0));
        // The same on a part of the canvas.
        let mut part = RgbaImage::from_pixel(30, 40, Rgba([9, 9, 9, 255]));
        erase(&mut part, (20, 0), &retyped);
        assert_eq!((part.get_pixel(0, 15)[3], part.get_pixel(10, 15)[3]), (255, 0));
    }

    #[test]
    fn words_are_drawn_over_what_stays() {
        let fonts = Fonts::load(&Sources::default());
        let kept = RgbaImage::from_pixel(10, 10, Rgba([1, 2, 3, 255]));
        let retyped = Retyped {
            texts: vec![text("봄", 24.0)],
            replaced: Vec::new(),
            kept: vec![area(0, 1)],
            at: (-5, 2),
            turn: 0.0,
            stretch: None,
        };
        let drawn = draw(Some(kept), (60, 40), &retyped, &fonts, &|| Ok(())).unwrap();
        assert_eq!(drawn.dimensions(), (60, 40));
        assert_eq!((drawn.get_pixel(4, 2).0, drawn.get_pixel(5, 2)[3]), ([1, 2, 3, 255], 0));
        assert!(drawn.pixels().filter(|pixel| pixel.0 == [200, 30, 40, 255]).count() > 40);
    }

    #[test]
    fn letters_that_nobody_sees_are_left_out_and_too_large_ones_told() {
        let fonts = Fonts::load(&Sources::default());
        let of = |size| Retyped {
            texts: vec![text("봄", size)],
            replaced: Vec::new(),
            kept: Vec::new(),
            at: (0, 0),
            turn: 0.0,
            stretch: None,
        };
        let small = draw(None, (60, 40), &of(0.3), &fonts, &|| Ok(())).unwrap();
        assert!(small.pixels().all(|pixel| pixel[3] == 0));
        let error = draw(None, (60, 40), &of(5000.0), &fonts, &|| Ok(())).unwrap_err().to_string();
        assert!(error.contains("size is 5000; it must be from 1 to 4000 px"), "{error}");
    }
}

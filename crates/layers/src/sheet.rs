use image::{Rgba, RgbaImage};

use crate::composite::over;
use crate::resize::{Filter, ResizeError, fit, resize};
use crate::{LayerStack, flatten};

/// Longest side of a tile in pixels.
const TILE: u32 = 480;
/// Space around the tiles.
const GAP: u32 = 12;
/// Side of a square of the checkerboard.
const SQUARE: u32 = 10;
const PAPER: Rgba<u8> = Rgba([40, 40, 40, 255]);
const LIGHT: Rgba<u8> = Rgba([235, 235, 235, 255]);
const DARK: Rgba<u8> = Rgba([190, 190, 190, 255]);
const WHITE: Rgba<u8> = Rgba([255, 255, 255, 255]);

/// A decomposition at one glance: the input, each layer over a checkerboard (the lowest
/// first), the layers put together again, and the lowest layer alone over white. Tiles go
/// from left to right and then down; each is at most 480 pixels long.
///
/// # Errors
/// When the input has no pixel.
pub fn contact_sheet(input: &RgbaImage, stack: &LayerStack) -> Result<RgbaImage, ResizeError> {
    let (width, height) = fit(stack.width(), stack.height(), TILE);
    let small = |picture: &RgbaImage| resize(picture, width, height, Filter::Area);
    let mut tiles = vec![on(small(input)?, checkerboard)];
    for layer in stack.layers() {
        tiles.push(on(small(&layer.on_canvas(stack.width(), stack.height()))?, checkerboard));
    }
    tiles.push(on(small(&flatten(stack))?, checkerboard));
    if let Some(lowest) = stack.layers().first() {
        tiles.push(on(small(&lowest.on_canvas(stack.width(), stack.height()))?, |_, _| WHITE));
    }

    let columns = columns(tiles.len() as u32, width, height);
    let rows = (tiles.len() as u32).div_ceil(columns);
    let mut sheet = RgbaImage::from_pixel(GAP + columns * (width + GAP), GAP + rows * (height + GAP), PAPER);
    for (k, tile) in (0..).zip(&tiles) {
        let (left, top) = (GAP + k % columns * (width + GAP), GAP + k / columns * (height + GAP));
        image::imageops::replace(&mut sheet, tile, i64::from(left), i64::from(top));
    }
    Ok(sheet)
}

/// As many columns as bring the sheet closest to a screen of 16:10.
fn columns(count: u32, width: u32, height: u32) -> u32 {
    let shape = |columns: u32| {
        let across = f64::from(columns * (width + GAP));
        let down = f64::from(count.div_ceil(columns) * (height + GAP));
        (across / down / 1.6).ln().abs()
    };
    (1..=count).min_by(|a, b| shape(*a).total_cmp(&shape(*b))).unwrap_or(1)
}

fn checkerboard(x: u32, y: u32) -> Rgba<u8> {
    if (x / SQUARE + y / SQUARE).is_multiple_of(2) { LIGHT } else { DARK }
}

fn on(mut picture: RgbaImage, ground: impl Fn(u32, u32) -> Rgba<u8>) -> RgbaImage {
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        *pixel = over(*pixel, ground(x, y));
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Layer};

    fn layer(pixels: RgbaImage) -> Layer {
        Layer::new("", Kind::Unknown, pixels)
    }

    #[test]
    fn input_layers_composite_and_background_are_all_there() {
        let blue = RgbaImage::from_pixel(60, 40, Rgba([0, 0, 250, 255]));
        let half = RgbaImage::from_fn(60, 40, |x, _| if x < 30 { Rgba([250, 0, 0, 255]) } else { Rgba([0; 4]) });
        let stack = LayerStack::new(60, 40, vec![layer(blue), layer(half)]).unwrap();
        let sheet = contact_sheet(&flatten(&stack), &stack).unwrap();
        // Five tiles of 60 x 40: three columns are closest to 16:10.
        assert_eq!(sheet.dimensions(), (GAP + 3 * (60 + GAP), GAP + 2 * (40 + GAP)));
        let at =
            |column: u32, row: u32, x: u32| *sheet.get_pixel(GAP + column * (60 + GAP) + x, GAP + row * (40 + GAP) + 5);
        let (red, blue) = (Rgba([250, 0, 0, 255]), Rgba([0, 0, 250, 255]));
        assert_eq!([at(0, 0, 5), at(0, 0, 50)], [red, blue], "the input");
        assert_eq!([at(1, 0, 5), at(1, 0, 50)], [blue, blue], "the lowest layer");
        assert_eq!([at(2, 0, 5), at(2, 0, 50)], [red, checkerboard(50, 5)], "the upper layer");
        assert_eq!([at(0, 1, 5), at(0, 1, 50)], [red, blue], "put together again");
        assert_eq!([at(1, 1, 5), at(1, 1, 50)], [blue, blue], "the background");
        assert_eq!(at(2, 1, 5), PAPER);
    }

    #[test]
    fn a_cut_layer_is_shown_in_its_place() {
        let ground = RgbaImage::from_pixel(60, 40, Rgba([0, 0, 250, 255]));
        let disc = RgbaImage::from_pixel(10, 12, Rgba([250, 0, 0, 255]));
        let layers = vec![layer(ground.clone()), Layer { x: 44, y: 20, ..layer(disc) }];
        let whole = layers.iter().map(|one| layer(one.on_canvas(60, 40).into_owned())).collect();
        let sheet = |layers| contact_sheet(&ground, &LayerStack::new(60, 40, layers).unwrap()).unwrap();
        assert_eq!(sheet(layers), sheet(whole));
    }

    #[test]
    fn large_and_narrow_pictures_fit() {
        for (width, height) in [(5000, 10), (3, 2000), (1, 1)] {
            let picture = RgbaImage::from_pixel(width, height, Rgba([9, 9, 9, 255]));
            let stack = LayerStack::new(width, height, vec![layer(picture.clone())]).unwrap();
            let sheet = contact_sheet(&picture, &stack).unwrap();
            assert!(sheet.width() <= 4 * (TILE + GAP) + GAP && sheet.height() <= 4 * (TILE + GAP) + GAP);
        }
    }
}

use image::RgbaImage;

/// How far colours are spread, in pixels: what a reader averages around an edge when it shows a picture at a fraction of
/// its size.
pub(crate) const REACH: u8 = 8;

/// Spreads the colours of what is visible over the pixels around it, whose alpha stays 0. Readers that blend colours
/// without weighing them by alpha show dark rims otherwise: black is what engines leave there.
///
/// A pixel within [`REACH`] steps of a visible one takes the colour of the nearest; the others stay as they are.
pub(crate) fn spread(picture: &mut RgbaImage) {
    let width = picture.width() as usize;
    let pixels = picture.as_mut();
    let (pixels, _) = pixels.as_chunks_mut::<4>();
    if width == 0 || pixels.iter().all(|pixel| pixel[3] > 0) {
        return;
    }
    // Steps to the nearest visible pixel; more than `REACH` for none.
    let mut steps = vec![REACH + 1; pixels.len()];
    for at in 0..pixels.len() {
        if pixels[at][3] > 0 {
            steps[at] = 0;
            continue;
        }
        if at % width > 0 {
            take(pixels, &mut steps, at, at - 1);
        }
        if at >= width {
            take(pixels, &mut steps, at, at - width);
        }
    }
    for at in (0..pixels.len()).rev() {
        if steps[at] == 0 {
            continue;
        }
        if at % width + 1 < width {
            take(pixels, &mut steps, at, at + 1);
        }
        if at + width < pixels.len() {
            take(pixels, &mut steps, at, at + width);
        }
    }
}

/// The pixel takes the colour of its neighbour `from` if that is the shorter way.
fn take(pixels: &mut [[u8; 4]], steps: &mut [u8], at: usize, from: usize) {
    let way = steps[from] + 1;
    if way < steps[at] {
        let [r, g, b, _] = pixels[from];
        pixels[at] = [r, g, b, 0];
        steps[at] = way;
    }
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;
    use crate::premultiply;

    #[test]
    fn the_nearest_colour_is_taken_up_to_the_reach() {
        let mut picture = RgbaImage::from_pixel(40, 21, Rgba([9, 9, 9, 0]));
        picture.put_pixel(15, 10, Rgba([200, 10, 20, 255]));
        picture.put_pixel(19, 10, Rgba([1, 2, 3, 1]));
        let before = picture.clone();
        spread(&mut picture);
        for (x, y, pixel) in picture.enumerate_pixels() {
            let way = |at: u32| x.abs_diff(at) + y.abs_diff(10);
            let (first, second) = (way(15), way(19));
            let expected: &[[u8; 4]] = match (first.min(second), first.cmp(&second)) {
                (0, _) => &[before.get_pixel(x, y).0],
                (9.., _) => &[[9, 9, 9, 0]],
                (_, std::cmp::Ordering::Less) => &[[200, 10, 20, 0]],
                (_, std::cmp::Ordering::Greater) => &[[1, 2, 3, 0]],
                _ => &[[200, 10, 20, 0], [1, 2, 3, 0]],
            };
            assert!(expected.contains(&pixel.0), "{x} {y}: {pixel:?}");
        }
        assert!(before.pixels().zip(picture.pixels()).all(|(a, b)| premultiply(*a) == premultiply(*b)));
    }

    #[test]
    fn what_has_no_edge_stays() {
        for pixel in [[0, 0, 0, 0], [3, 4, 5, 0], [3, 4, 5, 1]] {
            let mut picture = RgbaImage::from_pixel(5, 4, Rgba(pixel));
            spread(&mut picture);
            assert!(picture.pixels().all(|found| found.0 == pixel));
        }
        spread(&mut RgbaImage::new(0, 0));
    }
}

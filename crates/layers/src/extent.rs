use image::RgbaImage;
use image::imageops;

use crate::Rect;

/// The smallest rectangle that holds every pixel with alpha above 0; `None` if the layer is empty.
pub fn bounding_box(picture: &RgbaImage) -> Option<Rect> {
    let row_length = picture.width() as usize * 4;
    if row_length == 0 {
        return None;
    }
    let mut found: Option<(u32, u32, u32, u32)> = None;
    for (y, row) in (0_u32..).zip(picture.chunks_exact(row_length)) {
        let pixels = row.as_chunks::<4>().0;
        let Some(first) = pixels.iter().position(|pixel| pixel[3] > 0) else { continue };
        let last = pixels.iter().rposition(|pixel| pixel[3] > 0).unwrap_or(first);
        // Both are below the width, which is a u32.
        let (first, last) = (first as u32, last as u32);
        found = Some(match found {
            None => (first, y, last, y),
            Some((left, top, right, _)) => (left.min(first), top, right.max(last), y),
        });
    }
    found.map(|(left, top, right, bottom)| Rect { x: left, y: top, width: right - left + 1, height: bottom - top + 1 })
}

/// Mean alpha over the picture, 0 to 1.
pub fn coverage(picture: &RgbaImage) -> f64 {
    let pixels = picture.as_raw().len() / 4;
    if pixels == 0 { 0.0 } else { alpha_sum(picture) as f64 / (pixels as f64 * 255.0) }
}

pub(crate) fn alpha_sum(picture: &RgbaImage) -> u64 {
    picture.pixels().map(|pixel| u64::from(pixel[3])).sum()
}

/// The part of the picture inside `area`, cut to what lies on the picture.
pub fn crop(picture: &RgbaImage, area: Rect) -> RgbaImage {
    imageops::crop_imm(picture, area.x, area.y, area.width, area.height).to_image()
}

/// The part of the picture inside `area`, which lies on it, without a second copy of the pixels.
pub(crate) fn crop_in_place(picture: RgbaImage, area: Rect) -> RgbaImage {
    let row_bytes = picture.width() as usize * 4;
    let (start, length) = (area.x as usize * 4, area.width as usize * 4);
    let mut bytes = picture.into_raw();
    for row in 0..area.height as usize {
        let from = (area.y as usize + row) * row_bytes + start;
        bytes.copy_within(from..from + length, row * length);
    }
    bytes.truncate(length * area.height as usize);
    bytes.shrink_to_fit();
    // The buffer has exactly the pixels of the area.
    RgbaImage::from_raw(area.width, area.height, bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgba;
    use proptest::prelude::*;

    #[test]
    fn an_empty_picture_has_no_box() {
        assert_eq!(bounding_box(&RgbaImage::new(3, 3)), None);
        assert_eq!(bounding_box(&RgbaImage::new(0, 0)), None);
        assert_eq!(coverage(&RgbaImage::new(0, 0)), 0.0);
    }

    #[test]
    fn coverage_is_the_mean_alpha() {
        let mut picture = RgbaImage::new(2, 2);
        picture.put_pixel(0, 0, Rgba([0, 0, 0, 255]));
        picture.put_pixel(1, 1, Rgba([0, 0, 0, 51]));
        assert!((coverage(&picture) - 1.2 / 4.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn the_box_is_that_of_a_plain_search(points in prop::collection::vec((0_u32..9, 0_u32..7), 1..6)) {
            let mut picture = RgbaImage::new(9, 7);
            for (x, y) in &points {
                picture.put_pixel(*x, *y, Rgba([0, 0, 0, 1]));
            }
            let left = points.iter().map(|p| p.0).min().unwrap();
            let right = points.iter().map(|p| p.0).max().unwrap();
            let top = points.iter().map(|p| p.1).min().unwrap();
            let bottom = points.iter().map(|p| p.1).max().unwrap();
            let expected = Rect { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
            prop_assert_eq!(bounding_box(&picture), Some(expected));
            let cut = crop(&picture, expected);
            prop_assert_eq!(cut.dimensions(), (expected.width, expected.height));
            prop_assert_eq!(coverage(&cut) > 0.0, true);
        }
    }
}

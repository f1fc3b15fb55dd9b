//! Masks as requests and answers have them.

use std::io::{BufReader, Cursor};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{GrayImage, ImageEncoder, Luma};
use layers::{Limits, Rect};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::look::INSIDE;
use crate::http::error::Error;

/// A mask: a picture that is white where something belongs to it, black or transparent where it does not, and grey at soft
/// edges.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaskImage {
    /// The picture as a PNG in base64, alone or as a `data:` URL.
    pub png: String,
    /// Where its upper left corner lies on the document's canvas. Around it, nothing belongs to the mask.
    #[serde(default)]
    pub x: u32,
    #[serde(default)]
    pub y: u32,
}

impl MaskImage {
    /// The mask on a canvas of `width` x `height` pixels. Blocks.
    ///
    /// # Errors
    /// 422 when it cannot be read as a picture, does not lie within the canvas, or is black.
    pub(crate) fn read(&self, (width, height): (u32, u32)) -> Result<GrayImage, Error> {
        let text = match self.png.split_once(',') {
            Some((kind, data)) if kind.starts_with("data:") => data,
            _ => &self.png,
        };
        let bytes = STANDARD.decode(text.trim()).map_err(|error| {
            Error::unprocessable("invalid_mask", format!("mask.png is not base64: {error}; send a PNG in base64"))
                .about("mask")
        })?;
        let limits = Limits { max_pixels: u64::from(width) * u64::from(height) };
        let picture = layers::decode(BufReader::new(Cursor::new(bytes)), &limits)
            .map_err(|error| {
                Error::unprocessable("invalid_mask", format!("mask.png cannot be read: {error}")).about("mask")
            })?
            .pixels;
        let ends = |at: u32, length: u32, side: u32| at.checked_add(length).is_some_and(|end| end <= side);
        if !ends(self.x, picture.width(), width) || !ends(self.y, picture.height(), height) {
            let message = format!(
                "the mask has {} x {} pixels at {}, {} and does not lie within the canvas of {width} x {height}",
                picture.width(),
                picture.height(),
                self.x,
                self.y
            );
            return Err(Error::unprocessable("mask_outside", message).about("mask"));
        }
        let mut mask = GrayImage::new(width, height);
        for (x, y, pixel) in picture.enumerate_pixels() {
            let [r, g, b, a] = pixel.0.map(u32::from);
            let value = r.max(g).max(b) * a / 255;
            mask.put_pixel(self.x + x, self.y + y, Luma([value as u8]));
        }
        if mask.pixels().all(|value| value[0] == 0) {
            let message = "the mask is empty: make it white where something belongs to it";
            return Err(Error::unprocessable("mask_empty", message).about("mask"));
        }
        Ok(mask)
    }

    /// What of a mask belongs to it, cut to that; `None` for an empty one. Blocks.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(mask: &GrayImage) -> Result<Option<(Self, Rect)>, Error> {
        let Some(area) = bounds(mask) else { return Ok(None) };
        let part = image::imageops::crop_imm(mask, area.x, area.y, area.width, area.height).to_image();
        let mut bytes = Vec::new();
        let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        let written = encoder.write_image(part.as_raw(), area.width, area.height, image::ExtendedColorType::L8);
        written.map_err(Error::internal)?;
        let png = format!("data:image/png;base64,{}", STANDARD.encode(bytes));
        Ok(Some((Self { png, x: area.x, y: area.y }, area)))
    }
}

/// The smallest rectangle around what belongs to a mask.
fn bounds(mask: &GrayImage) -> Option<Rect> {
    let inside = || mask.enumerate_pixels().filter(|(.., value)| value[0] >= INSIDE);
    let (mut left, mut right) = (u32::MAX, 0);
    let (mut top, mut bottom) = (u32::MAX, 0);
    for (x, y, _) in inside() {
        (left, right) = (left.min(x), right.max(x));
        (top, bottom) = (top.min(y), bottom.max(y));
    }
    (left <= right).then(|| Rect { x: left, y: top, width: right - left + 1, height: bottom - top + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_that_was_written_is_read_again() {
        let mask = GrayImage::from_fn(40, 30, |x, y| Luma([if (5..9).contains(&x) && y > 20 { 200 } else { 0 }]));
        let (written, area) = MaskImage::write(&mask).unwrap().unwrap();
        assert_eq!(area, Rect { x: 5, y: 21, width: 4, height: 9 });
        assert_eq!(written.read((40, 30)).unwrap(), mask);
        let bare = MaskImage { png: written.png.split_once(',').unwrap().1.to_owned(), ..written.clone() };
        assert_eq!(bare.read((40, 30)).unwrap(), mask);
        assert!(written.read((40, 29)).unwrap_err().to_string().contains("does not lie within"));
        let far = MaskImage { x: u32::MAX, ..written };
        assert!(far.read((40, 30)).unwrap_err().to_string().contains("does not lie within"));
        assert!(MaskImage::write(&GrayImage::new(4, 4)).unwrap().is_none());
    }
}

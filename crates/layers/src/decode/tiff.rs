use std::io::{BufRead, Seek};

use ::tiff::TiffError;
use ::tiff::decoder::Decoder;
use ::tiff::tags::Tag;
use image::DynamicImage;

use super::{DecodeError, from_io};

/// `ExtraSamples` value of alpha that the colours are already multiplied with (TIFF 6.0, section 18).
const ASSOCIATED: u16 = 1;
/// `PhotometricInterpretation` value of separated (printing) colours.
const SEPARATED: u16 = 5;

/// Whether the colours of the first picture are premultiplied, which the decoder does not undo.
pub(super) fn has_associated_alpha(reader: impl BufRead + Seek) -> Result<bool, DecodeError> {
    let mut decoder = Decoder::new(reader).map_err(translate)?;
    let photometric: Option<u16> = decoder.find_tag_unsigned(Tag::PhotometricInterpretation).map_err(translate)?;
    if photometric == Some(SEPARATED) {
        return Err(DecodeError::Cmyk { format: "tiff" });
    }
    let extra: Option<Vec<u16>> = decoder.find_tag_unsigned_vec(Tag::ExtraSamples).map_err(translate)?;
    Ok(extra.is_some_and(|kinds| kinds.first() == Some(&ASSOCIATED)))
}

/// Divides the colours by alpha.
pub(super) fn unpremultiply(picture: &mut DynamicImage) {
    match picture {
        DynamicImage::ImageRgba8(pixels) => {
            pixels.pixels_mut().for_each(|pixel| divide(&mut pixel.0, 255));
        }
        DynamicImage::ImageLumaA8(pixels) => {
            pixels.pixels_mut().for_each(|pixel| divide(&mut pixel.0, 255));
        }
        DynamicImage::ImageRgba16(pixels) => {
            pixels.pixels_mut().for_each(|pixel| divide(&mut pixel.0, 65_535));
        }
        DynamicImage::ImageLumaA16(pixels) => {
            pixels.pixels_mut().for_each(|pixel| divide(&mut pixel.0, 65_535));
        }
        _ => {}
    }
}

fn divide<T: Copy + Into<u64> + TryFrom<u64>>(pixel: &mut [T], full: u64) {
    let Some((alpha, colours)) = pixel.split_last_mut() else { return };
    let alpha: u64 = (*alpha).into();
    for colour in colours {
        let value: u64 = (*colour).into();
        let straight = (value * full + alpha / 2).checked_div(alpha).unwrap_or(0).min(full);
        if let Ok(straight) = T::try_from(straight) {
            *colour = straight;
        }
    }
}

fn translate(error: TiffError) -> DecodeError {
    match error {
        TiffError::IoError(error) => from_io(error, "tiff"),
        TiffError::UnsupportedError(error) => DecodeError::Unsupported { format: "tiff", reason: error.to_string() },
        TiffError::LimitsExceeded => DecodeError::TooMuchMemory { format: "tiff" },
        other => DecodeError::Damaged { format: "tiff", reason: other.to_string() },
    }
}

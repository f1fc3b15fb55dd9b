//! How a picture has to be turned to stand upright.

use image::ImageDecoder;
use image::metadata::Orientation;

/// The EXIF orientation of a picture of any format. One without it, or with EXIF that is too large to be read, stands
/// upright.
pub(super) fn of(decoder: &mut impl ImageDecoder, exif_too_large: bool) -> Orientation {
    if exif_too_large {
        return Orientation::NoTransforms;
    }
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

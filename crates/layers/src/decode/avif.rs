//! AVIF: a still picture coded as a frame of AV1, in a file of boxes (AOM, "AV1 Image File Format"; ISO/IEC 23008-12).

use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, imageops};

use super::colour::{CodePoints, Colours};
use super::source::Source;
use super::{DecodeError, Limits, Said, check_size, density, from_io, tiff};

mod boxes;
mod planes;

use boxes::{Item, Items};
use planes::Frame;

/// Names of the picture that holds another one's alpha.
const ALPHA: [&[u8]; 2] = [b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1"];

/// Parts of a picture that is put together from several.
const MAX_TILES: usize = 256;

/// Decodes the picture, upright. The reader stands at the start of the file.
pub(super) fn read(reader: &mut dyn Source, limits: &Limits) -> Result<(DynamicImage, Said), DecodeError> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|error| from_io(error, "avif"))?;
    let items = Items::of(&bytes).ok_or_else(|| damaged("its boxes make no sense"))?;
    let primary = items.primary().ok_or_else(|| unsupported("it has no still picture"))?;
    if let Some((width, height)) = primary.size() {
        check_size(width, height, "avif", limits)?;
    }
    let colour = primary.colour();
    let frame = frame(&items, primary, limits)?;
    let matrix = colour.nclx.map_or(frame.matrix, |nclx| nclx.matrix);
    let is_full = colour.nclx.map_or(frame.is_full_range, |nclx| nclx.is_full_range);
    let alpha = items.auxiliary(primary.id, &ALPHA).map(|alpha| self::frame(&items, alpha, limits)).transpose()?;
    let (width, height) = (frame.width, frame.height);
    if let Some(alpha) = &alpha
        && (alpha.width, alpha.height) != (width, height)
    {
        return Err(unsupported("its alpha has another size than its colours"));
    }
    let mut picture = planes::to_rgb(&frame, matrix, is_full)
        .ok_or_else(|| unsupported("its colours are stored in a way that is not known (matrix coefficients)"))?;
    if let Some(alpha) = alpha {
        picture = with_alpha(picture, &alpha);
        if items.is_premultiplied(primary.id) {
            tiff::unpremultiply(&mut picture);
        }
    }
    let colours = Colours {
        code_points: colour
            .nclx
            .filter(|_| colour.profile.is_none())
            .and_then(|nclx| CodePoints::full(nclx.primaries, nclx.transfer)),
        profile: colour.profile.map(<[u8]>::to_vec),
        ..Colours::default()
    };
    let density = items.exif(primary.id).as_deref().and_then(density::of_exif);
    let (picture, is_turned) = upright(picture, primary);
    let density = density.map(|density| if is_turned { density.transposed() } else { density });
    Ok((picture, Said { colours, density, ..Said::default() }))
}

/// A coded picture, or one that is put together from several of the same size, row by row.
fn frame(items: &Items<'_>, item: &Item<'_>, limits: &Limits) -> Result<Frame, DecodeError> {
    match &item.kind {
        b"av01" => planes::decode(items.data(item).ok_or_else(|| damaged("it ends too early"))?, limits),
        b"grid" => {
            let data = items.data(item).ok_or_else(|| damaged("it ends too early"))?;
            let grid = boxes::Grid::of(&data).ok_or_else(|| damaged("its grid makes no sense"))?;
            check_size(grid.width, grid.height, "avif", limits)?;
            let tiles = items.tiles(item.id);
            if tiles.len() != grid.rows * grid.columns || tiles.len() > MAX_TILES {
                return Err(damaged("its grid has other parts than it says"));
            }
            let mut whole: Option<Frame> = None;
            for (index, tile) in tiles.into_iter().enumerate() {
                if tile.kind != *b"av01" {
                    return Err(unsupported("a part of its grid is not AV1"));
                }
                let tile = self::frame(items, tile, limits)?;
                let at = (index % grid.columns, index / grid.columns);
                let whole = whole.get_or_insert_with(|| tile.blank(grid.width, grid.height));
                whole.put(&tile, at).ok_or_else(|| damaged("the parts of its grid do not fit together"))?;
            }
            whole.ok_or_else(|| damaged("its grid is empty"))
        }
        _ => Err(unsupported("its picture is not AV1")),
    }
}

/// Adds the brightness of `alpha` as alpha.
fn with_alpha(picture: DynamicImage, alpha: &Frame) -> DynamicImage {
    match picture {
        DynamicImage::ImageRgb8(rgb) => {
            let alpha: GrayImage = ImageBuffer::from_fn(rgb.width(), rgb.height(), |x, y| Luma([alpha.level8(x, y)]));
            let pixels = |x, y| {
                let Rgb([r, g, b]) = *RgbImage::get_pixel(&rgb, x, y);
                Rgba([r, g, b, alpha.get_pixel(x, y)[0]])
            };
            ImageBuffer::from_fn(rgb.width(), rgb.height(), pixels).into()
        }
        other => {
            let mut deep = other.into_rgba16();
            deep.enumerate_pixels_mut().for_each(|(x, y, pixel)| pixel[3] = alpha.level16(x, y));
            deep.into()
        }
    }
}

/// Crops, turns and mirrors as the item says, in this order. Also whether rows became columns.
fn upright(mut picture: DynamicImage, item: &Item<'_>) -> (DynamicImage, bool) {
    if let Some(area) = item.aperture(picture.width(), picture.height()) {
        picture = picture.crop_imm(area.x, area.y, area.width, area.height);
    }
    // Anticlockwise, in quarters.
    let quarters = item.property(b"irot").and_then(|data| data.first()).map_or(0, |angle| angle & 3);
    picture = match quarters {
        1 => picture.rotate270(),
        2 => picture.rotate180(),
        3 => picture.rotate90(),
        _ => picture,
    };
    match item.property(b"imir").and_then(|data| data.first()).map(|mode| mode & 1) {
        Some(0) => imageops::flip_vertical_in_place(&mut picture),
        Some(_) => imageops::flip_horizontal_in_place(&mut picture),
        None => {}
    }
    (picture, quarters % 2 == 1)
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::Damaged { format: "avif", reason: reason.to_owned() }
}

fn unsupported(reason: &str) -> DecodeError {
    DecodeError::Unsupported { format: "avif", reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;

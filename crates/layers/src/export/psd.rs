//! Photoshop files, after Adobe's "Photoshop File Formats Specification".

use std::io::{SeekFrom, Write};

use image::RgbaImage;

use super::packbits;
use super::shapes::{FlatShape, TOLERANCE};
use super::{ExportError, ExportOptions, Placed, ShapeMode, Target};
use crate::compose::compose_each;
use crate::document::{Document, DocumentLayer, PixelSource};
use crate::extent::crop_in_place;
use crate::{Density, fit, thumbnail_jpeg};

mod descriptor;
mod engine_data;
mod icc;
mod records;
mod shape_layer;
mod type_layer;

use records::{Entry, LayerRecord, write_record};

/// The largest side of a PSD file, in pixels.
const MAX_SIDE: u32 = 30_000;
const THUMBNAIL_SIDE: u32 = 160;
const RLE: u16 = 1;
/// Programs read no larger ones: their offsets have 31 bits.
const MAX_BYTES: u64 = 2 << 30;
/// Pixels per inch where the picture does not say.
const USUAL_DENSITY: Density = Density { x: 72.0, y: 72.0 };

pub(super) fn write(
    document: &Document,
    source: &dyn PixelSource,
    options: &ExportOptions,
    writer: &mut dyn Target,
) -> Result<(), ExportError> {
    if document.width > MAX_SIDE || document.height > MAX_SIDE {
        return Err(ExportError::TooLarge { format: "PSD", limit: "30000 pixels on a side" });
    }
    let mut entries = Vec::new();
    records::entries(&document.nodes, &mut entries);
    let count = i16::try_from(entries.len())
        .map_err(|_| ExportError::TooLarge { format: "PSD", limit: "32767 layers and groups" })?;
    let (merged, most_bytes) = compose_with_shapes(document, source, options, &mut entries)?;
    if most_bytes > MAX_BYTES && layer_bytes(document, source)? + merged_bytes(&merged) > MAX_BYTES {
        return Err(too_long());
    }
    let has_alpha = merged.pixels().any(|pixel| pixel[3] != 255);
    write_header(document, has_alpha, writer)?;
    // No colour mode data.
    put_u32(writer, 0)?;
    write_resources(&merged, document.density, writer)?;
    // A negative count says that the merged picture's fourth channel is its transparency.
    let (signed, canvas) = (if has_alpha { -count } else { count }, (document.width, document.height));
    write_layers(&entries, signed, (source, options), canvas, writer)?;
    write_merged(merged, has_alpha, writer)?;
    writer.flush()?;
    Ok(())
}

/// The composite, and on the way the shapes of the layers: what a layer's record says comes before its pixels. Also the
/// most bytes that the file may have.
fn compose_with_shapes(
    document: &Document,
    source: &dyn PixelSource,
    options: &ExportOptions,
    entries: &mut [Entry<'_>],
) -> Result<(RgbaImage, u64), ExportError> {
    let mut shapes = entries.iter_mut().filter_map(|entry| match entry {
        Entry::Layer(_, shape) => Some(shape),
        Entry::GroupEnd | Entry::Group(_) => None,
    });
    let mut most_bytes = packbits::most_bytes(document.width, document.height).saturating_mul(4);
    let merged = compose_each(document, source, |layer, loaded| -> Result<(), ExportError> {
        let placed = Placed::trim(loaded);
        let (width, height) = placed.pixels.dimensions();
        most_bytes = most_bytes.saturating_add(packbits::most_bytes(width, height).saturating_mul(4));
        if options.shapes == ShapeMode::Pixels {
            return Ok(());
        }
        let found = FlatShape::of(layer, &placed, options);
        if let Some(shape) = shapes.next() {
            // A fill has no opacity of its own beside the layer's.
            *shape = found.filter(|shape| u8::MAX - shape.alpha <= TOLERANCE);
        }
        Ok(())
    })?;
    Ok((merged, most_bytes))
}

/// Bytes of the layers' pixels in the file.
fn layer_bytes(document: &Document, source: &dyn PixelSource) -> Result<u64, ExportError> {
    let mut bytes = 0;
    for layer in document.layers() {
        bytes += merged_bytes(&within_limits(Placed::load(layer, source)?).pixels);
    }
    Ok(bytes)
}

/// Bytes of the four channels of a picture in the file.
fn merged_bytes(picture: &RgbaImage) -> u64 {
    let channel = |channel| {
        let (counts, data) = compress(picture, channel);
        (counts.len() + data.len()) as u64
    };
    (0..4).map(channel).sum()
}

fn write_header(document: &Document, has_alpha: bool, writer: &mut dyn Write) -> Result<(), ExportError> {
    let channels: u16 = if has_alpha { 4 } else { 3 };
    writer.write_all(b"8BPS\0\x01\0\0\0\0\0\0")?;
    put_u16(writer, channels)?;
    put_u32(writer, document.height)?;
    put_u32(writer, document.width)?;
    // 8 bits, RGB.
    writer.write_all(&[0, 8, 0, 3])?;
    Ok(())
}

fn write_resources(merged: &RgbaImage, density: Option<Density>, writer: &mut dyn Target) -> Result<(), ExportError> {
    let section = Length::begin(writer)?;
    resource(writer, 1005, &resolution(density.unwrap_or(USUAL_DENSITY))?)?;
    resource(writer, 1036, &thumbnail(merged)?)?;
    resource(writer, 1039, &icc::srgb()?)?;
    section.end(writer)
}

/// Resource 1005: pixels per inch as 16.16 fixed point, the unit to show them in (per inch) and the unit of the size
/// (inches), across and down.
fn resolution(density: Density) -> Result<Vec<u8>, ExportError> {
    let mut out = Vec::with_capacity(16);
    for value in [density.x, density.y] {
        // At most 30000 an inch.
        put_u32(&mut out, (value * 65_536.0).round() as u32)?;
        put_u16(&mut out, 1)?;
        put_u16(&mut out, 1)?;
    }
    Ok(out)
}

fn resource(writer: &mut dyn Write, id: u16, data: &[u8]) -> Result<(), ExportError> {
    writer.write_all(b"8BIM")?;
    put_u16(writer, id)?;
    // An empty name, padded to two bytes.
    put_u16(writer, 0)?;
    put_u32(writer, length(data.len())?)?;
    writer.write_all(data)?;
    if data.len() % 2 == 1 {
        writer.write_all(&[0])?;
    }
    Ok(())
}

/// A JPEG with the 28-byte header of resource 1036.
fn thumbnail(merged: &RgbaImage) -> Result<Vec<u8>, ExportError> {
    let (width, height) = fit(merged.width(), merged.height(), THUMBNAIL_SIDE);
    let mut jpeg = Vec::new();
    thumbnail_jpeg(&mut jpeg, merged, THUMBNAIL_SIDE)?;
    let row_bytes = (width * 24).div_ceil(32) * 4;
    let mut out = Vec::with_capacity(jpeg.len() + 28);
    for value in [1, width, height, row_bytes, row_bytes * height, length(jpeg.len())?] {
        put_u32(&mut out, value)?;
    }
    // Bits per pixel and planes.
    put_u16(&mut out, 24)?;
    put_u16(&mut out, 1)?;
    out.extend(jpeg);
    Ok(out)
}

fn write_layers(
    entries: &[Entry<'_>],
    count: i16,
    (source, options): (&dyn PixelSource, &ExportOptions),
    canvas: (u32, u32),
    writer: &mut dyn Target,
) -> Result<(), ExportError> {
    let section = Length::begin(writer)?;
    let info = Length::begin(writer)?;
    writer.write_all(&count.to_be_bytes())?;
    let mut records = Vec::with_capacity(entries.len());
    for (id, entry) in (1_u32..).zip(entries) {
        records.push(write_record(entry, id, options, canvas, writer)?);
    }
    for (entry, record) in entries.iter().zip(records) {
        match entry {
            Entry::Layer(layer, _) => write_pixels(layer, source, &record, writer)?,
            // Four channels without pixels: only their compression, 0.
            Entry::GroupEnd | Entry::Group(_) => writer.write_all(&[0; 8])?,
        }
    }
    info.end_even(writer)?;
    // No global mask.
    put_u32(writer, 0)?;
    section.end(writer)
}

/// Writes the four channels and fills in the record, whose box and lengths were not known before.
fn write_pixels(
    layer: &DocumentLayer,
    source: &dyn PixelSource,
    record: &LayerRecord,
    writer: &mut dyn Target,
) -> Result<(), ExportError> {
    let placed = within_limits(Placed::load(layer, source)?);
    let mut lengths = Vec::with_capacity(4);
    for channel in [3, 0, 1, 2] {
        let start = writer.stream_position()?;
        put_u16(writer, RLE)?;
        write_channel(&placed.pixels, channel, writer)?;
        lengths.push(u32::try_from(writer.stream_position()? - start).map_err(|_| too_long())?);
    }
    record.complete(&placed, &lengths, writer)
}

/// A layer larger than the format allows is cut to the part around the canvas, which is never larger. What is lost lies
/// outside.
fn within_limits(placed: Placed) -> Placed {
    let (width, height) = placed.pixels.dimensions();
    let (width_kept, height_kept) = (width.min(MAX_SIDE), height.min(MAX_SIDE));
    if (width_kept, height_kept) == (width, height) {
        return placed;
    }
    // From the canvas's own edge on, unless the layer ends before.
    let start = |offset: i32, length: u32, kept: u32| offset.min(0).unsigned_abs().min(length - kept);
    let (left, top) = (start(placed.x, width, width_kept), start(placed.y, height, height_kept));
    let area = crate::Rect { x: left, y: top, width: width_kept, height: height_kept };
    Placed {
        pixels: crop_in_place(placed.pixels, area),
        x: placed.x.saturating_add_unsigned(left),
        y: placed.y.saturating_add_unsigned(top),
    }
}

/// Row lengths, then rows.
fn write_channel(picture: &RgbaImage, channel: usize, writer: &mut dyn Target) -> Result<(), ExportError> {
    let (counts, data) = compress(picture, channel);
    writer.write_all(&counts)?;
    writer.write_all(&data)?;
    Ok(())
}

/// Row lengths as big-endian `u16` and the compressed rows of one channel.
fn compress(picture: &RgbaImage, channel: usize) -> (Vec<u8>, Vec<u8>) {
    let width = picture.width() as usize;
    let mut counts = Vec::with_capacity(picture.height() as usize * 2);
    let mut data = Vec::new();
    let mut samples = vec![0; width];
    for row in picture.as_raw().chunks_exact(width.max(1) * 4) {
        for (sample, pixel) in samples.iter_mut().zip(row.as_chunks::<4>().0) {
            *sample = pixel[channel];
        }
        // At most 30000 samples grow to less than 65536 bytes.
        let length = packbits::encode(&samples, &mut data) as u16;
        counts.extend(length.to_be_bytes());
    }
    (counts, data)
}

/// The picture that programs without layers show. Photoshop keeps its colours
/// over white, beside the transparency.
fn write_merged(mut merged: RgbaImage, has_alpha: bool, writer: &mut dyn Target) -> Result<(), ExportError> {
    if has_alpha {
        for pixel in merged.pixels_mut() {
            let alpha = pixel[3];
            *pixel = crate::over(*pixel, image::Rgba([255; 4]));
            pixel[3] = alpha;
        }
    }
    put_u16(writer, RLE)?;
    let channels = if has_alpha { 4 } else { 3 };
    // The lengths of all channels' rows come before all rows.
    let counts_at = writer.stream_position()?;
    let rows = merged.height() as usize * 2;
    for _ in 0..channels {
        writer.write_all(&vec![0; rows])?;
    }
    let mut all_counts = Vec::with_capacity(rows * channels);
    for channel in 0..channels {
        let (counts, data) = compress(&merged, channel);
        all_counts.extend(counts);
        writer.write_all(&data)?;
    }
    writer.seek(SeekFrom::Start(counts_at))?;
    writer.write_all(&all_counts)?;
    writer.seek(SeekFrom::End(0))?;
    Ok(())
}

/// A length of four bytes before a section, filled in when the section ends.
struct Length {
    at: u64,
}

impl Length {
    fn begin(writer: &mut dyn Target) -> Result<Self, ExportError> {
        let at = writer.stream_position()?;
        put_u32(writer, 0)?;
        Ok(Self { at })
    }

    fn end(self, writer: &mut dyn Target) -> Result<(), ExportError> {
        let end = writer.stream_position()?;
        let length = u32::try_from(end - self.at - 4).map_err(|_| too_long())?;
        writer.seek(SeekFrom::Start(self.at))?;
        put_u32(writer, length)?;
        writer.seek(SeekFrom::Start(end))?;
        Ok(())
    }

    fn end_even(self, writer: &mut dyn Target) -> Result<(), ExportError> {
        if (writer.stream_position()? - self.at) % 2 == 1 {
            writer.write_all(&[0])?;
        }
        self.end(writer)
    }
}

fn length(bytes: usize) -> Result<u32, ExportError> {
    u32::try_from(bytes).map_err(|_| too_long())
}

fn too_long() -> ExportError {
    ExportError::TooLarge { format: "PSD", limit: "2 GB" }
}

fn put_u16(writer: &mut dyn Write, value: u16) -> Result<(), ExportError> {
    Ok(writer.write_all(&value.to_be_bytes())?)
}

fn put_u32(writer: &mut dyn Write, value: u32) -> Result<(), ExportError> {
    Ok(writer.write_all(&value.to_be_bytes())?)
}

use std::io::{SeekFrom, Write};

use super::shape_layer::{fill, origin, vector_mask};
use super::type_layer::type_layer;
use super::{length, put_u16, put_u32};
use crate::document::{DocumentGroup, DocumentLayer, Node, effective_opacity};
use crate::export::shapes::FlatShape;
use crate::export::words::Words;
use crate::export::{ExportError, ExportOptions, Placed, Target};

/// One record of the file, the lowest first. A group is a pair of records around its children.
pub(super) enum Entry<'a> {
    /// A layer, and the shape that it is.
    Layer(&'a DocumentLayer, Option<FlatShape>),
    /// The hidden record below a group's children.
    GroupEnd,
    /// The record above a group's children, which carries its name.
    Group(&'a DocumentGroup),
}

/// Adds the records of `nodes` to `out`, all layers without a shape.
pub(super) fn entries<'a>(nodes: &'a [Node], out: &mut Vec<Entry<'a>>) {
    for node in nodes {
        match node {
            Node::Layer(layer) => out.push(Entry::Layer(layer, None)),
            Node::Group(group) => {
                out.push(Entry::GroupEnd);
                entries(&group.children, out);
                out.push(Entry::Group(group));
            }
        }
    }
}

/// Where in the file a record lies that is to be completed.
pub(super) struct LayerRecord {
    at: u64,
}

impl LayerRecord {
    /// Fills in the box and the lengths of the channels (alpha, red, green, blue).
    pub(super) fn complete(
        &self,
        placed: &Placed,
        lengths: &[u32],
        writer: &mut dyn Target,
    ) -> Result<(), ExportError> {
        let end = writer.stream_position()?;
        writer.seek(SeekFrom::Start(self.at))?;
        // The sizes are those of the pixels that were written, so nothing here may be cut: `Placed` lies within 32 bits.
        let edge = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
        for value in [placed.y, placed.x, edge(placed.bottom()), edge(placed.right())] {
            writer.write_all(&value.to_be_bytes())?;
        }
        write_channels(lengths, writer)?;
        writer.seek(SeekFrom::Start(end))?;
        Ok(())
    }
}

/// Number of channels, then of each its number and its length.
fn write_channels(lengths: &[u32], writer: &mut dyn Write) -> Result<(), ExportError> {
    put_u16(writer, 4)?;
    for (channel, length) in [-1_i16, 0, 1, 2].into_iter().zip(lengths) {
        writer.write_all(&channel.to_be_bytes())?;
        put_u32(writer, *length)?;
    }
    Ok(())
}

pub(super) fn write_record(
    entry: &Entry<'_>,
    id: u32,
    options: &ExportOptions,
    canvas: (u32, u32),
    writer: &mut dyn Target,
) -> Result<LayerRecord, ExportError> {
    let (name, visible, opacity, section) = match entry {
        Entry::Layer(layer, _) => (layer.name.as_str(), layer.visible, layer.opacity, None),
        Entry::GroupEnd => ("</Layer group>", true, 1.0, Some(3)),
        Entry::Group(group) => (group.name.as_str(), group.visible, group.opacity, Some(1)),
    };
    let blend = match entry {
        Entry::Layer(layer, _) => layer.blend.psd_key(),
        Entry::GroupEnd => b"norm",
        // Its layers mix with what is below it.
        Entry::Group(group) if group.lets_through() => b"pass",
        Entry::Group(group) => group.blend.psd_key(),
    };
    let record = LayerRecord { at: writer.stream_position()? };
    writer.write_all(&[0; 16])?;
    write_channels(&[2; 4], writer)?;
    writer.write_all(b"8BIM")?;
    writer.write_all(blend)?;
    let opacity = (effective_opacity(opacity) * 255.0).round() as u8;
    let shape = if let Entry::Layer(_, shape) = entry { shape.as_ref() } else { None };
    // Bit 1 hides the layer; bit 3 says that bit 4 (pixels, if any, follow from something else) holds.
    let is_derived = section.is_some() || shape.is_some();
    let flags = 0x08 | if visible { 0 } else { 0x02 } | if is_derived { 0x10 } else { 0 };
    writer.write_all(&[opacity, 0, flags, 0])?;

    let mut extra = Vec::new();
    // No mask, no blending ranges.
    extra.extend([0; 8]);
    extra.extend(pascal_name(name));
    tagged(&mut extra, b"luni", &unicode_name(name))?;
    tagged(&mut extra, b"lyid", &id.to_be_bytes())?;
    if let Some(shape) = shape {
        tagged(&mut extra, b"SoCo", &fill(shape.colour)?)?;
        tagged(&mut extra, b"vmsk", &vector_mask(&shape.geometry, canvas))?;
        if let Some(origin) = origin(&shape.geometry)? {
            tagged(&mut extra, b"vogk", &origin)?;
        }
    }
    if let Entry::Layer(layer, _) = entry
        && let [words] = &Words::of(layer, options)[..]
    {
        tagged(&mut extra, b"TySh", &type_layer(words)?)?;
    }
    if let Some(kind) = section {
        let mut data = u32::to_be_bytes(kind).to_vec();
        if kind != 3 {
            data.extend(b"8BIM");
            data.extend(blend);
        }
        tagged(&mut extra, b"lsct", &data)?;
    }
    put_u32(writer, length(extra.len())?)?;
    writer.write_all(&extra)?;
    Ok(record)
}

fn tagged(out: &mut Vec<u8>, key: &[u8; 4], data: &[u8]) -> Result<(), ExportError> {
    out.extend(b"8BIM");
    out.extend(key);
    // Blocks are padded to an even length, which counts.
    put_u32(out, length(data.len().next_multiple_of(2))?)?;
    out.extend(data);
    out.extend(&[0][..data.len() % 2]);
    Ok(())
}

/// For programs from before Unicode names: ASCII, at most 31 characters, padded to four bytes.
fn pascal_name(name: &str) -> Vec<u8> {
    let ascii: Vec<u8> = name.chars().take(31).map(|c| if (' '..='~').contains(&c) { c as u8 } else { b'?' }).collect();
    let mut out = vec![ascii.len() as u8];
    out.extend(ascii);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// The longest Unicode name, in UTF-16 units.
const MAX_NAME_UNITS: usize = 255;

/// The number of UTF-16 units and the units, padded to four bytes. A character of two units is never cut in half.
fn unicode_name(name: &str) -> Vec<u8> {
    let mut units: Vec<u16> = Vec::new();
    for character in name.chars() {
        if units.len() + character.len_utf16() > MAX_NAME_UNITS {
            break;
        }
        units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
    }
    let mut out = (units.len() as u32).to_be_bytes().to_vec();
    out.extend(units.iter().flat_map(|unit| unit.to_be_bytes()));
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_ends_between_two_characters() {
        for (name, kept) in [
            ("x".repeat(300), "x".repeat(255)),
            ("\u{1F600}".repeat(255), "\u{1F600}".repeat(127)),
            (format!("x{}", "\u{1F600}".repeat(255)), format!("x{}", "\u{1F600}".repeat(127))),
        ] {
            let bytes = unicode_name(&name);
            let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
            assert!(length <= 255 && bytes.len().is_multiple_of(4));
            let units: Vec<u16> = bytes[4..].as_chunks::<2>().0.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            assert_eq!(String::from_utf16(&units[..length]).unwrap(), kept);
        }
    }
}

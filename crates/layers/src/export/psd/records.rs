use std::io::{SeekFrom, Write};

use super::{length, put_u16, put_u32};
use crate::document::{DocumentGroup, DocumentLayer, Node};
use crate::export::{ExportError, Placed, Target};

/// One record of the file, the lowest first. A group is a pair of records around its children.
pub(super) enum Entry<'a> {
    Layer(&'a DocumentLayer),
    /// The hidden record below a group's children.
    GroupEnd,
    /// The record above a group's children, which carries its name.
    Group(&'a DocumentGroup),
}

pub(super) fn entries(nodes: &[Node]) -> Vec<Entry<'_>> {
    let mut out = Vec::new();
    for node in nodes {
        match node {
            Node::Layer(layer) => out.push(Entry::Layer(layer)),
            Node::Group(group) => {
                out.push(Entry::GroupEnd);
                out.extend(entries(&group.children));
                out.push(Entry::Group(group));
            }
        }
    }
    out
}

/// Where in the file a record lies that is to be completed.
pub(super) struct LayerRecord {
    at: u64,
}

impl LayerRecord {
    /// Fills in the box and the lengths of the channels (alpha, red, green, blue).
    pub fn complete(&self, placed: &Placed, lengths: &[u32], writer: &mut dyn Target) -> Result<(), ExportError> {
        let end = writer.stream_position()?;
        writer.seek(SeekFrom::Start(self.at))?;
        let corner = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
        for value in [placed.y, placed.x, corner(placed.bottom()), corner(placed.right())] {
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

pub(super) fn write_record(entry: &Entry<'_>, id: u32, writer: &mut dyn Target) -> Result<LayerRecord, ExportError> {
    let (name, visible, opacity, section) = match entry {
        Entry::Layer(layer) => (layer.name.as_str(), layer.visible, layer.opacity, None),
        Entry::GroupEnd => ("</Layer group>", true, 1.0, Some(3)),
        Entry::Group(group) => (group.name.as_str(), group.visible, group.opacity, Some(1)),
    };
    let record = LayerRecord { at: writer.stream_position()? };
    writer.write_all(&[0; 16])?;
    write_channels(&[2; 4], writer)?;
    writer.write_all(b"8BIMnorm")?;
    let opacity = (opacity.clamp(0.0, 1.0) * 255.0).round() as u8;
    // Bit 1 hides the layer; bit 3 says that bit 4 (no pixels of its own) holds.
    let flags = 0x08 | if visible { 0 } else { 0x02 } | if section.is_some() { 0x10 } else { 0 };
    writer.write_all(&[opacity, 0, flags, 0])?;

    let mut extra = Vec::new();
    // No mask, no blending ranges.
    extra.extend([0; 8]);
    extra.extend(pascal_name(name));
    tagged(&mut extra, b"luni", &unicode_name(name))?;
    tagged(&mut extra, b"lyid", &id.to_be_bytes())?;
    if let Some(kind) = section {
        let mut data = u32::to_be_bytes(kind).to_vec();
        if kind != 3 {
            data.extend(b"8BIMnorm");
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
    put_u32(out, length(data.len())?)?;
    out.extend(data);
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

/// The number of UTF-16 units and the units, padded to four bytes.
fn unicode_name(name: &str) -> Vec<u8> {
    // Photoshop shows no more than 255 characters.
    let units: Vec<u16> = name.chars().take(255).collect::<String>().encode_utf16().collect();
    let mut out = (units.len() as u32).to_be_bytes().to_vec();
    out.extend(units.iter().flat_map(|unit| unit.to_be_bytes()));
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

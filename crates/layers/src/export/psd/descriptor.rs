//! Descriptors: the key and value structure of Photoshop's files ("Descriptor structure" in Adobe's specification).

use super::{ExportError, length};

/// A value with its key.
pub(super) type Item<'a> = (&'a str, Value<'a>);

pub(super) enum Value<'a> {
    Text(&'a str),
    /// The type of an enumeration and one of its values.
    Enum(&'a str, &'a str),
    Long(i32),
    Double(f64),
    /// In points, which are pixels here: the file says 72 per inch.
    Points(f64),
    Pixels(f64),
    /// Bytes of a format of their own.
    Raw(&'a [u8]),
    Object(&'a str, Vec<Item<'a>>),
    /// A list of one object.
    Single(&'a str, Vec<Item<'a>>),
}

/// Version 16, a class and its items.
pub(super) fn write(class: &str, items: &[Item<'_>]) -> Result<Vec<u8>, ExportError> {
    let mut out = 16_u32.to_be_bytes().to_vec();
    object(&mut out, class, items)?;
    Ok(out)
}

fn object(out: &mut Vec<u8>, class: &str, items: &[Item<'_>]) -> Result<(), ExportError> {
    unicode(out, "")?;
    key(out, class)?;
    out.extend(length(items.len())?.to_be_bytes());
    for (name, value) in items {
        key(out, name)?;
        match value {
            Value::Text(text) => {
                out.extend(b"TEXT");
                unicode(out, text)?;
            }
            Value::Enum(kind, value) => {
                out.extend(b"enum");
                key(out, kind)?;
                key(out, value)?;
            }
            Value::Long(value) => {
                out.extend(b"long");
                out.extend(value.to_be_bytes());
            }
            Value::Double(value) => {
                out.extend(b"doub");
                out.extend(value.to_be_bytes());
            }
            Value::Points(value) => {
                out.extend(b"UntF#Pnt");
                out.extend(value.to_be_bytes());
            }
            Value::Pixels(value) => {
                out.extend(b"UntF#Pxl");
                out.extend(value.to_be_bytes());
            }
            Value::Raw(bytes) => {
                out.extend(b"tdta");
                out.extend(length(bytes.len())?.to_be_bytes());
                out.extend(*bytes);
            }
            Value::Object(class, items) => {
                out.extend(b"Objc");
                object(out, class, items)?;
            }
            Value::Single(class, items) => {
                out.extend(b"VlLs");
                out.extend(1_u32.to_be_bytes());
                out.extend(b"Objc");
                object(out, class, items)?;
            }
        }
    }
    Ok(())
}

/// Keys of four letters have no length.
fn key(out: &mut Vec<u8>, key: &str) -> Result<(), ExportError> {
    let shown = if key.len() == 4 { 0 } else { length(key.len())? };
    out.extend(shown.to_be_bytes());
    out.extend(key.as_bytes());
    Ok(())
}

/// The number of UTF-16 units, the units and a zero, which is counted.
fn unicode(out: &mut Vec<u8>, text: &str) -> Result<(), ExportError> {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    out.extend(length(units.len())?.to_be_bytes());
    out.extend(units.iter().flat_map(|unit| unit.to_be_bytes()));
    Ok(())
}

//! WOFF 1.0 (W3C Recommendation, 2012) to the font that it wraps: every table is deflated on its own.

use std::io::Read;

/// The largest font that is unpacked, in bytes. Noto Sans CJK, one of the largest in use, has 20 MB a weight.
pub(super) const MOST_BYTES: usize = 64 << 20;

const SIGNATURE: &[u8; 4] = b"wOFF";
const HEADER: usize = 44;
const ENTRY: usize = 20;

/// Whether the file says that it is WOFF 1.0.
pub(super) fn is_woff(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNATURE)
}

/// The font in a WOFF file, or what is wrong with the file.
pub(super) fn unpack(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    const SHORT: &str = "the WOFF file ends too early";
    let flavour = bytes.get(4..8).ok_or(SHORT)?;
    let tables = usize::from(u16_at(bytes, 12).ok_or(SHORT)?);
    let entries: Vec<&[u8]> = (0..tables)
        .map(|n| bytes.get(HEADER + n * ENTRY..HEADER + (n + 1) * ENTRY))
        .collect::<Option<_>>()
        .ok_or(SHORT)?;

    let mut head = Vec::with_capacity(12 + 16 * tables);
    head.extend_from_slice(flavour);
    head.extend_from_slice(&u16::try_from(tables).unwrap_or(u16::MAX).to_be_bytes());
    let power = tables.max(1).ilog2();
    for value in [16 << power, power as usize, 16 * tables - (16usize << power).min(16 * tables)] {
        head.extend_from_slice(&u16::try_from(value).unwrap_or(u16::MAX).to_be_bytes());
    }
    let mut body: Vec<u8> = Vec::new();
    for entry in entries {
        let (offset, packed, size) =
            (u32_at(entry, 4).ok_or(SHORT)?, u32_at(entry, 8).ok_or(SHORT)?, u32_at(entry, 12).ok_or(SHORT)?);
        if size.saturating_add(body.len()) > MOST_BYTES {
            return Err("the font in the WOFF file is larger than 64 MiB");
        }
        let data = offset.checked_add(packed).and_then(|end| bytes.get(offset..end)).ok_or(SHORT)?;
        let start = 12 + 16 * tables + body.len();
        if packed < size {
            let before = body.len();
            flate2::read::ZlibDecoder::new(data)
                .take(size as u64)
                .read_to_end(&mut body)
                .map_err(|_| "a table of the WOFF file is damaged")?;
            if body.len() - before != size {
                return Err("a table of the WOFF file is damaged");
            }
        } else {
            body.extend_from_slice(data);
        }
        head.extend_from_slice(entry.get(..4).unwrap_or_default()); // tag
        head.extend_from_slice(entry.get(16..20).unwrap_or_default()); // checksum
        for value in [start, size] {
            head.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes());
        }
        body.resize(body.len().next_multiple_of(4), 0);
    }
    head.append(&mut body);
    Ok(head)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
}

//! Formats that people send and that are not read: named, so that the sender knows what to do.

use super::DecodeError;

/// How much of a file is looked at.
pub(super) const HEAD_BYTES: usize = 1024;

/// What a file is, and what its owner can do.
type Named = (&'static str, &'static str);

const HEIC: Named = (
    "a HEIC picture, as iPhones take them",
    "share it as JPEG (on the phone: Settings, Camera, Formats, Most Compatible) or export it as PNG and try again",
);
const PHOTOSHOP: Named =
    ("a Photoshop file", "its layers are in it already; to split its picture anew, export it as PNG and try again");
const GIMP: Named =
    ("a GIMP file", "its layers are in it already; to split its picture anew, export it as PNG and try again");
const KRITA: Named =
    ("a Krita file", "its layers are in it already; to split its picture anew, export it as PNG and try again");
const ORA: Named =
    ("an OpenRaster file", "its layers are in it already; to split its picture anew, export it as PNG and try again");
const CLIP: Named = (
    "a Clip Studio Paint file",
    "its layers are in it already; to split its picture anew, export it as PNG and try again",
);
const PDF: Named = ("a PDF or Illustrator document", "export the page as PNG (300 dpi is plenty) and try again");
const POSTSCRIPT: Named = ("a PostScript or EPS file", "export it as PNG (300 dpi is plenty) and try again");
const SVG: Named =
    ("an SVG drawing", "its shapes are separate already; to split it as a picture, export it as PNG and try again");
const JXL: Named = ("a JPEG XL picture", "export it as PNG and try again");
const JP2: Named = ("a JPEG 2000 picture", "export it as PNG and try again");
const JXR: Named = ("a JPEG XR picture", "export it as PNG and try again");
const ICON: Named = ("an icon or cursor (ICO)", "export its largest picture as PNG and try again");
const RAW: Named = ("a camera's raw file", "develop it, export it as JPEG or PNG and try again");
const HDR: Named = ("an HDR picture (OpenEXR or Radiance)", "export it as an 8-bit PNG and try again");
const NETPBM: Named = ("a Netpbm picture (PBM, PGM, PPM, PAM)", "export it as PNG and try again");
const QOI: Named = ("a QOI picture", "export it as PNG and try again");
const DDS: Named = ("a texture (DDS)", "export it as PNG and try again");
const VIDEO: Named = ("a video", "save one of its frames as PNG and try again");
const WEB_PAGE: Named = ("a web page", "save the picture itself, not the page that shows it, and try again");
const OFFICE: Named = ("an Office document from before 2007", "export the slide or page as PNG and try again");
const ZIP: Named =
    ("a ZIP archive or an Office document", "unpack it, or export the slide or page as PNG, and try again");
const GZIP: Named = ("a compressed file (gzip)", "unpack it and try again with the picture in it");

/// What such a file begins with.
const SIGNATURES: [(&[u8], Named); 26] = [
    (b"8BPS", PHOTOSHOP),
    (b"gimp xcf", GIMP),
    (b"CSFCHUNK", CLIP),
    (b"%PDF-", PDF),
    (b"%!PS", POSTSCRIPT),
    (&[0xC5, 0xD0, 0xD3, 0xC6], POSTSCRIPT),
    (&[0xFF, 0x0A], JXL),
    (b"\0\0\0\x0CJXL \r\n\x87\n", JXL),
    (b"\0\0\0\x0CjP  \r\n\x87\n", JP2),
    (&[0xFF, 0x4F, 0xFF, 0x51], JP2),
    (&[b'I', b'I', 0xBC], JXR),
    (&[0, 0, 1, 0], ICON),
    (&[0, 0, 2, 0], ICON),
    (b"FUJIFILMCCD-RAW", RAW),
    (b"IIRO", RAW),
    (b"IIRS", RAW),
    (b"IIU\0", RAW),
    (&[0x76, 0x2F, 0x31, 0x01], HDR),
    (b"#?RADIANCE", HDR),
    (b"#?RGBE", HDR),
    (b"qoif", QOI),
    (b"DDS ", DDS),
    (&[0x1A, 0x45, 0xDF, 0xA3], VIDEO),
    (&[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1], OFFICE),
    (b"PK\x03\x04", ZIP),
    (&[0x1F, 0x8B], GZIP),
];

/// Why a file is refused that begins with `head` and is of no format that is read.
pub(super) fn refusal(head: &[u8]) -> DecodeError {
    match recognise(head) {
        Some((format, help)) => DecodeError::NotRead { format, help },
        None => DecodeError::UnknownFormat,
    }
}

fn recognise(head: &[u8]) -> Option<Named> {
    if head.get(4..8) == Some(b"ftyp") {
        return by_brands(head);
    }
    if let Some(media_type) = head.strip_prefix(b"PK\x03\x04").and_then(|rest| rest.get(26..)) {
        // The first file of the archive, uncompressed: its name and its content.
        for (start, named) in [(&b"mimetypeapplication/x-krita"[..], KRITA), (b"mimetypeimage/openraster", ORA)] {
            if media_type.starts_with(start) {
                return Some(named);
            }
        }
    }
    let by_signature = SIGNATURES.iter().find(|(start, _)| head.starts_with(start)).map(|(_, named)| *named);
    by_signature.or_else(|| netpbm(head)).or_else(|| markup(head))
}

/// Whether a file says that it is an AVIF picture.
pub(super) fn is_avif(head: &[u8]) -> bool {
    let is = |brand: &[u8; 4]| matches!(brand, b"avif" | b"avis");
    brands(head).is_some_and(|(major, others)| is(major) || others.iter().any(is))
}

/// The major brand and the compatible ones of an ISO base media file.
fn brands(head: &[u8]) -> Option<(&[u8; 4], &[[u8; 4]])> {
    let size = u32::from_be_bytes(*head.first_chunk()?) as usize;
    let body = head.get(8..size.min(head.len())).filter(|_| head.get(4..8) == Some(b"ftyp"))?;
    // The second one is the version of the first.
    let (brands, _) = body.as_chunks::<4>();
    Some((brands.first()?, brands.get(2..).unwrap_or_default()))
}

/// By the brands of an ISO base media file (ISO/IEC 14496-12, section 4.3).
fn by_brands(head: &[u8]) -> Option<Named> {
    let (major, others) = brands(head)?;
    let has = |wanted: &[&[u8; 4]]| wanted.iter().any(|brand| *brand == major || others.contains(brand));
    if has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) {
        return Some(HEIC);
    }
    Some(match major {
        b"crx " => RAW,
        b"jxl " => JXL,
        b"jp2 " | b"jpx " => JP2,
        _ => VIDEO,
    })
}

fn netpbm(head: &[u8]) -> Option<Named> {
    matches!(head, [b'P', b'1'..=b'7', b'\n' | b'\r' | b' ' | b'\t' | b'#', ..]).then_some(NETPBM)
}

/// SVG and HTML, whose root stands behind declarations and comments.
fn markup(head: &[u8]) -> Option<Named> {
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start().to_ascii_lowercase();
    let has = |word: &[u8]| head.windows(word.len()).any(|part| part == word);
    if !head.starts_with(b"<") {
        return None;
    }
    if has(b"<!doctype html") || has(b"<html") {
        return Some(WEB_PAGE);
    }
    (has(b"<svg") || has(b"<!doctype svg") || has(b":svg ")).then_some(SVG)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{Limits, decode};

    #[test]
    fn what_is_not_read_is_named_with_what_to_do() {
        let zip = |name: &str| [b"PK\x03\x04", &[0; 26][..], name.as_bytes()].concat();
        let files: [(&[u8], &str, &str); 27] = [
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC picture", "share it as JPEG"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC picture", "share it as JPEG"),
            (b"\0\0\0\x18ftypcrx \0\0\0\0crx isom", "raw file", "develop it"),
            (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "video", "one of its frames"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video", "one of its frames"),
            (b"\x1A\x45\xDF\xA3webm", "video", "one of its frames"),
            (b"8BPS\0\x01", "Photoshop file", "its layers are in it already"),
            (b"8BPS\0\x02", "Photoshop file", "its layers are in it already"),
            (b"gimp xcf v011", "GIMP file", "its layers are in it already"),
            (&zip("mimetypeapplication/x-krita"), "Krita file", "its layers are in it already"),
            (&zip("mimetypeimage/openraster"), "OpenRaster file", "its layers are in it already"),
            (&zip("[Content_Types].xml"), "Office document", "export the slide"),
            (b"%PDF-1.7\n", "PDF", "export the page as PNG"),
            (b"%!PS-Adobe-3.0 EPSF-3.0", "EPS", "export it as PNG"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG", "export it as PNG"),
            (b"\xEF\xBB\xBF\n<?xml version='1.0'?><!-- a --><svg/>", "SVG", "export it as PNG"),
            (b"<?xml version='1.0'?><svg:svg xmlns:svg='x'/>", "SVG", "export it as PNG"),
            (b"<!DOCTYPE html><html><body><svg/></body>", "web page", "the picture itself"),
            (b"\xFF\x0A\xFA\x7F", "JPEG XL", "as PNG"),
            (b"\0\0\0\x0CJXL \r\n\x87\n\0\0\0\x14ftypjxl ", "JPEG XL", "as PNG"),
            (b"\0\0\0\x0CjP  \r\n\x87\n", "JPEG 2000", "as PNG"),
            (b"\0\0\x01\0\x01\0", "ICO", "as PNG"),
            (b"\x76\x2F\x31\x01", "OpenEXR", "8-bit PNG"),
            (b"P6\n3 2\n255\n", "Netpbm", "as PNG"),
            (b"qoif\0\0", "QOI", "as PNG"),
            (b"\x1F\x8B\x08", "gzip", "unpack it"),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "Office", "as PNG"),
        ];
        for (bytes, name, help) in files {
            let error = decode(Cursor::new(bytes), &Limits::default()).expect_err(name);
            assert!(matches!(error, DecodeError::NotRead { .. }), "{name}: {error}");
            assert!(error.to_string().contains(name), "{name}: {error}");
            assert!(error.help().is_some_and(|words| words.contains(help)), "{name}: {:?}", error.help());
        }
    }

    #[test]
    fn what_nobody_knows_stays_unknown() {
        for bytes in [&b"\0"[..], b"hello", &[0; 4096], b"P9 x", b"<note>svg</note>", b"\0\0\0\xFFftyp", b"PK"] {
            let error = decode(Cursor::new(bytes), &Limits::default()).expect_err("no picture");
            assert!(matches!(error, DecodeError::UnknownFormat), "{bytes:?}: {error}");
        }
    }
}

//! A profile of sRGB for programs that ask for one.

use super::{ExportError, length, put_u16, put_u32};

/// D50, the white of profiles' connection space (ICC.1, section 7.2.16), as s15Fixed16 numbers.
const D50: [u32; 3] = [0xF6D6, 0x1_0000, 0xD32D];
/// The primaries of IEC 61966-2-1 adapted to D50 with the Bradford matrix, rounded so that they add up to it.
const RED: [u32; 3] = [0x6FA0, 0x38F5, 0x0390];
const GREEN: [u32; 3] = [0x6297, 0xB787, 0x18D9];
const BLUE: [u32; 3] = [0x249F, 0x0F84, 0xB6C4];

const HEADER_BYTES: usize = 128;
/// Entries of the table that is the curve: within 1/65535 of it where 8 bits can tell.
const CURVE_ENTRIES: u16 = 1024;
const VERSION_2_1: u32 = 0x0210_0000;

/// A display profile of version 2, which every program reads.
pub(super) fn srgb() -> Result<Vec<u8>, ExportError> {
    let contents = [
        description("sRGB IEC61966-2.1")?,
        text("No copyright, use freely"),
        xyz(D50)?,
        xyz(RED)?,
        xyz(GREEN)?,
        xyz(BLUE)?,
        curve()?,
    ];
    // Tags and the number of their content; the three channels share a curve.
    let tags: [(&[u8; 4], usize); 9] = [
        (b"desc", 0),
        (b"cprt", 1),
        (b"wtpt", 2),
        (b"rXYZ", 3),
        (b"gXYZ", 4),
        (b"bXYZ", 5),
        (b"rTRC", 6),
        (b"gTRC", 6),
        (b"bTRC", 6),
    ];
    let mut at = HEADER_BYTES + 4 + tags.len() * 12;
    let mut places = Vec::new();
    for content in &contents {
        places.push((at, content.len()));
        at += content.len().next_multiple_of(4);
    }
    let mut out = header(at)?;
    put_u32(&mut out, length(tags.len())?)?;
    for (tag, content) in tags {
        let (at, bytes) = places[content];
        out.extend(tag);
        put_u32(&mut out, length(at)?)?;
        put_u32(&mut out, length(bytes)?)?;
    }
    for content in contents {
        out.extend(&content);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    Ok(out)
}

/// ICC.1, section 7.2.
fn header(size: usize) -> Result<Vec<u8>, ExportError> {
    let mut out = Vec::new();
    put_u32(&mut out, length(size)?)?;
    put_u32(&mut out, 0)?;
    put_u32(&mut out, VERSION_2_1)?;
    out.extend(b"mntrRGB XYZ ");
    // The first of January 2024; the same in every file, so that equal documents give equal bytes.
    for part in [2024, 1, 1, 0, 0, 0] {
        put_u16(&mut out, part)?;
    }
    out.extend(b"acsp");
    // Platform, flags, maker, model and attributes are left open; the intent is perceptual.
    out.resize(68, 0);
    for value in D50 {
        put_u32(&mut out, value)?;
    }
    out.resize(HEADER_BYTES, 0);
    Ok(out)
}

fn xyz(values: [u32; 3]) -> Result<Vec<u8>, ExportError> {
    let mut out = b"XYZ \0\0\0\0".to_vec();
    for value in values {
        put_u32(&mut out, value)?;
    }
    Ok(out)
}

fn text(words: &str) -> Vec<u8> {
    [b"text\0\0\0\0", words.as_bytes(), &[0]].concat()
}

/// A `textDescriptionType` with its ASCII part alone.
fn description(words: &str) -> Result<Vec<u8>, ExportError> {
    let mut out = b"desc\0\0\0\0".to_vec();
    put_u32(&mut out, length(words.len() + 1)?)?;
    out.extend(words.as_bytes());
    // The closing zero, no Unicode words (language and count), no Macintosh words (script, count and 67 bytes).
    out.resize(out.len() + 1 + 8 + 3 + 67, 0);
    Ok(out)
}

/// Light of samples (IEC 61966-2-1).
fn curve() -> Result<Vec<u8>, ExportError> {
    let mut out = b"curv\0\0\0\0".to_vec();
    put_u32(&mut out, CURVE_ENTRIES.into())?;
    for entry in 0..CURVE_ENTRIES {
        let sample = f64::from(entry) / f64::from(CURVE_ENTRIES - 1);
        let light = if sample <= 0.040_45 { sample / 12.92 } else { ((sample + 0.055) / 1.055).powf(2.4) };
        // 0 to 65535.
        put_u16(&mut out, (light * 65_535.0).round() as u16)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use moxcms::{ColorProfile, Layout, TransformOptions};

    use super::*;

    #[test]
    fn the_profile_keeps_to_the_format() {
        let profile = srgb().expect("a profile");
        let number = |at: usize| u32::from_be_bytes(*profile[at..].first_chunk().expect("four bytes")) as usize;
        assert_eq!(number(0), profile.len());
        assert_eq!([68, 72, 76].map(number), D50.map(|value| value as usize));
        assert_eq!(&profile[36..40], b"acsp");
        for tag in 0..number(128) {
            let (start, bytes) = (number(132 + tag * 12 + 4), number(132 + tag * 12 + 8));
            assert!(start.is_multiple_of(4) && start + bytes <= profile.len(), "tag {tag}");
        }
        for axis in 0..3 {
            assert_eq!(RED[axis] + GREEN[axis] + BLUE[axis], D50[axis]);
        }
    }

    #[test]
    fn the_profile_is_srgb() {
        let profile = ColorProfile::new_from_slice(&srgb().expect("a profile")).expect("is read");
        let options = TransformOptions { prefer_fixed_point: false, ..TransformOptions::default() };
        let transform = profile
            .create_transform_8bit(Layout::Rgb, &ColorProfile::new_srgb(), Layout::Rgb, options)
            .expect("between displays");
        let colours: Vec<u8> = (0..=255).flat_map(|n| [n, 255 - n, n / 2]).collect();
        let mut out = vec![0; colours.len()];
        transform.transform(&colours, &mut out).expect("the same length");
        let worst = colours.iter().zip(&out).map(|(a, b)| a.abs_diff(*b)).max();
        // LittleCMS finds no difference; this one interpolates in steps of its own.
        assert!(worst <= Some(2), "{worst:?}");
    }
}

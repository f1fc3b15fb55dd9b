//! Damaged files: never a panic, and either a clear error or a valid picture.

use std::io::Cursor;

use super::tests::{encode, sample};
use super::*;

const FORMATS: [ImageFormat; 6] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff];

/// A fixed sequence (xorshift64), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

fn check(bytes: &[u8], what: &str) -> bool {
    let limits = Limits { max_pixels: 1 << 20 };
    match decode(Cursor::new(bytes), &limits) {
        Ok(picture) => {
            let (width, height) = picture.pixels.dimensions();
            let pixels = u64::from(width) * u64::from(height);
            assert!((1..=limits.max_pixels).contains(&pixels), "{what}: {width} x {height}");
            true
        }
        Err(error) => {
            let text = error.help().unwrap_or_default();
            assert!(text.contains("again") || text.contains("choose"), "{what}: no advice in {text:?}");
            false
        }
    }
}

#[test]
fn a_file_that_ends_early_is_an_error() {
    for format in FORMATS {
        let whole = encode(&sample(80, 60), format);
        assert!(check(&whole, "whole"));
        // The last bytes may be a trailer that holds no pixels (a GIF's one byte, a PNG's empty IEND).
        let pixels_end = whole.len() - 16;
        for cut in 0..100 {
            let length = pixels_end * cut / 100;
            assert!(!check(&whole[..length], "cut"), "{format:?}: {length} of {} bytes were accepted", whole.len());
        }
    }
}

#[test]
fn changed_bytes_never_panic() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for format in FORMATS {
        let whole = encode(&sample(48, 40), format);
        for round in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(8) {
                // Half of the changes go to the headers, where they do most harm.
                let end = if random.below(2) == 0 { bytes.len().min(120) } else { bytes.len() };
                let at = random.below(end);
                bytes[at] = random.below(256) as u8;
            }
            if random.below(4) == 0 {
                bytes.truncate(random.below(bytes.len()));
            }
            check(&bytes, &format!("{format:?} round {round}"));
        }
    }
}

#[test]
fn changed_profiles_never_panic() {
    let mut random = Random(7);
    let profiles = [
        moxcms::ColorProfile::new_display_p3().encode().unwrap(),
        moxcms::ColorProfile::new_gray_with_gamma(2.2).encode().unwrap(),
    ];
    for profile in profiles {
        for _ in 0..300 {
            let mut bytes = profile.clone();
            for _ in 0..=random.below(6) {
                let at = random.below(bytes.len());
                bytes[at] = random.below(256) as u8;
            }
            bytes.truncate(bytes.len() - random.below(2) * random.below(bytes.len()));
            for picture in [DynamicImage::new_rgba8(2, 2), DynamicImage::new_luma16(2, 2)] {
                let (picture, _) = colour::to_srgb8(picture, &Some(bytes.clone()).into());
                assert_eq!(picture.dimensions(), (2, 2));
            }
        }
    }
}

#[test]
fn noise_after_a_signature_never_panics() {
    let mut random = Random(99);
    for format in FORMATS {
        let head = encode(&sample(8, 8), format)[..12].to_vec();
        for _ in 0..200 {
            let mut bytes = head.clone();
            bytes.extend((0..random.below(600)).map(|_| random.below(256) as u8));
            check(&bytes, "noise");
        }
    }
}

use std::io::Cursor;

use crate::{DecodeError, Limits, Picture, decode};

// Made by Pillow 13 (libavif): 24 x 16 pixels, red, green, blue and grey quarters, lossy at quality 95.
const SUBSAMPLED: &[u8] = include_bytes!("../samples/quarters_420.avif");
const WHOLE: &[u8] = include_bytes!("../samples/quarters_444.avif");
const GREY: &[u8] = include_bytes!("../samples/grey.avif");
const ALPHA: &[u8] = include_bytes!("../samples/alpha.avif");
const DISPLAY_P3: &[u8] = include_bytes!("../samples/p3.avif");

fn read(file: &[u8]) -> Picture {
    decode(Cursor::new(file), &Limits::default()).expect("a picture")
}

fn assert_near(picture: &Picture, at: (u32, u32), expected: [u8; 4], what: &str) {
    let found = picture.pixels.get_pixel(at.0, at.1).0;
    let near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 4);
    assert!(near, "{what} at {at:?}: {found:?} instead of {expected:?}");
}

const QUARTERS: [((u32, u32), [u8; 4]); 4] = [
    ((4, 3), [220, 40, 30, 255]),
    ((20, 3), [40, 180, 60, 255]),
    ((4, 12), [30, 60, 200, 255]),
    ((20, 12), [128, 128, 128, 255]),
];

#[test]
fn colours_are_read_in_every_layout() {
    for (name, file) in [("4:2:0", SUBSAMPLED), ("4:4:4", WHOLE)] {
        let picture = read(file);
        assert_eq!((picture.format, picture.pixels.dimensions(), picture.has_alpha), ("avif", (24, 16), false));
        for (at, expected) in QUARTERS {
            assert_near(&picture, at, expected, name);
        }
    }
    let grey = read(GREY);
    for (x, expected) in [(2, 20), (12, 128), (21, 230)] {
        assert_near(&grey, (x, 5), [expected, expected, expected, 255], "grey");
    }
}

#[test]
fn alpha_is_read() {
    let picture = read(ALPHA);
    assert!(picture.has_alpha);
    for (at, expected) in [((4, 8), [220, 40, 30, 255]), ((20, 8), [220, 40, 30, 128])] {
        assert_near(&picture, at, expected, "alpha");
    }
}

#[test]
fn a_profile_is_converted() {
    // Display P3 (200, 100, 50) in sRGB, as in `display_p3_becomes_srgb`.
    assert_near(&read(DISPLAY_P3), (8, 8), [215, 93, 31, 255], "P3");
}

#[test]
fn pictures_are_turned_and_mirrored() {
    // The file of each orientation of EXIF, which Pillow writes as a turn and a mirror.
    let files: [&[u8]; 8] = [
        include_bytes!("../samples/o1.avif"),
        include_bytes!("../samples/o2.avif"),
        include_bytes!("../samples/o3.avif"),
        include_bytes!("../samples/o4.avif"),
        include_bytes!("../samples/o5.avif"),
        include_bytes!("../samples/o6.avif"),
        include_bytes!("../samples/o7.avif"),
        include_bytes!("../samples/o8.avif"),
    ];
    // Where the red quarter of the stored picture, which is its upper left one, is to be seen.
    let seen = [(4, 3), (20, 3), (20, 12), (4, 12), (3, 4), (12, 4), (12, 20), (3, 20)];
    for (index, (file, at)) in files.into_iter().zip(seen).enumerate() {
        let picture = read(file);
        let size = if index < 4 { (24, 16) } else { (16, 24) };
        assert_eq!(picture.pixels.dimensions(), size, "orientation {}", index + 1);
        assert_near(&picture, at, QUARTERS[0].1, &format!("orientation {}", index + 1));
    }
}

#[test]
fn files_that_are_cut_or_changed_are_errors_or_pictures() {
    for length in 0..WHOLE.len() {
        let result = decode(Cursor::new(&WHOLE[..length]), &Limits::default());
        assert!(result.is_err() || length + 8 > WHOLE.len(), "{length} of {}", WHOLE.len());
    }
    let mut state = 7_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for file in [SUBSAMPLED, ALPHA, DISPLAY_P3] {
        for _ in 0..400 {
            let mut bytes = file.to_vec();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            if let Ok(picture) = decode(Cursor::new(&bytes), &Limits { max_pixels: 100_000 }) {
                assert!(picture.pixels.width() > 0);
            }
        }
    }
}

#[test]
fn too_many_pixels_are_refused_from_the_header() {
    let error = decode(Cursor::new(WHOLE), &Limits { max_pixels: 100 }).expect_err("24 x 16 are more");
    assert!(matches!(error, DecodeError::TooManyPixels { width: 24, height: 16, .. }), "{error}");
}

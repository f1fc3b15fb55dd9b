use std::io::Cursor;

use super::*;
use crate::decode;

/// Made by Pillow 13 (libjpeg-turbo), 45 x 37 pixels: slopes with noise.
const SAMPLES: [(&str, &[u8]); 4] = [
    ("baseline 4:2:2", include_bytes!("samples/baseline_422.jpg")),
    ("progressive 4:2:0", include_bytes!("samples/progressive_420.jpg")),
    ("progressive 4:4:4", include_bytes!("samples/progressive_444.jpg")),
    ("progressive grey", include_bytes!("samples/progressive_grey.jpg")),
];

fn decoded(bytes: &[u8]) -> Result<crate::Picture, DecodeError> {
    decode(Cursor::new(bytes), &Limits { max_pixels: 100_000_000 })
}

fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
    [&[0xFF, marker], &length[..], data].concat()
}

/// A grey picture of `width` x `height` pixels up to its entropy-coded data, where a block of plain grey is two bits 0.
fn plain(frame: u8, width: u16, height: u16, restart: u16) -> Vec<u8> {
    let [h0, h1] = height.to_be_bytes();
    let [w0, w1] = width.to_be_bytes();
    // One code, 0, for the value 0.
    let table = |class: u8| [&[class, 1][..], &[0; 15], &[0]].concat();
    [
        vec![0xFF, 0xD8],
        segment(0xDB, &[&[0][..], &[1; 64]].concat()),
        segment(frame, &[8, h0, h1, w0, w1, 1, 1, 0x11, 0]),
        segment(0xC4, &table(0x00)),
        segment(0xC4, &table(0x10)),
        segment(0xDD, &restart.to_be_bytes()),
        segment(0xDA, &[1, 1, 0, 0, 63, 0]),
    ]
    .concat()
}

const END: [u8; 2] = [0xFF, 0xD9];

fn with(mut bytes: Vec<u8>, more: &[u8]) -> Vec<u8> {
    bytes.extend(more);
    bytes
}

fn assert_ends_early(bytes: &[u8], what: &str) {
    let error = decoded(bytes).unwrap_err();
    assert!(matches!(&error, DecodeError::Damaged { reason, .. } if reason.contains("too early")), "{what}: {error}");
}

#[test]
fn data_that_ends_early_is_refused_in_spite_of_an_end_marker() {
    // 16 x 16 of 8000 x 8000 pixels.
    assert_ends_early(&with(plain(0xC0, 8000, 8000, 0), &[0, END[0], END[1]]), "a byte of 250000");
    // 6 of 6 blocks, and 5 of 6.
    assert!(decoded(&with(plain(0xC0, 24, 16, 0), &[0, 0x0F, 0xFF, 0xD9])).is_ok());
    assert_ends_early(&with(plain(0xC0, 40, 16, 0), &[0, 0x0F, 0xFF, 0xD9]), "8 of 10 blocks");
    for (name, bytes) in SAMPLES {
        assert!(decoded(bytes).is_ok(), "{name}");
        // All within the last scan.
        for cut in [4, 20, 60, 110] {
            let cut = with(bytes[..bytes.len() - 2 - cut].to_vec(), &END);
            assert_ends_early(&cut, name);
        }
    }
}

#[test]
fn a_missing_end_marker_does_not_matter_when_all_blocks_are_there() {
    let whole = plain(0xC0, 24, 16, 0);
    assert!(decoded(&with(whole.clone(), &[0, 0x0F])).is_ok());
    assert!(decoded(&with(whole.clone(), &[0, 0x0F, 0xFF])).is_ok());
    assert_ends_early(&with(whole, &[0]), "4 of 6 blocks");
    for (name, bytes) in SAMPLES {
        let expected = decoded(bytes).unwrap();
        assert_eq!(decoded(&bytes[..bytes.len() - 2]).unwrap().pixels, expected.pixels, "{name}");
        assert_ends_early(&bytes[..bytes.len() - 6], name);
    }
    // A progressive picture is not whole before its last scan.
    let progressive = SAMPLES[1].1;
    let last_scan = progressive.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
    assert_ends_early(&progressive[..last_scan], "without its last scan");
    assert!(decoded(&with(progressive[..last_scan].to_vec(), &END)).is_ok(), "a coarser picture, if it says so");
}

#[test]
fn restart_intervals_are_counted() {
    let two = plain(0xC0, 16, 8, 1);
    assert!(decoded(&with(two.clone(), &[0x3F, 0xFF, 0xD0, 0x3F, 0xFF, 0xD9])).is_ok());
    assert_ends_early(&with(two.clone(), &[0x3F, 0xFF, 0xD0, 0xFF, 0xD9]), "an empty interval");
    assert_ends_early(&with(two, &[0x3F, 0xFF, 0xD9]), "one interval of two");
}

#[test]
fn arithmetic_coding_is_named() {
    for marker in [0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF] {
        let error = decoded(&with(plain(marker, 8, 8, 0), &[0x3F, 0xFF, 0xD9])).unwrap_err();
        assert!(matches!(error, DecodeError::ArithmeticJpeg), "{error}");
        assert!(error.to_string().starts_with("arithmetic-coded JPEG is not supported"));
    }
}

#[test]
fn metadata_that_nobody_reads_is_left_out() {
    let sample = SAMPLES[0].1;
    let mut bytes = sample[..2].to_vec();
    let exif =
        [b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[6, 0, 0, 0, 0, 0, 0]].concat();
    for (marker, data) in [
        (0xE1, exif.as_slice()),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
        (0xE2, b"MPF\0"),
        (0xED, b"Photoshop 3.0\0"),
        (0xFE, b"a comment"),
    ] {
        bytes.extend(segment(marker, data));
    }
    bytes.extend(&sample[2..]);
    // What stands behind the end is not read either.
    bytes.extend(b"MotionPhoto");
    let found = read(&mut Cursor::new(&bytes), &Limits::default()).unwrap();
    let without_jfif = |bytes: &[u8]| bytes[bytes.windows(2).position(|pair| pair == [0xFF, 0xDB]).unwrap()..].to_vec();
    assert_eq!(without_jfif(&found.bytes), without_jfif(sample));
    assert_eq!(decoded(&bytes).unwrap().pixels.dimensions(), (37, 45), "turned as its EXIF says");
}

#[test]
fn a_profile_is_put_together_from_its_pieces() {
    let piece = |number, count, data: &[u8]| [b"ICC_PROFILE\0".as_slice(), &[number, count], data].concat();
    let put = |pieces: &[Vec<u8>]| {
        let mut profile = Profile::default();
        pieces.iter().for_each(|piece| profile.add(piece));
        profile.finish()
    };
    assert_eq!(put(&[piece(2, 2, b"cd"), piece(1, 2, b"ab")]), Some(b"abcd".to_vec()));
    assert_eq!(put(&[piece(1, 2, b"ab")]), None);
    assert_eq!(put(&[piece(1, 1, b"ab"), piece(1, 1, b"ab")]), None);
    assert_eq!(put(&[piece(0, 1, b"ab")]), None);
    assert_eq!(put(&[b"MPF\0".to_vec()]), None);
    let large = vec![0; 65_000];
    assert_eq!(put(&(1..=64).map(|n| piece(n, 64, &large)).collect::<Vec<_>>()).unwrap().len(), 64 * 65_000);
    assert_eq!(put(&(1..=65).map(|n| piece(n, 65, &large)).collect::<Vec<_>>()), None);
}

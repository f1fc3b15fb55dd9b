use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::tiff::TiffEncoder;
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};
use moxcms::ColorProfile;

use super::*;

fn decode_bytes(bytes: &[u8]) -> Result<Picture, DecodeError> {
    decode(Cursor::new(bytes), &Limits::default())
}

/// A picture with a slope in every channel.
pub(super) fn sample(width: u32, height: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| {
        image::Rgba([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x + y) * 3 % 256) as u8, 255 - (x * 2 % 200) as u8])
    })
}

pub(super) fn encode(picture: &RgbaImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let dynamic = DynamicImage::ImageRgba8(picture.clone());
    let flat = DynamicImage::ImageRgb8(dynamic.to_rgb8());
    let source = if format == ImageFormat::Jpeg { &flat } else { &dynamic };
    source.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn lossless_formats_give_back_every_byte() {
    let picture = sample(61, 37);
    for (format, name) in
        [(ImageFormat::Png, "png"), (ImageFormat::WebP, "webp"), (ImageFormat::Tiff, "tiff"), (ImageFormat::Bmp, "bmp")]
    {
        let read = decode_bytes(&encode(&picture, format)).unwrap();
        assert_eq!((read.format, read.has_alpha), (name, true));
        assert_eq!(read.pixels, picture, "{name}");
    }
}

#[test]
fn an_opaque_picture_has_no_alpha() {
    let picture = RgbaImage::from_pixel(8, 8, image::Rgba([1, 2, 3, 255]));
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Jpeg] {
        assert!(!decode_bytes(&encode(&picture, format)).unwrap().has_alpha);
    }
}

#[test]
fn jpeg_comes_close() {
    let picture = RgbaImage::from_pixel(40, 24, image::Rgba([180, 60, 20, 255]));
    let read = decode_bytes(&encode(&picture, ImageFormat::Jpeg)).unwrap();
    assert_eq!(read.format, "jpeg");
    assert!(crate::Difference::between(&read.pixels, &picture).unwrap().max <= 3);
}

#[test]
fn what_is_not_a_picture_is_named_as_such() {
    assert!(matches!(decode_bytes(b""), Err(DecodeError::Empty)));
    for bytes in [&b"\0"[..], b"hello", &[0; 4096]] {
        assert!(matches!(decode_bytes(bytes), Err(DecodeError::UnknownFormat)));
    }
}

#[test]
fn too_many_pixels_are_refused_from_the_header() {
    // A PNG that claims 60000 x 60000 pixels and holds ten bytes of data: only the header can be judged.
    let mut bomb = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bomb, 60_000, 60_000);
    encoder.set_color(::png::ColorType::Rgba);
    encoder.write_header().unwrap().write_chunk(::png::chunk::IDAT, &[0; 10]).unwrap();
    let error = decode_bytes(&bomb).unwrap_err();
    assert!(matches!(error, DecodeError::TooManyPixels { width: 60_000, height: 60_000, .. }), "{error}");

    let picture = encode(&sample(11, 10), ImageFormat::Png);
    assert!(decode(Cursor::new(&picture), &Limits { max_pixels: 110 }).is_ok());
    let error = decode(Cursor::new(&picture), &Limits { max_pixels: 109 }).unwrap_err();
    assert!(error.to_string().contains("11 x 10 pixels, more than the 109"), "{error}");
}

#[test]
fn every_header_with_a_huge_size_is_refused() {
    let limits = Limits { max_pixels: 500 };
    for format in
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff]
    {
        let error = decode(Cursor::new(encode(&sample(40, 20), format)), &limits).unwrap_err();
        assert!(matches!(error, DecodeError::TooManyPixels { width: 40, height: 20, .. }), "{format:?} {error}");
    }
}

/// An APP1 segment with nothing but an orientation (EXIF 2.3, tag 0x0112).
fn exif(orientation: u8) -> Vec<u8> {
    let mut tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    tiff.extend([orientation, 0, 0, 0, 0, 0, 0]);
    tiff
}

#[test]
fn exif_orientation_is_applied() {
    // Left half red, right half blue.
    let wide = RgbImage::from_fn(64, 32, |x, _| if x < 32 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
    for (orientation, size, red_at) in [
        (1, (64, 32), (5, 16)),
        (2, (64, 32), (58, 16)),
        (3, (64, 32), (58, 16)),
        (6, (32, 64), (16, 5)),
        (8, (32, 64), (16, 58)),
    ] {
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        encoder.encode_image(&wide).unwrap();
        let read = decode_bytes(&bytes).unwrap();
        assert_eq!(read.pixels.dimensions(), size, "orientation {orientation}");
        let pixel = read.pixels.get_pixel(red_at.0, red_at.1);
        assert!(pixel[0] > 200 && pixel[2] < 50, "orientation {orientation}: {pixel:?}");
    }
}

#[test]
fn sixteen_bits_are_rounded_to_nearest() {
    let values: Vec<u16> = (0..=u16::MAX).collect();
    let bytes_in: Vec<u8> = values.iter().flat_map(|v| [*v; 3]).flat_map(u16::to_ne_bytes).collect();
    for tiff in [false, true] {
        let mut bytes = Cursor::new(Vec::new());
        if tiff {
            TiffEncoder::new(&mut bytes).write_image(&bytes_in, 256, 256, ExtendedColorType::Rgb16).unwrap();
        } else {
            PngEncoder::new(&mut bytes).write_image(&bytes_in, 256, 256, ExtendedColorType::Rgb16).unwrap();
        }
        let read = decode_bytes(bytes.get_ref()).unwrap();
        for (value, pixel) in values.iter().zip(read.pixels.pixels()) {
            let exact = (f64::from(*value) / 257.0).round() as u8;
            assert_eq!(pixel.0, [exact, exact, exact, 255]);
        }
    }
}

fn with_profile(pixel: [u8; 3], profile: &ColorProfile) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(profile.encode().unwrap()).unwrap();
    encoder.write_image(&pixel.repeat(4), 2, 2, ExtendedColorType::Rgb8).unwrap();
    bytes
}

#[test]
fn display_p3_becomes_srgb() {
    // P3 (200, 100, 50) in sRGB, from the primaries (SMPTE EG 432-1, ITU-R BT.709), the D65 white
    // point and the curve of IEC 61966-2-1 in double precision: (214.90, 92.61, 30.95).
    let read = decode_bytes(&with_profile([200, 100, 50], &ColorProfile::new_display_p3())).unwrap();
    let pixel = read.pixels.get_pixel(0, 0);
    for (found, expected) in pixel.0.into_iter().zip([215_u8, 93, 31, 255]) {
        assert!(found.abs_diff(expected) <= 1, "{pixel:?}");
    }
}

#[test]
fn an_srgb_profile_changes_no_bit() {
    for colour in [[0, 0, 0], [1, 2, 3], [10, 200, 90], [254, 255, 253]] {
        let read = decode_bytes(&with_profile(colour, &ColorProfile::new_srgb())).unwrap();
        assert_eq!(read.pixels.get_pixel(1, 1).0, [colour[0], colour[1], colour[2], 255]);
    }
}

#[test]
fn a_grey_profile_is_converted() {
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(ColorProfile::new_gray_with_gamma(1.0).encode().unwrap()).unwrap();
    encoder.write_image(&[0, 128, 255, 64], 2, 2, ExtendedColorType::L8).unwrap();
    let read = decode_bytes(&bytes).unwrap();
    let found: Vec<u8> = read.pixels.pixels().map(|pixel| pixel[1]).collect();
    // The sRGB curve of 128/255 and 64/255: 187.8 and 137.2.
    for (found, expected) in found.into_iter().zip([0_u8, 188, 255, 137]) {
        assert!(found.abs_diff(expected) <= 1, "{found} {expected}");
    }
}

#[test]
fn a_grey_profile_over_lab_gives_lightness() {
    // Its curve is the identity, so grey g has L* = 100 g / 255. By CIE 15 and IEC 61966-2-1, in double precision:
    // 128 -> L* 50.196, Y 0.18583 -> 119.4; 64 -> L* 25.098, Y 0.04452 -> 59.6; 10 -> L* 3.922, Y 0.004341 -> 13.4.
    let mut profile = ColorProfile::new_gray_with_gamma(1.0);
    profile.pcs = moxcms::DataColorSpace::Lab;
    let mut png = Vec::new();
    let mut encoder = PngEncoder::new(&mut png);
    encoder.set_icc_profile(profile.encode().unwrap()).unwrap();
    encoder.write_image(&[0, 128, 255, 64, 10, 128], 3, 2, ExtendedColorType::L8).unwrap();
    let found: Vec<[u8; 4]> = decode_bytes(&png).unwrap().pixels.pixels().map(|pixel| pixel.0).collect();
    for (found, expected) in found.into_iter().zip([0_u8, 119, 255, 60, 13, 119]) {
        assert!(found[0].abs_diff(expected) <= 1, "{found:?} {expected}");
        assert_eq!((found[0], found[0], 255), (found[1], found[2], found[3]));
    }

    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 100);
    encoder.set_icc_profile(profile.encode().unwrap()).unwrap();
    encoder.write_image(&[128; 64], 8, 8, ExtendedColorType::L8).unwrap();
    assert!(decode_bytes(&jpeg).unwrap().pixels.get_pixel(4, 4)[0].abs_diff(119) <= 1);
}

#[test]
fn every_format_gives_its_profile() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let pixels = [200, 100, 50].repeat(64);
    let write = |encoder: &mut dyn FnMut(&mut Cursor<Vec<u8>>)| {
        let mut out = Cursor::new(Vec::new());
        encoder(&mut out);
        out.into_inner()
    };
    let files = [
        write(&mut |out| {
            let mut encoder = PngEncoder::new(out);
            encoder.set_icc_profile(profile.clone()).unwrap();
            encoder.write_image(&pixels, 8, 8, ExtendedColorType::Rgb8).unwrap();
        }),
        write(&mut |out| {
            let mut encoder = JpegEncoder::new_with_quality(out, 100);
            encoder.set_icc_profile(profile.clone()).unwrap();
            encoder.write_image(&pixels, 8, 8, ExtendedColorType::Rgb8).unwrap();
        }),
        write(&mut |out| {
            let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(out);
            encoder.set_icc_profile(profile.clone()).unwrap();
            encoder.write_image(&pixels, 8, 8, ExtendedColorType::Rgb8).unwrap();
        }),
        write(&mut |out| {
            let mut encoder = TiffEncoder::new(out);
            encoder.set_icc_profile(profile.clone()).unwrap();
            encoder.write_image(&pixels, 8, 8, ExtendedColorType::Rgb8).unwrap();
        }),
        gif_with_profile(&profile),
    ];
    for file in files {
        let read = decode_bytes(&file).unwrap();
        // As in `display_p3_becomes_srgb`; JPEG's own rounding comes on top.
        for (found, expected) in read.pixels.get_pixel(4, 4).0.into_iter().zip([215_u8, 93, 31, 255]) {
            assert!(found.abs_diff(expected) <= 3, "{}: {found} {expected}", read.format);
        }
    }
}

/// A GIF of one colour; the profile lies in sub-blocks of an application block behind the header.
fn gif_with_profile(profile: &[u8]) -> Vec<u8> {
    let plain = encode(&RgbaImage::from_pixel(8, 8, image::Rgba([200, 100, 50, 255])), ImageFormat::Gif);
    let start = 13 + if plain[10] & 0x80 == 0 { 0 } else { 3 << ((plain[10] & 7) + 1) };
    let mut file = plain[..start].to_vec();
    file.extend(b"\x21\xFE\x05hello\0\x21\xFF\x0BICCRGBG1012");
    for block in profile.chunks(255) {
        file.push(block.len() as u8);
        file.extend(block);
    }
    file.push(0);
    file.extend(&plain[start..]);
    file
}

#[test]
fn a_broken_profile_is_taken_for_srgb() {
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(vec![1, 2, 3, 4]).unwrap();
    encoder.write_image(&[9, 8, 7], 1, 1, ExtendedColorType::Rgb8).unwrap();
    assert_eq!(decode_bytes(&bytes).unwrap().pixels.get_pixel(0, 0).0, [9, 8, 7, 255]);
}

#[test]
fn cmyk_tiff_is_refused_with_advice() {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = ::tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
    encoder.write_image::<::tiff::encoder::colortype::CMYK8>(2, 1, &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
    let error = decode_bytes(bytes.get_ref()).unwrap_err();
    assert!(matches!(error, DecodeError::Cmyk { format: "tiff" }));
    assert!(error.help().unwrap().contains("export it as RGB"), "{error}");
}

#[test]
fn cmyk_jpeg_is_refused_with_advice() {
    // `CMYK` is written by no encoder here: a three-component frame header is turned into one with four.
    let mut bytes = encode(&sample(16, 16), ImageFormat::Jpeg);
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    bytes[frame + 9] = 4;
    assert!(matches!(decode_bytes(&bytes), Err(DecodeError::Cmyk { format: "jpeg" })));
}

#[test]
fn premultiplied_tiff_is_made_straight() {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = ::tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
    let mut page = encoder.new_image::<::tiff::encoder::colortype::RGBA8>(1, 1).unwrap();
    page.encoder().write_tag(::tiff::tags::Tag::ExtraSamples, &[1_u16][..]).unwrap();
    page.write_data(&[100, 50, 0, 128]).unwrap();
    let read = decode_bytes(bytes.get_ref()).unwrap();
    assert_eq!(read.pixels.get_pixel(0, 0).0, [199, 100, 0, 128]);
}

#[test]
fn a_jpeg_of_many_scans_is_refused() {
    let mut bytes = encode(&sample(16, 16), ImageFormat::Jpeg);
    bytes.truncate(bytes.len() - 2);
    for _ in 0..300 {
        bytes.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
    }
    bytes.extend([0xFF, 0xD9]);
    let error = decode_bytes(&bytes).unwrap_err();
    assert!(matches!(error, DecodeError::Unsupported { .. }), "{error}");
}

#[test]
fn a_reader_that_fails_is_not_the_pictures_fault() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::PermissionDenied))
        }
    }
    impl Seek for Broken {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }
    assert!(matches!(decode(io::BufReader::new(Broken), &Limits::default()), Err(DecodeError::Io(_))));
}

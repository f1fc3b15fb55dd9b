//! Files that programs in the field write, each with what is right: colours, keys of transparency, metadata wherever it
//! stands, what follows the end or lacks it.

use std::io::Cursor;

use image::RgbaImage;
use moxcms::ColorProfile;

use super::{Limits, Picture, decode};
use crate::Density;

fn read(file: &[u8]) -> Picture {
    decode(Cursor::new(file), &Limits::default()).expect("a picture")
}

fn pixels(file: &[u8]) -> Vec<[u8; 4]> {
    read(file).pixels.pixels().map(|pixel| pixel.0).collect()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(data);
    [&(data.len() as u32).to_be_bytes()[..], kind, data, &sum.sum().to_be_bytes()].concat()
}

/// A PNG of `size` with `bits` and `colour` as its header has them, the chunks `before` and `after` its pixels.
fn png(size: (u32, u32), (bits, colour): (u8, u8), rows: &[&[u8]], before: &[Vec<u8>], after: &[Vec<u8>]) -> Vec<u8> {
    use std::io::Write;
    let header = [&size.0.to_be_bytes()[..], &size.1.to_be_bytes(), &[bits, colour, 0, 0, 0]].concat();
    let mut data = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    for row in rows {
        data.write_all(&[&[0][..], row].concat()).expect("memory");
    }
    let data = data.finish().expect("memory");
    let chunks = [&[chunk(b"IHDR", &header)][..], before, &[chunk(b"IDAT", &data)], after, &[chunk(b"IEND", &[])]];
    [&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat().concat()].concat()
}

/// One pixel in RGB of 8 bits.
fn rgb(pixel: [u8; 3], before: &[Vec<u8>]) -> Vec<u8> {
    png((1, 1), (8, 2), &[&pixel], before, &[])
}

fn colour(pixel: [u8; 3], before: &[Vec<u8>]) -> [u8; 4] {
    pixels(&rgb(pixel, before))[0]
}

fn assert_near(found: [u8; 4], expected: [u8; 3], what: &str) {
    let near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1);
    assert!(near && found[3] == 255, "{what}: {found:?}, not {expected:?}");
}

fn gamma(value: u32) -> Vec<u8> {
    chunk(b"gAMA", &value.to_be_bytes())
}

fn profile(profile: &ColorProfile) -> Vec<u8> {
    use std::io::Write;
    let mut data = flate2::write::ZlibEncoder::new(b"x\0\0".to_vec(), flate2::Compression::fast());
    data.write_all(&profile.encode().expect("a profile")).expect("memory");
    chunk(b"iCCP", &data.finish().expect("memory"))
}

/// White point and primaries of Display P3 (SMPTE EG 432-1), in 1/100000.
fn p3_primaries() -> Vec<u8> {
    let numbers = [31_270_u32, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000];
    chunk(b"cHRM", &numbers.map(u32::to_be_bytes).concat())
}

const P3: [u8; 4] = [12, 13, 0, 1];
/// As in `display_p3_becomes_srgb`.
const COLOUR: [u8; 3] = [200, 100, 50];
const FROM_P3: [u8; 3] = [215, 93, 31];

#[test]
fn gamma_is_undone_where_nothing_else_is_said() {
    // 255 srgb((128 / 255)^(1 / g)): 187.8 for 1, 118.6 for 1/2.4 is near to sRGB's own; 147.1 for 1/1.8.
    assert_near(colour([128; 3], &[gamma(100_000)]), [188; 3], "linear");
    assert_near(colour([128; 3], &[gamma(55_556)]), [147; 3], "1.8");
    // What programs write for sRGB.
    assert_eq!(colour([128; 3], &[gamma(45_455)]), [128, 128, 128, 255]);
    let grey = png((1, 1), (8, 0), &[&[128]], &[gamma(100_000)], &[]);
    assert_near(pixels(&grey)[0], [188; 3], "grey");
    let deep = png((1, 1), (16, 2), &[&[0x80; 6]], &[gamma(100_000)], &[]);
    assert_near(pixels(&deep)[0], [188; 3], "16 bits");
    for nonsense in [vec![gamma(0)], vec![gamma(u32::MAX)], vec![chunk(b"gAMA", &[1])]] {
        assert_eq!(colour([128; 3], &nonsense), [128, 128, 128, 255]);
    }
    // Behind the pixels it says nothing.
    let late = png((1, 1), (8, 2), &[&[128; 3]], &[], &[gamma(100_000)]);
    assert_eq!(pixels(&late)[0], [128, 128, 128, 255]);
}

#[test]
fn gamma_comes_with_its_primaries() {
    let srgb = gamma(45_455);
    assert_near(colour(COLOUR, &[srgb.clone(), p3_primaries()]), FROM_P3, "P3");
    assert_eq!(colour(COLOUR, &[p3_primaries()])[..3], COLOUR, "primaries alone");
    let flat = chunk(b"cHRM", &[0; 32]);
    assert_eq!(colour(COLOUR, &[srgb, flat])[..3], COLOUR, "no colours");
}

#[test]
fn the_strongest_word_on_colours_counts() {
    let srgb = chunk(b"sRGB", &[0]);
    let (linear, cicp) = (gamma(100_000), chunk(b"cICP", &P3));
    let (icc, icc_srgb) = (profile(&ColorProfile::new_display_p3()), profile(&ColorProfile::new_srgb()));
    assert_near(colour(COLOUR, std::slice::from_ref(&cicp)), FROM_P3, "cICP");
    assert_eq!(colour(COLOUR, &[linear.clone(), srgb.clone()])[..3], COLOUR, "sRGB over gAMA");
    assert_near(colour(COLOUR, &[linear.clone(), icc.clone()]), FROM_P3, "iCCP over gAMA");
    assert_near(colour(COLOUR, &[srgb.clone(), icc]), FROM_P3, "iCCP over sRGB");
    assert_near(colour(COLOUR, &[linear.clone(), icc_srgb.clone(), cicp.clone()]), FROM_P3, "cICP over iCCP");
    assert_near(colour(COLOUR, &[cicp, srgb, icc_srgb, linear.clone()]), FROM_P3, "cICP first");
    // One that cannot be read leaves the next.
    let broken = chunk(b"iCCP", b"x\0\0junk");
    assert_near(colour([128; 3], &[broken, linear.clone()]), [188; 3], "a broken profile");
    // YCbCr is not allowed, 2 leaves it open, 99 is nobody's number.
    for open in [[12, 13, 1, 1], [2, 13, 0, 1], [12, 2, 0, 1], [12, 13, 0, 7], [99, 99, 0, 1]] {
        assert_near(colour([128; 3], &[chunk(b"cICP", &open), linear.clone()]), [188; 3], "an open cICP");
    }
    assert_eq!(colour(COLOUR, &[chunk(b"cICP", &[1, 13, 0, 1])])[..3], COLOUR, "sRGB by numbers");
}

#[test]
fn video_levels_are_stretched() {
    let narrow = [chunk(b"cICP", &[1, 13, 0, 0])];
    for (level, expected) in [(16, 0), (235, 255), (0, 0), (255, 255), (126, 128)] {
        assert_near(colour([level; 3], &narrow), [expected; 3], "8 bits");
    }
    let deep = png((1, 1), (16, 2), &[&[126, 0, 126, 0, 126, 0]], &narrow, &[]);
    assert_near(pixels(&deep)[0], [128; 3], "16 bits");
}

/// A PNG with 16 bits of one row and these chunks before its pixels.
fn deep(row: &[[u16; 3]], before: &[Vec<u8>]) -> Vec<u8> {
    let bytes: Vec<u8> = row.iter().flatten().flat_map(|value| value.to_be_bytes()).collect();
    png((row.len() as u32, 1), (16, 2), &[&bytes], before, &[])
}

/// Values computed apart from the code, by the formulas of SMPTE ST 2084, BT.2087, BT.2390 and BT.2100.
#[test]
fn high_dynamic_range_becomes_srgb() {
    let (pq, hlg) = (chunk(b"cICP", &[9, 16, 0, 1]), chunk(b"cICP", &[9, 18, 0, 1]));
    // sRGB's (200, 100, 50), (20, 30, 90) and white, with paper at 203 cd/m²: nothing is brighter.
    let dim = [[32_029, 26_124, 19_640], [13_474, 13_628, 23_061], [38_055; 3], [0x8000; 3], [0; 3]];
    let expected = [[200, 100, 50], [20, 30, 90], [255; 3], [180; 3], [0; 3]];
    let by_profile = profile(&ColorProfile::new_bt2020_pq());
    for before in [pq.clone(), by_profile] {
        let picture = read(&deep(&dim, &[before]));
        assert!(picture.was_hdr && !picture.has_alpha);
        for (pixel, expected) in picture.pixels.pixels().zip(expected) {
            assert_near(pixel.0, expected, "PQ");
        }
    }
    // 30, 100, 203, 400 and 1000 cd/m²: the brightest becomes white, and what is dark stays.
    let bright = read(&deep(&[25_747, 33_297, 38_055, 42_767, 49_271].map(|value| [value; 3]), &[pq]));
    for (pixel, expected) in bright.pixels.pixels().zip([107, 185, 229, 250, 255]) {
        assert_near(pixel.0, [expected; 3], "PQ with lights");
    }
    for before in [hlg, profile(&ColorProfile::new_bt2020_hlg())] {
        let picture = read(&deep(&[[16_384; 3], [32_768; 3], [49_151; 3]], &[before]));
        assert!(picture.was_hdr);
        for (pixel, expected) in picture.pixels.pixels().zip([61, 137, 255]) {
            assert_near(pixel.0, [expected; 3], "HLG");
        }
    }
    assert!(!read(&deep(&[[1; 3]], &[chunk(b"cICP", &P3)])).was_hdr);
}

#[test]
fn a_light_keeps_its_hue() {
    let pq = chunk(b"cICP", &[12, 16, 0, 1]);
    // P3's red at 1000 cd/m² beside paper: red, not white.
    let picture = read(&deep(&[[49_271, 20_000, 20_000], [38_055; 3]], &[pq]));
    let [red, green, blue, _] = picture.pixels.get_pixel(0, 0).0;
    assert!(red == 255 && green < 60 && blue < 60, "{red} {green} {blue}");
}

/// An EXIF block with orientation 6 and 150 x 300 pixels per inch.
fn exif() -> Vec<u8> {
    let mut block = b"MM\0\x2a\0\0\0\x08\0\x04".to_vec();
    for (tag, kind, value) in [(0x112_u16, 3_u16, 6 << 16), (0x11A, 5, 62), (0x11B, 5, 70), (0x128, 3, 2_u32 << 16)] {
        block
            .extend([&tag.to_be_bytes()[..], &kind.to_be_bytes(), &1_u32.to_be_bytes(), &value.to_be_bytes()].concat());
    }
    block.extend([0; 4]);
    block.extend([150_u32, 1, 600, 2].map(u32::to_be_bytes).concat());
    block
}

#[test]
fn exif_counts_before_and_behind_the_pixels() {
    let row: Vec<u8> = [[255, 0, 0]; 6].into_iter().chain([[0, 0, 255]; 6]).flatten().collect();
    let block = chunk(b"eXIf", &exif());
    let rows = [&row[..]; 8];
    for (before, after) in [(vec![block.clone()], vec![]), (vec![], vec![block])] {
        let picture = read(&png((12, 8), (8, 2), &rows, &before, &after));
        assert_eq!(picture.pixels.dimensions(), (8, 12));
        assert_eq!(picture.pixels.get_pixel(3, 2).0, [255, 0, 0, 255]);
        assert_eq!(picture.density, Density::new(300.0, 150.0), "turned with the picture");
    }
}

#[test]
fn the_density_is_read_from_every_format() {
    let phys = |x: u32, y: u32, unit| chunk(b"pHYs", &[&x.to_be_bytes()[..], &y.to_be_bytes(), &[unit]].concat());
    let of_png = |chunks: &[Vec<u8>]| read(&rgb([1; 3], chunks)).density;
    assert_eq!(of_png(&[phys(11_811, 11_811, 1)]), Density::new(300.0, 300.0));
    assert_eq!(of_png(&[phys(2835, 5669, 1)]), Density::new(72.0, 144.0));
    assert_eq!(of_png(&[phys(2, 1, 0)]), None, "a shape, no size");
    assert_eq!(of_png(&[phys(0, 0, 1)]), None);
    assert_eq!(of_png(&[]), None);

    let jpeg = include_bytes!("samples/prog.jpg");
    let jfif = jpeg.windows(5).position(|part| part == b"JFIF\0").expect("a JFIF segment") + 5;
    for (unit, [x, y], expected) in [(1, [300, 300], 300.0), (2, [118, 118], 299.72), (1, [72, 72], 72.0)] {
        let mut file = jpeg.to_vec();
        file[jfif + 2] = unit;
        file[jfif + 3..jfif + 7].copy_from_slice(&[x, y].map(u16::to_be_bytes).concat());
        let found = read(&file).density.expect("a density");
        assert!((found.x - expected).abs() < 1e-6 && found.x == found.y, "{found:?}");
    }
    let block = [b"Exif\0\0", &exif()[..]].concat();
    let segment = [&[0xFF, 0xE1][..], &(block.len() as u16 + 2).to_be_bytes(), &block].concat();
    let with_exif = [&jpeg[..2], &segment, &jpeg[2..]].concat();
    assert_eq!(read(jpeg).density, None, "JFIF with a shape and no size");
    assert_eq!(read(&with_exif).density, Density::new(300.0, 150.0));

    let mut tiff = tiff_of_one_pixel(&[]);
    assert_eq!(read(&tiff).density, None);
    for (unit, expected) in [(2, Density::new(300.0, 150.0)), (3, Density::new(762.0, 381.0)), (1, None)] {
        tiff = tiff_of_one_pixel(&[(282, 300, 1), (283, 300, 2), (296, unit, 0)]);
        assert_eq!(read(&tiff).density, expected, "unit {unit}");
    }
}

/// Tags with a fraction, or a number where the second one is 0.
fn tiff_of_one_pixel(tags: &[(u16, u32, u32)]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = ::tiff::encoder::TiffEncoder::new(&mut bytes).expect("memory");
    let mut page = encoder.new_image::<::tiff::encoder::colortype::RGB8>(1, 1).expect("memory");
    for (tag, above, below) in tags {
        let tag = ::tiff::tags::Tag::from_u16_exhaustive(*tag);
        let written = match below {
            0 => page.encoder().write_tag(tag, *above as u16),
            _ => page.encoder().write_tag(tag, ::tiff::encoder::Rational { n: *above, d: *below }),
        };
        written.expect("memory");
    }
    page.write_data(&[1, 2, 3]).expect("memory");
    bytes.into_inner()
}

#[test]
fn a_reduced_picture_of_a_raw_file_is_not_taken_for_it() {
    let file = tiff_of_one_pixel(&[]);
    assert!(read(&file).pixels.width() == 1);
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = ::tiff::encoder::TiffEncoder::new(&mut bytes).expect("memory");
    let mut page = encoder.new_image::<::tiff::encoder::colortype::RGB8>(1, 1).expect("memory");
    page.encoder().write_tag(::tiff::tags::Tag::NewSubfileType, 1_u32).expect("memory");
    page.write_data(&[1, 2, 3]).expect("memory");
    let error = decode(Cursor::new(bytes.into_inner()), &Limits::default()).expect_err("a preview");
    assert!(error.to_string().contains("raw file"), "{error}");
}

#[test]
fn keys_of_transparency_are_applied() {
    let trns = |data: &[u8]| chunk(b"tRNS", data);
    let palette = chunk(b"PLTE", b"\xff\0\0\0\xff\0\0\0\xff\xff\xff\xff");
    let row = [0b0001_1011];
    let picture = png((4, 1), (2, 3), &[&row], &[palette, trns(&[0, 128])], &[]);
    assert_eq!(pixels(&picture), [[255, 0, 0, 0], [0, 255, 0, 128], [0, 0, 255, 255], [255; 4]]);
    let grey = png((2, 1), (1, 0), &[&[0b1000_0000]], &[trns(&[0, 0])], &[]);
    assert_eq!(pixels(&grey), [[255; 4], [0; 4]]);
    let deep = png((2, 1), (16, 0), &[&[0x12, 0x34, 0x12, 0x35]], &[trns(&[0x12, 0x34])], &[]);
    assert_eq!(pixels(&deep), [[18, 18, 18, 0], [18, 18, 18, 255]]);
    let colours = png((2, 1), (8, 2), &[&[1, 2, 3, 4, 5, 6]], &[trns(&[0, 1, 0, 2, 0, 3])], &[]);
    assert_eq!(pixels(&colours), [[1, 2, 3, 0], [4, 5, 6, 255]]);
    let both = png((1, 1), (8, 4), &[&[100, 128]], &[], &[]);
    assert_eq!(pixels(&both), [[100, 100, 100, 128]]);
    let deep = png((1, 1), (16, 0), &[&[0x75, 0x30]], &[], &[]);
    assert_eq!(pixels(&deep), [[117, 117, 117, 255]]);
}

#[test]
fn what_is_broken_beside_the_pixels_does_not_matter() {
    let plain = rgb([1, 2, 3], &[]);
    let mut text = chunk(b"tEXt", b"a\0b");
    text[9] ^= 1;
    assert_eq!(colour([1, 2, 3], &[text]), [1, 2, 3, 255], "a wrong checksum");
    assert_eq!(pixels(&[&plain[..], b"junk junk"].concat()), [[1, 2, 3, 255]], "junk behind the end");
    let jpeg = include_bytes!("samples/prog.jpg");
    let expected = pixels(jpeg);
    assert_eq!(pixels(&[jpeg, &[0; 64][..], jpeg].concat()), expected, "a second picture behind the end");
}

#[test]
fn a_file_that_lacks_its_end_is_taken_and_says_so() {
    let jpeg: &[u8] = include_bytes!("samples/prog.jpg");
    let whole = read(jpeg);
    assert!(!whole.lacks_end);
    for missing in [1, 2] {
        let cut = read(&jpeg[..jpeg.len() - missing]);
        assert!(cut.lacks_end && cut.pixels == whole.pixels, "{missing} bytes");
    }
    let png = rgb([1, 2, 3], &[]);
    assert!(!read(&png).lacks_end);
    for missing in [1, 4, 11, 12] {
        let cut = read(&png[..png.len() - missing]);
        // Its name is in the eighth byte.
        assert!(cut.lacks_end == (missing > 4) && cut.pixels.get_pixel(0, 0).0 == [1, 2, 3, 255], "{missing} bytes");
    }
    let gif: &[u8] =
        &super::tests::encode(&RgbaImage::from_pixel(3, 2, image::Rgba([9, 8, 7, 255])), image::ImageFormat::Gif);
    assert!(!read(gif).lacks_end);
    let cut = read(&gif[..gif.len() - 1]);
    assert!(cut.pixels == read(gif).pixels);
}

#[test]
fn jpegs_of_other_programs_are_read() {
    // Made by Pillow 13: progressive, and RGB without the turn to YCbCr, as Adobe's mark says.
    for (name, file) in
        [("progressive", &include_bytes!("samples/prog.jpg")[..]), ("RGB", include_bytes!("samples/rgb_adobe.jpg"))]
    {
        let picture = read(file);
        assert_eq!(picture.pixels.dimensions(), (16, 16));
        let near =
            picture.pixels.pixels().all(|pixel| pixel.0.iter().zip([200, 30, 40]).all(|(a, b)| a.abs_diff(b) < 4));
        assert!(near, "{name}: {:?}", picture.pixels.get_pixel(0, 0));
    }
}

#[test]
fn a_mirrored_and_turned_picture_stands_upright_in_every_format() {
    // 12 x 8, left half red, right half blue, to be mirrored along its diagonal (orientation 5). Made by Pillow 13.
    for (name, file) in [
        ("JPEG", &include_bytes!("samples/o5.jpg")[..]),
        ("WebP", include_bytes!("samples/o5.webp")),
        ("TIFF", include_bytes!("samples/o5.tif")),
    ] {
        let picture = read(file).pixels;
        assert_eq!(picture.dimensions(), (8, 12), "{name}");
        for (y, is_red) in [(1, true), (10, false)] {
            let pixel = picture.get_pixel(4, y);
            assert_eq!((pixel[0] > 200, pixel[2] > 200), (is_red, !is_red), "{name} {y}: {pixel:?}");
        }
    }
}

#[test]
fn tiffs_are_read_however_they_are_packed() {
    // Made by Pillow 13 (libtiff).
    for (name, file) in
        [("fax group 4", &include_bytes!("samples/g4.tif")[..]), ("one bit", include_bytes!("samples/bilevel.tif"))]
    {
        let picture = read(file).pixels;
        assert_eq!(picture.dimensions(), (16, 16), "{name}");
        assert!(picture.pixels().all(|pixel| pixel.0 == [255; 4]), "{name}");
    }
    for (name, file) in [("LZW", &include_bytes!("samples/lzw.tif")[..]), ("JPEG", include_bytes!("samples/jpeg.tif"))]
    {
        let picture = read(file).pixels;
        assert_eq!(picture.dimensions(), (12, 8), "{name}");
        let (left, right) = (picture.get_pixel(1, 4), picture.get_pixel(10, 4));
        assert!(left[0] > 200 && left[2] < 60 && right[0] < 60 && right[2] > 200, "{name}: {left:?} {right:?}");
    }
}

#[test]
fn of_an_animation_the_first_picture_counts() {
    // Made by Pillow 13. The APNG's first picture is not part of its animation.
    assert!(pixels(include_bytes!("samples/anim.webp")).iter().all(|pixel| *pixel == [255, 0, 0, 128]));
    assert!(pixels(include_bytes!("samples/apng_default.png")).iter().all(|pixel| *pixel == [255, 0, 0, 255]));
}

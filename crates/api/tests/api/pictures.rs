//! Small pictures, whole and broken.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, RgbImage, RgbaImage};

pub(crate) const WIDTH: u32 = 24;
pub(crate) const HEIGHT: u32 = 16;

fn gradient() -> RgbaImage {
    RgbaImage::from_fn(WIDTH, HEIGHT, |x, y| image::Rgba([(x * 10) as u8, (y * 15) as u8, ((x * y) % 251) as u8, 255]))
}

pub(crate) fn encoded(format: ImageFormat) -> Vec<u8> {
    let rgb = DynamicImage::from(DynamicImage::from(gradient()).to_rgb8());
    let mut bytes = Cursor::new(Vec::new());
    rgb.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub(crate) fn png() -> Vec<u8> {
    encoded(ImageFormat::Png)
}

pub(crate) const FORMATS: [(ImageFormat, &str); 6] = [
    (ImageFormat::Png, "png"),
    (ImageFormat::Jpeg, "jpeg"),
    (ImageFormat::WebP, "webp"),
    (ImageFormat::Gif, "gif"),
    (ImageFormat::Bmp, "bmp"),
    (ImageFormat::Tiff, "tiff"),
];

/// Noise, which no format makes smaller.
pub(crate) fn noise_png(side: u32) -> Vec<u8> {
    let mut random = Random(7);
    let picture = RgbImage::from_fn(side, side, |_, _| image::Rgb([random.byte(), random.byte(), random.byte()]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Half-transparent, 16 bits per channel.
pub(crate) fn png_16_bit() -> Vec<u8> {
    let samples: Vec<u8> =
        (0..WIDTH * HEIGHT).flat_map(|_| [0xffff_u16, 0x8080, 0x0101, 0x8080]).flat_map(u16::to_ne_bytes).collect();
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(&samples, WIDTH, HEIGHT, ExtendedColorType::Rgba16).unwrap();
    bytes
}

/// Display P3 (160, 64, 64) everywhere, with its profile.
pub(crate) fn png_display_p3() -> Vec<u8> {
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let pixels = RgbImage::from_pixel(WIDTH, HEIGHT, image::Rgb([160, 64, 64]));
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(profile).unwrap();
    encoder.write_image(&pixels, WIDTH, HEIGHT, ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// A JPEG that a camera held sideways: EXIF orientation 6, to be turned by 90 degrees clockwise.
pub(crate) fn jpeg_on_its_side() -> Vec<u8> {
    let jpeg = encoded(ImageFormat::Jpeg);
    let tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut exif = vec![0xff, 0xe1, 0, (2 + 6 + tiff.len()) as u8];
    exif.extend_from_slice(b"Exif\0\0");
    exif.extend_from_slice(tiff);
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

/// A JPEG whose header says four channels, as printing colours have.
pub(crate) fn jpeg_cmyk() -> Vec<u8> {
    let samples = vec![128; (WIDTH * HEIGHT) as usize];
    let mut jpeg = Vec::new();
    JpegEncoder::new(&mut jpeg).encode(&samples, WIDTH, HEIGHT, ExtendedColorType::L8).unwrap();
    // Rewrites the frame and scan headers of the grey picture for four channels;
    // the data is too short for them, but it is never looked at.
    let frame = position(&jpeg, &[0xff, 0xc0]);
    let mut cmyk = jpeg[..frame].to_vec();
    cmyk.extend_from_slice(&[0xff, 0xc0, 0, 20, 8, 0, HEIGHT as u8, 0, WIDTH as u8, 4]);
    (1..=4).for_each(|channel| cmyk.extend_from_slice(&[channel, 0x11, 0]));
    let scan = position(&jpeg, &[0xff, 0xda]);
    cmyk.extend_from_slice(&jpeg[frame + 2 + 11..scan]);
    cmyk.extend_from_slice(&[0xff, 0xda, 0, 14, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]);
    cmyk.extend_from_slice(&jpeg[scan + 2 + 8..]);
    cmyk
}

fn position(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).expect("the marker is there")
}

/// A few bytes that claim to be a picture of billions of pixels.
pub(crate) fn bomb(format: ImageFormat) -> Vec<u8> {
    let mut bytes = encoded(format);
    match format {
        ImageFormat::Png => {
            let mut png = Vec::new();
            // Too little data for such a picture, as it is with bombs.
            let mut writer = png::Encoder::new(&mut png, 60_000, 60_000).write_header().unwrap();
            writer.write_chunk(png::chunk::IDAT, &[0x78, 0x9c, 0x03, 0, 0, 0, 0, 0x01]).unwrap();
            drop(writer);
            return png;
        }
        ImageFormat::Jpeg => {
            let frame = position(&bytes, &[0xff, 0xc0]);
            bytes[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
        }
        ImageFormat::Gif => bytes[6..10].copy_from_slice(&[0xff; 4]),
        ImageFormat::Bmp => {
            bytes[18..22].copy_from_slice(&60_000_u32.to_le_bytes());
            bytes[22..26].copy_from_slice(&60_000_u32.to_le_bytes());
        }
        _ => panic!("no bomb of this kind"),
    }
    bytes
}

/// Numbers that look random and are the same in every run (xorshift64).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn byte(&mut self) -> u8 {
        (self.next() >> 32) as u8
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }
}

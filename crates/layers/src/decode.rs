use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};

use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbaImage};

mod avif;
mod bmp;
mod colour;
mod density;
mod gif;
mod hdr;
mod jpeg_markers;
mod other_formats;
mod png;
mod source;
mod tiff;
mod webp;

use colour::Colours;
use source::{Excerpt, Source};

use crate::Density;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

/// The most bytes, inflated, of a colour profile or an EXIF block: several times the largest in use. A larger one is
/// ignored, as if the picture had none.
const MAX_METADATA_BYTES: u64 = 4 << 20;

/// What a picture may cost before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels (width times height) a picture may have.
    pub max_pixels: u64,
}

impl Default for Limits {
    /// 64 million pixels, such as 8000 x 8000.
    fn default() -> Self {
        Self { max_pixels: 64_000_000 }
    }
}

/// A decoded picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// sRGB, 8 bit, straight alpha, upright.
    pub pixels: RgbaImage,
    /// `png`, `jpeg`, `webp`, `gif`, `bmp`, `tiff` or `avif`.
    pub format: &'static str,
    /// Whether at least one pixel is not opaque.
    pub has_alpha: bool,
    /// How densely the pixels lie on paper, if the file says so.
    pub density: Option<Density>,
    /// Whether the file lacks its end although all pixels are there: it may have been cut off on its way.
    pub lacks_end: bool,
    /// Whether the file has a high dynamic range (PQ or HLG), of which sRGB cannot show the brightest lights as bright.
    pub was_hdr: bool,
}

/// Why bytes do not become a picture. [`DecodeError::help`] says what the person who has the picture can do.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// The bytes do not begin as a picture of any format that is read.
    #[error("this is not a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF picture")]
    UnknownFormat,
    /// A file of a format that is recognised but not read.
    #[error("this is {format}, which is not read here")]
    NotRead {
        /// With its article, such as `a HEIC picture`.
        format: &'static str,
        /// What the person who has it can do.
        help: &'static str,
    },
    /// The picture is larger than [`Limits::max_pixels`].
    #[error("the picture has {width} x {height} pixels, more than the {max_pixels} that are allowed")]
    TooManyPixels {
        /// Width that the header declares, in pixels.
        width: u32,
        /// Height that the header declares, in pixels.
        height: u32,
        /// The limit, in pixels.
        max_pixels: u64,
    },
    /// The picture is in printing colours, whose look depends on paper and ink.
    #[error("the {format} picture uses printing colours (CMYK), which have no defined look on a screen")]
    Cmyk {
        /// `jpeg` or `tiff`.
        format: &'static str,
    },
    /// A JPEG whose coefficients are arithmetic-coded, which few programs read.
    #[error("arithmetic-coded JPEG is not supported")]
    ArithmeticJpeg,
    /// A valid picture of a kind that is not read.
    #[error("this kind of {format} picture is not supported ({reason})")]
    Unsupported {
        /// As in [`Picture::format`].
        format: &'static str,
        /// What is not supported.
        reason: String,
    },
    /// The bytes break the rules of their format, or end too early.
    #[error("the {format} picture is damaged or cut off ({reason})")]
    Damaged {
        /// As in [`Picture::format`].
        format: &'static str,
        /// What is wrong with the bytes.
        reason: String,
    },
    /// The picture would take far more memory than its number of pixels suggests.
    #[error("the {format} picture needs more memory to decode than its size allows for")]
    TooMuchMemory {
        /// As in [`Picture::format`].
        format: &'static str,
    },
    /// The reader failed, not the picture.
    #[error("the picture could not be read: {0}")]
    Io(#[source] io::Error),
}

impl DecodeError {
    /// What can be done about it in a picture editor; `None` where the picture is not at fault.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Empty => "choose a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF picture",
            Self::UnknownFormat => "export it as PNG and try again",
            Self::NotRead { help, .. } => help,
            Self::TooManyPixels { .. } => "make it smaller and try again",
            Self::Cmyk { .. } => "export it as RGB (sRGB) and try again",
            Self::ArithmeticJpeg => "save it as baseline or progressive and try again",
            Self::Unsupported { .. } => "export it as an ordinary 8-bit PNG and try again",
            Self::Damaged { .. } => "save it again and try with the new file",
            Self::TooMuchMemory { .. } => "export it as an ordinary PNG and try again",
            Self::Io(_) => return None,
        })
    }
}

/// Decodes a picture: the first frame, upright, in sRGB with 8 bits per channel.
///
/// The format is recognised from the bytes. The size in the header is checked before
/// anything of that size is allocated. EXIF orientation is applied, colours (of
/// an RGB or grey ICC profile, or of a PNG's `cICP`, `gAMA` and `cHRM`) are
/// converted to sRGB with relative colorimetric intent, 16 bits become 8 by
/// `round(v / 257)`. A profile that cannot be read or has more than 4 MiB counts
/// as none, and colours of which nothing is said as sRGB. Other metadata is
/// skipped without being inflated or kept.
///
/// ```
/// use std::io::Cursor;
///
/// let mut png = Vec::new();
/// layers::write_png(&mut png, &image::RgbaImage::new(3, 2))?;
/// let picture = layers::decode(Cursor::new(png), &layers::Limits::default())?;
/// assert_eq!((picture.format, picture.pixels.dimensions()), ("png", (3, 2)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// See [`DecodeError`]; a picture that ends early is an error, never a part of a picture.
pub fn decode(mut reader: impl BufRead + Seek, limits: &Limits) -> Result<Picture, DecodeError> {
    decode_dyn(&mut reader, limits)
}

/// Not generic, so that the decoders are compiled once and not for every caller's reader.
fn decode_dyn(mut reader: &mut dyn Source, limits: &Limits) -> Result<Picture, DecodeError> {
    let start = reader.stream_position().map_err(DecodeError::Io)?;
    let format = guess_format(&mut reader)?;
    let name = name(format);
    reader.seek(SeekFrom::Start(start)).map_err(DecodeError::Io)?;
    if format == ImageFormat::Avif {
        let (decoded, said) = avif::read(reader, limits)?;
        return Ok(finish(decoded, &said, name));
    }
    let Prepared { reader, said } = prepare(reader, format, start, limits)?;
    let mut image_reader = ImageReader::with_format(reader, format);
    image_reader.limits(memory_limit(limits.max_pixels));
    let mut decoder = image_reader.into_decoder().map_err(|error| translate(error, name))?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, name, limits)?;
    if matches!(decoder.original_color_type(), ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16) {
        return Err(DecodeError::Cmyk { format: name });
    }
    check_samples(&decoder, name)?;
    decoder.set_limits(memory_limit(u64::from(width) * u64::from(height))).map_err(|error| translate(error, name))?;
    let orientation = said.orientation.or_else(|| decoder.orientation().ok()).unwrap_or(Orientation::NoTransforms);
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(|error| translate(error, name))?;
    if format == ImageFormat::Bmp {
        bmp::uncover(&mut decoded);
    }
    decoded.apply_orientation(orientation);

    if said.associated_alpha {
        tiff::unpremultiply(&mut decoded);
    }
    let density = said.density.map(|density| if is_turned(orientation) { density.transposed() } else { density });
    Ok(finish(decoded, &Said { density, ..said }, name))
}

/// Brings the colours of an upright picture to sRGB.
fn finish(decoded: DynamicImage, said: &Said, format: &'static str) -> Picture {
    let (pixels, was_hdr) = colour::to_srgb8(decoded, &said.colours);
    let has_alpha = pixels.pixels().any(|pixel| pixel[3] != 255);
    Picture { pixels, format, has_alpha, density: said.density, lacks_end: said.lacks_end, was_hdr }
}

/// Whether rows become columns.
fn is_turned(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// A file whose decoder cannot keep or inflate more metadata than is allowed.
struct Prepared<'a> {
    reader: Box<dyn Source + 'a>,
    said: Said,
}

/// What a file says of its pixels.
#[derive(Default)]
struct Said {
    colours: Colours,
    /// Absent where the decoder knows it.
    orientation: Option<Orientation>,
    density: Option<Density>,
    associated_alpha: bool,
    lacks_end: bool,
}

/// Reads what counts of the metadata and hides it from the decoder, which would read it whole, and in some formats
/// inflate it, before it is asked for.
fn prepare<'a>(
    reader: &'a mut dyn Source,
    format: ImageFormat,
    start: u64,
    limits: &Limits,
) -> Result<Prepared<'a>, DecodeError> {
    let said = |colours: Colours, density| Said { colours, density, ..Said::default() };
    let rewind = |reader: &mut dyn Source| reader.seek(SeekFrom::Start(start)).map(drop).map_err(DecodeError::Io);
    Ok(match format {
        ImageFormat::Jpeg => {
            let jpeg_markers::Jpeg { bytes, profile, density, is_ended } = jpeg_markers::read(reader, limits)?;
            let said = Said { lacks_end: !is_ended, ..said(profile.into(), density) };
            Prepared { reader: Box::new(Cursor::new(bytes)), said }
        }
        ImageFormat::Png => {
            let png::Survey { left_out, colours, orientation, density, lacks_end, end } = png::survey(reader, start)?;
            rewind(reader)?;
            let orientation = Some(orientation.unwrap_or(Orientation::NoTransforms));
            let said = Said { orientation, lacks_end, ..said(colours, density) };
            Prepared { reader: Box::new(Excerpt::new(reader, start, left_out).ending(end, png::END)), said }
        }
        ImageFormat::Gif => {
            let gif::Survey { left_out, profile } = gif::survey(reader, start)?;
            rewind(reader)?;
            Prepared { reader: Box::new(Excerpt::new(reader, start, left_out)), said: said(profile.into(), None) }
        }
        ImageFormat::WebP => {
            let webp::Survey { profile, exif_too_large, density } = webp::survey(reader)?;
            rewind(reader)?;
            let orientation = exif_too_large.then_some(Orientation::NoTransforms);
            Prepared { reader: Box::new(reader), said: Said { orientation, ..said(profile.into(), density) } }
        }
        ImageFormat::Bmp => {
            let bmp::Survey { head, profile, density } = bmp::survey(reader, start)?;
            let reader = bmp::WithHead::new(reader, start, head).map_err(DecodeError::Io)?;
            Prepared { reader: Box::new(reader), said: said(profile.into(), density) }
        }
        _ => {
            let profile = tiff::survey(reader)?;
            rewind(reader)?;
            let density = density::of_tiff(reader).map_err(|error| from_io(error, "tiff"))?;
            rewind(reader)?;
            let associated_alpha = tiff::has_associated_alpha(reader)?;
            rewind(reader)?;
            Prepared { reader: Box::new(reader), said: Said { associated_alpha, ..said(profile.into(), density) } }
        }
    })
}

fn guess_format(reader: &mut impl BufRead) -> Result<ImageFormat, DecodeError> {
    let mut head = Vec::with_capacity(other_formats::HEAD_BYTES);
    reader.take(other_formats::HEAD_BYTES as u64).read_to_end(&mut head).map_err(DecodeError::Io)?;
    if head.is_empty() {
        return Err(DecodeError::Empty);
    }
    if other_formats::is_avif(&head) {
        return Ok(ImageFormat::Avif);
    }
    match image::guess_format(&head) {
        Ok(
            format @ (ImageFormat::Png
            | ImageFormat::Jpeg
            | ImageFormat::WebP
            | ImageFormat::Gif
            | ImageFormat::Bmp
            | ImageFormat::Tiff),
        ) => Ok(format),
        _ => Err(other_formats::refusal(&head)),
    }
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "png",
        ImageFormat::Jpeg => "jpeg",
        ImageFormat::WebP => "webp",
        ImageFormat::Gif => "gif",
        ImageFormat::Bmp => "bmp",
        ImageFormat::Avif => "avif",
        _ => "tiff",
    }
}

/// Twice the largest pixel (16 bit RGBA) and some room for tables: decoders
/// hold at most one other copy of the picture.
fn memory_limit(pixels: u64) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(pixels.saturating_mul(16).saturating_add(64 << 20));
    limits
}

fn check_size(width: u32, height: u32, format: &'static str, limits: &Limits) -> Result<(), DecodeError> {
    if width == 0 || height == 0 {
        return Err(DecodeError::Damaged { format, reason: format!("its size is {width} x {height} pixels") });
    }
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return Err(DecodeError::TooManyPixels { width, height, max_pixels: limits.max_pixels });
    }
    Ok(())
}

/// Float samples have no agreed range or transfer curve, so a guess would show wrong colours.
fn check_samples(decoder: &impl ImageDecoder, format: &'static str) -> Result<(), DecodeError> {
    match decoder.color_type() {
        image::ColorType::Rgb32F | image::ColorType::Rgba32F => {
            Err(DecodeError::Unsupported { format, reason: "32-bit float samples".into() })
        }
        _ => Ok(()),
    }
}

/// The decoder's error in the terms of [`DecodeError`].
fn translate(error: ImageError, format: &'static str) -> DecodeError {
    match error {
        ImageError::IoError(error) => from_io(error, format),
        ImageError::Unsupported(error) => DecodeError::Unsupported { format, reason: error.to_string() },
        ImageError::Limits(_) => DecodeError::TooMuchMemory { format },
        other => DecodeError::Damaged { format, reason: other.to_string() },
    }
}

fn from_io(error: io::Error, format: &'static str) -> DecodeError {
    // Decoders report bad data as these kinds; all others come from the reader itself.
    match error.kind() {
        io::ErrorKind::UnexpectedEof => DecodeError::Damaged { format, reason: "it ends too early".into() },
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
            DecodeError::Damaged { format, reason: error.to_string() }
        }
        _ => DecodeError::Io(error),
    }
}

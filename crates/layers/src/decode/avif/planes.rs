//! From a frame of AV1 to RGB.

use image::{DynamicImage, ImageBuffer, Rgb};
use re_rav1d::dav1d::{Decoder, Error, Picture, PixelLayout, PlanarImageComponent, Settings, pixel};

use super::{damaged, unsupported};
use crate::decode::{DecodeError, Limits, check_size};

/// Matrix coefficients of ITU-T H.273, table 4.
const IDENTITY: u16 = 0;
const UNSPECIFIED: u16 = 2;
const YCGCO: u16 = 8;

/// Samples of one picture: brightness, and colour of the same or half the size.
pub(super) struct Frame {
    pub width: u32,
    pub height: u32,
    /// As the frame itself says it; a box of the file goes before it.
    pub matrix: u16,
    pub is_full_range: bool,
    bits: u32,
    planes: Vec<Plane>,
}

struct Plane {
    samples: Vec<u16>,
    width: usize,
    height: usize,
    /// Whether its samples lie over two columns, and over two rows.
    halved: (bool, bool),
}

/// Decodes the first frame of a stream.
pub(super) fn decode(stream: Vec<u8>, limits: &Limits) -> Result<Frame, DecodeError> {
    // The decoder takes it for a fault of ours.
    if stream.is_empty() {
        return Err(damaged("it ends too early"));
    }
    let mut settings = Settings::new();
    // One picture: threads would only wait for each other, and a panic in one could not be caught.
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_frame_size_limit(u32::try_from(limits.max_pixels).unwrap_or(u32::MAX));
    settings.set_all_layers(false);
    let mut decoder = Decoder::with_settings(&settings).map_err(translate)?;
    let mut pending = match decoder.send_data(stream, None, None, None) {
        Ok(()) => false,
        Err(Error::Again) => true,
        Err(error) => return Err(translate(error)),
    };
    let picture = loop {
        match decoder.get_picture() {
            Ok(picture) => break picture,
            Err(Error::Again) if pending => {
                pending = match decoder.send_pending_data() {
                    Ok(()) => false,
                    Err(Error::Again) => true,
                    Err(error) => return Err(translate(error)),
                };
            }
            Err(Error::Again) => return Err(damaged("it ends too early")),
            Err(error) => return Err(translate(error)),
        }
    };
    check_size(picture.width(), picture.height(), "avif", limits)?;
    Frame::of(&picture).ok_or_else(|| unsupported("its samples are stored in a way that is not known"))
}

fn translate(error: Error) -> DecodeError {
    match error {
        Error::UnsupportedBitstream => unsupported("its kind of AV1"),
        Error::NotEnoughMemory => DecodeError::TooMuchMemory { format: "avif" },
        other => damaged(&other.to_string()),
    }
}

impl Frame {
    fn of(picture: &Picture) -> Option<Self> {
        let bits = u32::try_from(picture.bits_per_component()?.0).ok()?;
        let (width, height) = (picture.width(), picture.height());
        let halved = match picture.pixel_layout() {
            PixelLayout::I400 => None,
            PixelLayout::I420 => Some((true, true)),
            PixelLayout::I422 => Some((true, false)),
            PixelLayout::I444 => Some((false, false)),
        };
        let mut planes = vec![Plane::of(picture, PlanarImageComponent::Y, (false, false))?];
        if let Some(halved) = halved {
            planes.push(Plane::of(picture, PlanarImageComponent::U, halved)?);
            planes.push(Plane::of(picture, PlanarImageComponent::V, halved)?);
        }
        Some(Self {
            width,
            height,
            matrix: matrix_number(picture.matrix_coefficients()),
            is_full_range: picture.color_range() == pixel::YUVRange::Full,
            bits,
            planes,
        })
    }

    /// A picture of another size to put tiles in.
    pub(super) fn blank(&self, width: u32, height: u32) -> Self {
        let plane = |plane: &Plane| Plane::blank((width as usize, height as usize), plane.halved);
        let planes = self.planes.iter().map(plane).collect();
        Self { width, height, planes, ..*self }
    }

    /// Puts a tile at `column` and `row`, cut at the edges. `None` when it is of another kind.
    pub(super) fn put(&mut self, tile: &Self, (column, row): (usize, usize)) -> Option<()> {
        if (tile.bits, tile.planes.len()) != (self.bits, self.planes.len()) {
            return None;
        }
        for (whole, part) in self.planes.iter_mut().zip(&tile.planes) {
            if whole.halved != part.halved {
                return None;
            }
            let (left, top) = (column.checked_mul(part.width)?, row.checked_mul(part.height)?);
            let columns = part.width.min(whole.width.checked_sub(left)?);
            for y in 0..part.height.min(whole.height.checked_sub(top)?) {
                let at = (top + y) * whole.width + left;
                let from = &part.samples[y * part.width..][..columns];
                whole.samples[at..at + columns].copy_from_slice(from);
            }
        }
        Some(())
    }

    /// Brightness from 0 to 1.
    fn level(&self, x: u32, y: u32) -> f32 {
        let sample = f32::from(self.planes[0].at(x as usize, y as usize));
        Range::of(self.bits, self.is_full_range).brightness(sample).clamp(0.0, 1.0)
    }

    /// Brightness from 0 to 255.
    pub(super) fn level8(&self, x: u32, y: u32) -> u8 {
        (self.level(x, y) * 255.0).round() as u8
    }

    /// Brightness from 0 to 65535.
    pub(super) fn level16(&self, x: u32, y: u32) -> u16 {
        (self.level(x, y) * 65_535.0).round() as u16
    }
}

impl Plane {
    fn blank((width, height): (usize, usize), halved: (bool, bool)) -> Self {
        let side = |length: usize, is_halved: bool| if is_halved { length.div_ceil(2) } else { length };
        let (width, height) = (side(width, halved.0), side(height, halved.1));
        Self { samples: vec![0; width * height], width, height, halved }
    }

    fn of(picture: &Picture, component: PlanarImageComponent, halved: (bool, bool)) -> Option<Self> {
        let mut plane = Self::blank((picture.width() as usize, picture.height() as usize), halved);
        let data = picture.plane(component);
        // In bytes.
        let stride = picture.stride(component) as usize;
        let is_wide = picture.bit_depth() > 8;
        for (y, row) in plane.samples.chunks_exact_mut(plane.width.max(1)).enumerate() {
            let bytes = data.get(y * stride..)?.get(..row.len() * if is_wide { 2 } else { 1 })?;
            if is_wide {
                let samples = bytes.as_chunks::<2>().0.iter().map(|bytes| u16::from_ne_bytes(*bytes));
                row.iter_mut().zip(samples).for_each(|(target, sample)| *target = sample);
            } else {
                row.iter_mut().zip(bytes).for_each(|(target, sample)| *target = u16::from(*sample));
            }
        }
        Some(plane)
    }

    fn at(&self, x: usize, y: usize) -> u16 {
        self.samples[y.min(self.height - 1) * self.width + x.min(self.width - 1)]
    }

    /// The sample over pixel (x, y); between those of a halved plane, which lie in the middle of their pixels.
    fn between(&self, x: usize, y: usize) -> f32 {
        // The nearer and the farther neighbour, and how much of the nearer.
        let along = |at: usize, is_halved: bool| match is_halved {
            false => (at, at, 1.0),
            true if at.is_multiple_of(2) => (at / 2, (at / 2).saturating_sub(1), 0.75),
            true => (at / 2, at / 2 + 1, 0.75),
        };
        let (x, beside, x_share) = along(x, self.halved.0);
        let (y, below, y_share) = along(y, self.halved.1);
        let mix = |near: f32, far: f32, share: f32| near * share + far * (1.0 - share);
        let row = |y| mix(self.at(x, y).into(), self.at(beside, y).into(), x_share);
        if y_share == 1.0 { row(y) } else { mix(row(y), row(below), y_share) }
    }
}

/// What samples mean (ITU-T H.273, section 8.3).
#[derive(Clone, Copy)]
struct Range {
    black: f32,
    brightness: f32,
    grey: f32,
    colour: f32,
}

impl Range {
    fn of(bits: u32, is_full: bool) -> Self {
        let scale = f32::from(1_u16 << (bits.clamp(8, 15) - 8));
        let most = 256.0 * scale - 1.0;
        match is_full {
            true => Self { black: 0.0, brightness: most, grey: 128.0 * scale, colour: most },
            false => {
                Self { black: 16.0 * scale, brightness: 219.0 * scale, grey: 128.0 * scale, colour: 224.0 * scale }
            }
        }
    }

    /// 0 to 1.
    fn brightness(self, sample: f32) -> f32 {
        (sample - self.black) / self.brightness
    }

    /// -0.5 to 0.5.
    fn colour(self, sample: f32) -> f32 {
        (sample - self.grey) / self.colour
    }
}

/// The picture with 8 or 16 bits. `None` for coefficients without a meaning here.
pub(super) fn to_rgb(frame: &Frame, matrix: u16, is_full: bool) -> Option<DynamicImage> {
    let range = Range::of(frame.bits, is_full);
    let pixel: Box<dyn Fn(u32, u32) -> [f32; 3]> = match (&frame.planes[..], matrix) {
        ([y], _) => Box::new(move |column, row| [range.brightness(y.at(column as usize, row as usize).into()); 3]),
        ([g, b, r], IDENTITY) => Box::new(move |column, row| {
            [r, g, b].map(|plane| range.brightness(plane.between(column as usize, row as usize)))
        }),
        ([y, u, v], _) => {
            let convert = conversion(matrix)?;
            Box::new(move |column, row| {
                let (column, row) = (column as usize, row as usize);
                let brightness = range.brightness(y.at(column, row).into());
                convert([brightness, range.colour(u.between(column, row)), range.colour(v.between(column, row))])
            })
        }
        _ => return None,
    };
    let (width, height) = (frame.width, frame.height);
    Some(if frame.bits == 8 {
        let level = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        ImageBuffer::from_fn(width, height, |x, y| Rgb(pixel(x, y).map(level))).into()
    } else {
        let level = |value: f32| (value.clamp(0.0, 1.0) * 65_535.0).round() as u16;
        ImageBuffer::from_fn(width, height, |x, y| Rgb(pixel(x, y).map(level))).into()
    })
}

/// From brightness and two colours to RGB.
type Conversion = Box<dyn Fn([f32; 3]) -> [f32; 3]>;

/// `None` for coefficients without a meaning here.
fn conversion(matrix: u16) -> Option<Conversion> {
    if matrix == YCGCO {
        return Some(Box::new(|[y, g, o]| [y - g + o, y + g, y - g - o]));
    }
    // The shares of red and blue in the brightness.
    let (red, blue) = match matrix {
        1 => (0.2126, 0.0722),
        4 => (0.30, 0.11),
        UNSPECIFIED | 5 | 6 => (0.299, 0.114),
        7 => (0.212, 0.087),
        9 => (0.2627, 0.0593),
        _ => return None,
    };
    let green = 1.0 - red - blue;
    Some(Box::new(move |[y, u, v]| {
        let (r, b) = (y + 2.0 * (1.0 - red) * v, y + 2.0 * (1.0 - blue) * u);
        [r, (y - red * r - blue * b) / green, b]
    }))
}

fn matrix_number(matrix: pixel::MatrixCoefficients) -> u16 {
    use pixel::MatrixCoefficients as M;
    match matrix {
        M::Identity => IDENTITY,
        M::BT709 => 1,
        M::BT470M => 4,
        M::BT470BG => 5,
        M::ST170M => 6,
        M::ST240M => 7,
        M::YCgCo => YCGCO,
        M::BT2020NonConstantLuminance => 9,
        M::Unspecified => UNSPECIFIED,
        // Without a meaning here.
        _ => u16::MAX,
    }
}

use image::{DynamicImage, ImageBuffer, Pixel, Rgba, RgbaImage};
use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, CmsError, ColorPrimaries, ColorProfile, DataColorSpace, Layout,
    MatrixCoefficients, RenderingIntent, ToneReprCurve, TransferCharacteristics, TransformExecutor, TransformOptions,
};

use super::hdr::{self, Transfer};

/// What a file says of its colours. The strongest counts: code points, the profile, sRGB, then gamma with the primaries
/// (PNG, third edition, section 4.3). A picture of which nothing is said is in sRGB.
#[derive(Default)]
pub(super) struct Colours {
    pub code_points: Option<CodePoints>,
    /// An ICC profile.
    pub profile: Option<Vec<u8>>,
    pub is_srgb: bool,
    /// Samples are light to the power of this.
    pub gamma: Option<f64>,
    pub chromaticities: Option<Chromaticities>,
}

impl From<Option<Vec<u8>>> for Colours {
    fn from(profile: Option<Vec<u8>>) -> Self {
        Self { profile, ..Self::default() }
    }
}

/// Colours as ITU-T H.273 numbers them.
#[derive(Clone, Copy)]
pub(super) struct CodePoints {
    primaries: u8,
    transfer: u8,
    is_full_range: bool,
}

impl CodePoints {
    /// The data of a cICP chunk. `None` for what is not RGB, as PNG demands, or leaves the colours open.
    pub(super) fn of(data: &[u8]) -> Option<Self> {
        let [primaries, transfer, 0, range @ (0 | 1)] = *data else { return None };
        const UNSPECIFIED: u8 = 2;
        let found = Self { primaries, transfer, is_full_range: range == 1 };
        (primaries != UNSPECIFIED && transfer != UNSPECIFIED).then_some(found)
    }

    /// Of samples that use all levels. `None` for numbers that leave the colours open.
    pub(super) fn full(primaries: u16, transfer: u16) -> Option<Self> {
        Self::of(&[u8::try_from(primaries).ok()?, u8::try_from(transfer).ok()?, 0, 1])
    }

    /// `None` for numbers without a meaning.
    fn profile(self) -> Option<ColorProfile> {
        let profile = ColorProfile::new_from_cicp(CicpProfile {
            color_primaries: CicpColorPrimaries::try_from(self.primaries).ok()?,
            transfer_characteristics: TransferCharacteristics::try_from(self.transfer).ok()?,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        });
        profile.red_trc.is_some().then_some(profile)
    }
}

/// White point and primaries as x and y of CIE 1931.
#[derive(Clone, Copy)]
pub(super) struct Chromaticities([Chromaticity; 4]);

impl Chromaticities {
    /// The data of a cHRM chunk: eight numbers in 1/100000. `None` for values that are not colours.
    pub(super) fn of(data: &[u8]) -> Option<Self> {
        let (numbers, []) = data.as_chunks::<4>() else { return None };
        let numbers: &[[u8; 4]; 8] = numbers.try_into().ok()?;
        let [wx, wy, rx, ry, gx, gy, bx, by] = numbers.map(|bytes| u32::from_be_bytes(bytes) as f32 / 100_000.0);
        let points = [(wx, wy), (rx, ry), (gx, gy), (bx, by)];
        let is_colour = |&(x, y): &(f32, f32)| y > 0.0 && x <= 1.0 && y <= 1.0;
        let area = ((gx - rx) * (by - ry) - (bx - rx) * (gy - ry)).abs();
        let found = Self(points.map(|(x, y)| Chromaticity::new(x, y)));
        (points.iter().all(is_colour) && area > 1e-3).then_some(found)
    }
}

/// Exponents that stand for sRGB, whose curve is near to them: programs that write `gAMA` alone write 45455 for it.
const SRGB_GAMMAS: std::ops::RangeInclusive<f64> = 0.44..=0.47;
/// Exponents that a display may have had.
const GAMMAS: std::ops::RangeInclusive<f64> = 0.1..=10.0;

impl Colours {
    fn profile(&self) -> Option<ColorProfile> {
        let embedded = || self.profile.as_deref().and_then(|bytes| ColorProfile::new_from_slice(bytes).ok());
        let coded = self.code_points.and_then(CodePoints::profile);
        coded.or_else(embedded).or_else(|| self.calibrated())
    }

    /// From `gAMA` and `cHRM`.
    fn calibrated(&self) -> Option<ColorProfile> {
        let gamma = self.gamma.filter(|gamma| !self.is_srgb && GAMMAS.contains(gamma))?;
        let is_srgb_curve = SRGB_GAMMAS.contains(&gamma);
        if is_srgb_curve && self.chromaticities.is_none() {
            return None;
        }
        let mut profile = ColorProfile::new_srgb();
        profile.cicp = None;
        if !is_srgb_curve {
            let curve = ToneReprCurve::Parametric(vec![(1.0 / gamma) as f32]);
            profile.red_trc = Some(curve.clone());
            profile.green_trc = Some(curve.clone());
            profile.blue_trc = Some(curve);
        }
        if let Some(Chromaticities([white, red, green, blue])) = self.chromaticities {
            profile.update_rgb_colorimetry(white.to_xyyb(), ColorPrimaries { red, green, blue });
        }
        Some(profile)
    }
}

/// The picture in sRGB with 8 bits, and whether it was one of high dynamic range.
pub(super) fn to_srgb8(mut picture: DynamicImage, colours: &Colours) -> (RgbaImage, bool) {
    let profile = colours.profile();
    if colours.code_points.is_some_and(|points| !points.is_full_range) {
        picture = to_full_range(picture);
    }
    let Some(profile) = profile else { return (picture.into_rgba8(), false) };
    if let Some(transfer) = Transfer::of(&profile) {
        return (hdr::to_srgb8(picture, transfer, &profile), true);
    }
    let grey = !picture.color().has_color();
    let pixels = match profile.color_space {
        DataColorSpace::Rgb => from_rgb(picture, &profile),
        DataColorSpace::Gray if grey => from_grey(picture, &profile),
        _ => picture.into_rgba8(),
    };
    (pixels, false)
}

/// From video levels, where 8 bits say black as 16 and white as 235 (ITU-T H.273, section 8.3), to all levels.
fn to_full_range(picture: DynamicImage) -> DynamicImage {
    // 16 bits of 8-bit samples are 257 times these.
    let scale = if bytes_per_sample(&picture) == 1 { 257 } else { 256 };
    let (black, levels) = (16 * scale, 219 * scale);
    let mut deep = picture.into_rgba16();
    for pixel in deep.pixels_mut() {
        for value in pixel.0.iter_mut().take(3) {
            let level = u32::from(*value).saturating_sub(black).min(levels);
            // At most 65535.
            *value = ((level * 65_535 + levels / 2) / levels) as u16;
        }
    }
    DynamicImage::ImageRgba16(deep)
}

fn options() -> TransformOptions {
    TransformOptions {
        rendering_intent: RenderingIntent::RelativeColorimetric,
        // The fixed-point path truncates and comes out one step low.
        prefer_fixed_point: false,
        ..TransformOptions::default()
    }
}

fn from_rgb(picture: DynamicImage, profile: &ColorProfile) -> RgbaImage {
    let srgb = ColorProfile::new_srgb();
    let Ok(transform) = profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgba, options()) else {
        return picture.into_rgba8();
    };
    if is_identity(&*transform) {
        return picture.into_rgba8();
    }
    if bytes_per_sample(&picture) == 1 {
        let mut pixels = picture.into_rgba8();
        // A transform that fails leaves the colours as they were: sRGB is assumed.
        let _ = transform_rows(&mut pixels, &*transform);
        return pixels;
    }
    let mut deep = picture.into_rgba16();
    if let Ok(transform) = profile.create_transform_16bit(Layout::Rgba, &srgb, Layout::Rgba, options()) {
        // A transform that fails leaves the colours as they were: sRGB is assumed.
        let _ = transform_rows(&mut deep, &*transform);
    }
    DynamicImage::ImageRgba16(deep).into_rgba8()
}

fn from_grey(picture: DynamicImage, profile: &ColorProfile) -> RgbaImage {
    let srgb = ColorProfile::new_srgb();
    let table = match &profile.gray_trc {
        // moxcms takes every grey curve for one of luminance.
        Some(curve) if profile.pcs == DataColorSpace::Lab => lightness_table(curve),
        _ => profile
            .create_transform_16bit(Layout::Gray, &srgb, Layout::Rgb, options())
            .and_then(|transform| grey_table(&*transform)),
    };
    let Ok(table) = table else { return picture.into_rgba8() };
    let deep = picture.into_luma_alpha16();
    let mut pixels = RgbaImage::new(deep.width(), deep.height());
    for (out, grey) in pixels.pixels_mut().zip(deep.pixels()) {
        let [r, g, b] = table[usize::from(grey[0])];
        *out = Rgba([r, g, b, to8(grey[1])]);
    }
    pixels
}

/// sRGB of every 16-bit grey.
fn grey_table(transform: &(dyn TransformExecutor<u16> + Send + Sync)) -> Result<Vec<[u8; 3]>, CmsError> {
    let greys: Vec<u16> = (0..=u16::MAX).collect();
    let mut colours = vec![0; greys.len() * 3];
    transform.transform(&greys, &mut colours)?;
    Ok(colours.as_chunks::<3>().0.iter().map(|colour| colour.map(to8)).collect())
}

/// sRGB of every 16-bit grey under a curve that gives lightness: where the connection space is Lab, its result is L* / 100
/// (ICC.1, annex F.2).
fn lightness_table(curve: &ToneReprCurve) -> Result<Vec<[u8; 3]>, CmsError> {
    let curve = curve.make_linear_evaluator()?;
    let grey = |value: u16| {
        let lightness = f64::from(curve.evaluate_value(f32::from(value) / 65_535.0)) * 100.0;
        let encoded = srgb_encoded(luminance(lightness));
        // 0 to 255; what is not a number becomes 0.
        [(encoded * 255.0).round().clamp(0.0, 255.0) as u8; 3]
    };
    Ok((0..=u16::MAX).map(grey).collect())
}

/// Y of L* (CIE 15), relative to white.
fn luminance(lightness: f64) -> f64 {
    let root = (lightness + 16.0) / 116.0;
    if root > 6.0 / 29.0 { root.powi(3) } else { lightness * 27.0 / 24_389.0 }
}

/// IEC 61966-2-1.
pub(super) fn srgb_encoded(linear: f64) -> f64 {
    if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

/// `round(v / 257)`: the exact scale from 0..=65535 to 0..=255.
pub(super) fn to8(value: u16) -> u8 {
    let rounded = (u32::from(value) + 128) / 257;
    u8::try_from(rounded).unwrap_or(u8::MAX)
}

fn bytes_per_sample(picture: &DynamicImage) -> u8 {
    picture.color().bytes_per_pixel() / picture.color().channel_count()
}

/// Whether the profile is sRGB but for rounding. Such pictures are kept bit for bit.
fn is_identity(transform: &(dyn TransformExecutor<u8> + Send + Sync)) -> bool {
    let steps = (0..=255).step_by(15);
    let probe: Vec<u8> = steps
        .clone()
        .flat_map(|r| steps.clone().map(move |g| (r, g)))
        .flat_map(|(r, g)| steps.clone().flat_map(move |b| [r, g, b, 255]))
        .collect();
    let mut out = vec![0; probe.len()];
    transform.transform(&probe, &mut out).is_ok() && probe.iter().zip(&out).all(|(a, b)| a.abs_diff(*b) <= 1)
}

/// Row by row, so that no second picture is held.
fn transform_rows<T>(
    pixels: &mut ImageBuffer<Rgba<T>, Vec<T>>,
    transform: &(dyn TransformExecutor<T> + Send + Sync),
) -> Result<(), CmsError>
where
    T: Copy + Default + image::Primitive,
    Rgba<T>: Pixel<Subpixel = T>,
{
    let row_length = pixels.width() as usize * 4;
    let mut source = vec![T::default(); row_length];
    for row in pixels.chunks_exact_mut(row_length) {
        source.copy_from_slice(row);
        transform.transform(&source, row)?;
    }
    Ok(())
}

use image::{DynamicImage, ImageBuffer, Pixel, Rgba, RgbaImage};
use moxcms::{
    CmsError, ColorProfile, DataColorSpace, Layout, RenderingIntent, ToneReprCurve, TransformExecutor, TransformOptions,
};

/// The picture in sRGB with 8 bits. `profile` is what its colours mean.
pub(super) fn to_srgb8(picture: DynamicImage, profile: Option<&[u8]>) -> RgbaImage {
    let profile = profile.and_then(|bytes| ColorProfile::new_from_slice(bytes).ok());
    let Some(profile) = profile else { return picture.into_rgba8() };
    let grey = !picture.color().has_color();
    match profile.color_space {
        DataColorSpace::Rgb => from_rgb(picture, &profile),
        DataColorSpace::Gray if grey => from_grey(picture, &profile),
        _ => picture.into_rgba8(),
    }
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
fn srgb_encoded(linear: f64) -> f64 {
    if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

/// `round(v / 257)`: the exact scale from 0..=65535 to 0..=255.
fn to8(value: u16) -> u8 {
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

//! From a picture to the vision tower's patches, as `Qwen2VLImageProcessor` does it.

use candle_core::{Device, Tensor};
use image::RgbaImage;

use super::config::ProcessorConfig;
use super::resample::resize_bicubic;
use crate::{Error, Result};

/// A picture cut into patches.
pub struct Patches {
    /// (rows * columns, 3 * temporal_patch * patch * patch) in f32, merge blocks one after another.
    pub values: Tensor,
    /// Patches from top to bottom and from left to right.
    pub rows: usize,
    pub columns: usize,
}

/// Resizes, normalises and cuts `picture`. Transparency is put on white.
///
/// # Errors
/// When one side is more than 200 times the other.
pub fn cut(picture: &RgbaImage, config: &ProcessorConfig) -> Result<Patches> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let factor = config.patch_size * config.merge_size;
    let (new_width, new_height) = smart_size(width, height, factor, config.min_pixels, config.max_pixels)?;
    let rgb = resize_bicubic(&on_white(picture), (width, height), (new_width, new_height));
    let (rows, columns) = (new_height / config.patch_size, new_width / config.patch_size);
    let values = patches_of(&rgb, new_width, rows, columns, config);
    let width = values.len() / (rows * columns);
    Ok(Patches { values: Tensor::from_vec(values, (rows * columns, width), &Device::Cpu)?, rows, columns })
}

/// The size near (`width`, `height`) whose sides are multiples of `factor` and
/// whose area lies within the limits; transformers' `smart_resize`.
pub fn smart_size(width: usize, height: usize, factor: usize, least: usize, most: usize) -> Result<(usize, usize)> {
    let (long, short) = (width.max(height), width.min(height));
    if short == 0 || long as f64 / short as f64 > 200.0 {
        return Err(Error::Input(format!(
            "a picture of {width}x{height} cannot be captioned: one side may be at most 200 times the other; give a prompt"
        )));
    }
    let (w, h, f) = (width as f64, height as f64, factor as f64);
    let multiple = |n: f64| n as usize * factor;
    let (new_w, new_h) = (multiple((w / f).round_ties_even()), multiple((h / f).round_ties_even()));
    Ok(if new_w * new_h > most {
        let beta = (h * w / most as f64).sqrt();
        (multiple((w / beta / f).floor()).max(factor), multiple((h / beta / f).floor()).max(factor))
    } else if new_w * new_h < least {
        let beta = (least as f64 / (h * w)).sqrt();
        (multiple((w * beta / f).ceil()), multiple((h * beta / f).ceil()))
    } else {
        (new_w, new_h)
    })
}

/// The RGB values of `picture` over white, rounded as Pillow's `alpha_composite` does.
fn on_white(picture: &RgbaImage) -> Vec<u8> {
    let blend = |value: u8, alpha: u8| {
        let (alpha, value) = (u32::from(alpha) * 128, u32::from(value));
        let sum = value * alpha + 255 * (255 * 128 - alpha) + (0x80 << 7);
        ((((sum >> 8) + sum) >> 8) >> 7) as u8
    };
    picture.pixels().flat_map(|pixel| [0, 1, 2].map(|channel| blend(pixel[channel], pixel[3]))).collect()
}

/// (rows/merge, columns/merge, merge, merge, channel, time, y, x), normalised; time repeats the one frame.
fn patches_of(rgb: &[u8], width: usize, rows: usize, columns: usize, config: &ProcessorConfig) -> Vec<f32> {
    let (patch, merge) = (config.patch_size, config.merge_size);
    // Rescaling folded into mean and deviation, as the reference's fast processor has it.
    let unit = (1.0 / config.rescale_factor) as f32;
    let mean = config.image_mean.map(|mean| mean * unit);
    let deviation = config.image_std.map(|deviation| deviation * unit);
    let mut values = Vec::with_capacity(rgb.len() * config.temporal_patch_size);
    let blocks = (0..rows).step_by(merge).flat_map(|row| (0..columns).step_by(merge).map(move |column| (row, column)));
    for (block_row, block_column) in blocks {
        for inside in 0..merge * merge {
            let (row, column) = (block_row + inside / merge, block_column + inside % merge);
            for channel in 0..3 {
                for _ in 0..config.temporal_patch_size {
                    for y in row * patch..(row + 1) * patch {
                        let line = (column * patch..(column + 1) * patch).map(|x| rgb[(y * width + x) * 3 + channel]);
                        values.extend(line.map(|value| (f32::from(value) - mean[channel]) / deviation[channel]));
                    }
                }
            }
        }
    }
    values
}

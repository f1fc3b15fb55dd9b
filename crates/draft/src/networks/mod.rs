//! The networks that ship with the engine, and how they are run.

mod beam;
mod korean;
pub(crate) mod objects;
mod pairs;
mod reading;

pub(crate) use ::networks::NetworkError;
use ::networks::{Convolutional, Map, U2Net};
pub(crate) use korean::read_korean;
pub(crate) use reading::{Sign, joined, read_signs};

use crate::filter::{resize_linear, resize_rgb};
use crate::monitor::{Monitor, Stopped};
use crate::plane::{Gray, Plane, Rgb8};

static DETECTION: Convolutional = Convolutional::new(include_bytes!("../../models/text-detection.onnx"));
static SALIENCY: U2Net = U2Net::new(include_bytes!("../../models/saliency.onnx"));

/// Mean and deviation of ImageNet, per channel in the order red, green, blue.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// The network was trained on 320; with a little less it takes a tenth less time, and finds subjects as well.
const SALIENCY_SIDE: usize = 304;

impl From<Stopped> for NetworkError {
    fn from(_: Stopped) -> Self {
        NetworkError::Stopped
    }
}

/// Reads the networks that the first job of a process runs last, beside the one that it runs first.
pub(crate) fn prepare() {
    SALIENCY.prepare();
    reading::prepare();
    korean::prepare();
}

/// Probability of text (DBNet of PP-OCRv6 tiny), at the network's size: the picture's
/// long side shrunk to `side`, both sides multiples of 32.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn text_probability(image: &Rgb8, side: usize, monitor: &Monitor) -> Result<Gray, NetworkError> {
    let scale = (side as f32 / image.width.max(image.height) as f32).min(1.0);
    let snap = |length: usize| (((length as f32 * scale / 32.0).round() as usize) * 32).max(32);
    let (width, height) = (snap(image.width), snap(image.height));
    let small = resize_rgb(image, width, height);
    // The network was trained on blue, green, red, but normalised in the order of red, green, blue.
    let normalised = |c: usize, value: u8| (f32::from(value) / 255.0 - MEAN[c]) / DEVIATION[c];
    let found = DETECTION.run(input(&small, |pixel, c| normalised(c, pixel[2 - c])), &|| monitor.check().is_err())?;
    let data = found.values.into_iter().map(steady).collect();
    Ok(Plane { width: found.width, height: found.height, data })
}

/// How salient each pixel is (U2-Net-p), 0 to 1, at [`SALIENCY_SIDE`] both ways; with the largest value.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn saliency(image: &Rgb8, monitor: &Monitor) -> Result<(Gray, f32), NetworkError> {
    let small = resize_rgb(image, SALIENCY_SIDE, SALIENCY_SIDE);
    let brightest = f32::from(small.data.iter().flatten().copied().max().unwrap_or(1).max(1));
    let normalised = |c: usize, value: u8| (f32::from(value) / brightest - MEAN[c]) / DEVIATION[c];
    let data = SALIENCY.run(input(&small, |pixel, c| normalised(c, pixel[c])), &|| monitor.check().is_err())?;
    let map = Plane { width: SALIENCY_SIDE, height: SALIENCY_SIDE, data: data.into_iter().map(steady).collect() };
    let largest = map.data.iter().copied().fold(0.0, f32::max);
    Ok((map.map(|v| v / largest.max(1e-6)), largest))
}

/// Rounds to a coarser grid: processors differ in the last bits of a network's output, and most of that must not
/// reach decisions.
fn steady(value: f32) -> f32 {
    (value * 2048.0).round() / 2048.0
}

/// A picture as the networks want it: `normalise(pixel, channel)` for each value.
fn input(image: &Rgb8, normalise: impl Fn([u8; 3], usize) -> f32) -> Map {
    let values = image.data.iter().flat_map(|&pixel| [0, 1, 2].map(|c| normalise(pixel, c))).collect();
    Map { height: image.height, width: image.width, channels: 3, values }
}

/// A map of any size brought to another, linear between the pixel centres.
pub(crate) fn grown(map: &Gray, width: usize, height: usize) -> Gray {
    resize_linear(&map.map(|v| [v]), width, height).map(|v| v[0])
}

//! The networks that ship with the engine, and how they are run.

pub(crate) mod objects;

use std::sync::LazyLock;

pub(crate) use ::networks::NetworkError;
use ::networks::{Convolutional, Map, Network, U2Net};

use crate::filter::{resize_linear, resize_rgb};
use crate::monitor::{Monitor, Stopped};
use crate::plane::{Gray, Plane, Rgb8};

static DETECTION: Convolutional = Convolutional::new(include_bytes!("../models/text-detection.onnx"));
static RECOGNITION: Network = Network::new(include_bytes!("../models/text-recognition.onnx"));
static SALIENCY: U2Net = U2Net::new(include_bytes!("../models/saliency.onnx"));

/// Characters of the recogniser's classes: class 0 is "no character", the last a space.
static ALPHABET: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let mut characters: Vec<&str> = include_str!("../models/alphabet.txt").split('\n').collect();
    if characters.last() == Some(&"") {
        characters.pop();
    }
    characters.push(" ");
    characters
});

/// Mean and deviation of ImageNet, per channel in the order red, green, blue.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// Height in pixels of the recogniser's input.
const LINE_HEIGHT: usize = 48;
/// Widths of the recogniser's input: a plan for each is kept, so there are few.
const LINE_WIDTHS: [usize; 5] = [64, 160, 320, 640, 1216];
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
    RECOGNITION.prepare();
}

/// Probability of text (DBNet of PP-OCRv4), at the network's size: the picture's
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

/// The text of a line and the recogniser's confidence, 0 to 1.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn read_line(line: &Rgb8, monitor: &Monitor) -> Result<(String, f32), NetworkError> {
    let natural = (LINE_HEIGHT as f32 * line.width as f32 / line.height as f32).round() as usize;
    let natural = natural.clamp(16, LINE_WIDTHS[LINE_WIDTHS.len() - 1]);
    let width = LINE_WIDTHS.into_iter().find(|&w| w >= natural).unwrap_or(LINE_WIDTHS[LINE_WIDTHS.len() - 1]);
    let small = resize_rgb(line, natural, LINE_HEIGHT);
    let mut input = vec![0.0; 3 * LINE_HEIGHT * width];
    for c in 0..3 {
        for y in 0..LINE_HEIGHT {
            for (x, pixel) in small.row(y).iter().enumerate() {
                input[(c * LINE_HEIGHT + y) * width + x] = f32::from(pixel[2 - c]) / 127.5 - 1.0;
            }
        }
    }
    let (shape, data) = RECOGNITION.run(&[1, 3, LINE_HEIGHT, width], input, &|| monitor.check().is_err())?;
    Ok(collapse(&data, shape[2]))
}

/// Greedy decoding of CTC: repeated classes count once, class 0 is nothing.
fn collapse(probabilities: &[f32], classes: usize) -> (String, f32) {
    let (mut text, mut sum, mut count, mut last) = (String::new(), 0.0, 0u32, 0);
    for step in probabilities.chunks_exact(classes) {
        let mut class = 0;
        for (k, &p) in step.iter().enumerate() {
            if p > step[class] {
                class = k;
            }
        }
        if class != last && class != 0 {
            text.push_str(ALPHABET.get(class - 1).copied().unwrap_or("?"));
            sum += step[class];
            count += 1;
        }
        last = class;
    }
    (text, if count == 0 { 0.0 } else { sum / count as f32 })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_has_a_character_for_each_class() {
        // 6625 classes: nothing, 6623 characters, a space.
        assert_eq!(ALPHABET.len(), 6624);
    }

    #[test]
    fn repeated_classes_count_once() {
        let mut steps = vec![0.0; 5 * 6625];
        for (step, (class, p)) in [(10, 0.9), (10, 0.8), (0, 0.9), (10, 0.7), (11, 0.5)].into_iter().enumerate() {
            steps[step * 6625 + class] = p;
        }
        let (text, sure) = collapse(&steps, 6625);
        assert_eq!(text, format!("{0}{0}{1}", ALPHABET[9], ALPHABET[10]));
        assert!((sure - 0.7).abs() < 1e-6);
    }
}

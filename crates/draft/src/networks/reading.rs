//! The recogniser of PP-OCRv6 tiny: Latin and Chinese, read from a picture or from its letters alone.

use std::sync::LazyLock;

use ::networks::{Network, NetworkError};

use super::steady;
use crate::filter::resize_rgb;
use crate::monitor::Monitor;
use crate::plane::Rgb8;

static RECOGNITION: Network = Network::new(include_bytes!("../../models/text-recognition.onnx"));

/// Characters of the recogniser's classes: class 0 is "no character", the last a space.
static ALPHABET: LazyLock<Vec<char>> = LazyLock::new(|| {
    let characters = include_str!("../../models/alphabet.txt").lines().filter_map(|line| line.chars().next());
    characters.chain([' ']).collect()
});

/// Height in pixels of the recognisers' input.
pub(super) const LINE_HEIGHT: usize = 48;
/// Width of the input, at least and at most; a longer line is squeezed.
const WIDTHS: (usize, usize) = (64, 1600);
/// Pixels of the input for one step of the output.
const STRIDE: usize = 8;

/// A character that a recogniser read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sign {
    pub character: char,
    /// How sure the recogniser is, 0 to 1.
    pub sure: f32,
    /// Where it was read, from 0 at the left edge of the line's picture to 1 at the right one.
    pub from: f32,
    pub to: f32,
}

pub(super) fn prepare() {
    RECOGNITION.prepare();
}

/// What signs say, and how sure they are on average.
pub(crate) fn joined(signs: &[Sign]) -> (String, f32) {
    let sum: f32 = signs.iter().map(|sign| sign.sure).sum();
    (signs.iter().map(|sign| sign.character).collect(), sum / signs.len().max(1) as f32)
}

/// Reads a line from left to right.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn read_signs(line: &Rgb8, monitor: &Monitor) -> Result<Vec<Sign>, NetworkError> {
    let natural = (LINE_HEIGHT as f32 * line.width as f32 / line.height as f32).round() as usize;
    let natural = natural.clamp(16, WIDTHS.1);
    let width = natural.next_multiple_of(STRIDE).max(WIDTHS.0);
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
    let signs = runs(&data, shape[2], 0).into_iter().map(|run| {
        let place = |step: usize| ((step * STRIDE + STRIDE / 2) as f32 / natural as f32).min(1.0);
        let character = ALPHABET.get(run.class - 1).copied().unwrap_or('\u{FFFD}');
        Sign { character, sure: run.sure, from: place(run.from), to: place(run.to) }
    });
    Ok(signs.collect())
}

/// Steps one after the other at which a class is the most probable one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Run {
    pub class: usize,
    /// Its largest probability.
    pub sure: f32,
    /// First and last step.
    pub from: usize,
    pub to: usize,
}

/// Greedy decoding of CTC: repeated classes count once, the class `nothing` is none.
pub(super) fn runs(probabilities: &[f32], classes: usize, nothing: usize) -> Vec<Run> {
    let (mut found, mut last): (Vec<Run>, usize) = (Vec::new(), nothing);
    for (step, values) in probabilities.chunks_exact(classes).enumerate() {
        let mut class = 0;
        for (k, &p) in values.iter().enumerate() {
            if p > values[class] {
                class = k;
            }
        }
        let sure = steady(values[class]);
        match found.last_mut() {
            Some(run) if class == last && class != nothing => {
                run.sure = run.sure.max(sure);
                run.to = step;
            }
            _ if class != nothing => found.push(Run { class, sure, from: step, to: step }),
            _ => {}
        }
        last = class;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_has_a_character_for_each_class() {
        // 6906 classes: nothing, 6904 characters, a space.
        assert_eq!(ALPHABET.len(), 6905);
        assert_eq!((ALPHABET[0], ALPHABET[6904]), ('!', ' '));
    }

    #[test]
    fn repeated_classes_count_once() {
        let mut steps = vec![0.0; 5 * 20];
        for (step, (class, p)) in [(10, 0.75), (10, 0.875), (0, 0.9), (10, 0.75), (11, 0.5)].into_iter().enumerate() {
            steps[step * 20 + class] = p;
        }
        let run = |class, sure, from, to| Run { class, sure, from, to };
        assert_eq!(runs(&steps, 20, 0), [run(10, 0.875, 0, 1), run(10, 0.75, 3, 3), run(11, 0.5, 4, 4)]);
    }
}

use candle_core::{Device, Tensor};

use super::FrameGrid;
use crate::Result;

const THETA: f32 = 10_000.0;

/// Where the tokens of some passes are on the axes layer, row and column, and the rotations that this means.
///
/// Rows and columns are centred: of `size` positions the first `size - size / 2`
/// are negative. The condition image is layer -1. Text lies on the diagonal
/// beyond everything else. The tokens of a pass follow those of the pass before it.
pub struct Rotation {
    /// (passes * image tokens, head dim) in f32: cosine and sine of each pair.
    pub image: Tensor,
    /// (text tokens of all passes, head dim), likewise.
    pub text: Tensor,
    /// Text tokens of each pass.
    pub words: Vec<usize>,
}

impl Rotation {
    /// `words`: text tokens of each pass; all have the same image tokens.
    ///
    /// # Errors
    /// On a device failure.
    pub fn new(axes: [usize; 3], grid: FrameGrid, words: &[usize], device: &Device) -> Result<Self> {
        let FrameGrid { frames, rows, columns } = grid;
        let centred = |i: usize, size: usize| i as f32 - (size - size / 2) as f32;
        let layers = (0..frames).map(|layer| layer as f32).chain([-1.0]);
        let mut image = Vec::new();
        for layer in layers {
            for row in 0..rows {
                for column in 0..columns {
                    push(&mut image, axes, [layer, centred(row, rows), centred(column, columns)]);
                }
            }
        }
        let first = (rows / 2).max(columns / 2).max(frames);
        let mut text = Vec::new();
        for token in words.iter().flat_map(|&words| 0..words) {
            push(&mut text, axes, [(first + token) as f32; 3]);
        }
        let width: usize = axes.iter().sum();
        Ok(Self {
            image: Tensor::from_vec(image.repeat(words.len()), ((), width), device)?,
            text: Tensor::from_vec(text, ((), width), device)?,
            words: words.to_vec(),
        })
    }
}

/// Appends cosine and sine of each pair of one token.
fn push(values: &mut Vec<f32>, axes: [usize; 3], position: [f32; 3]) {
    for (width, position) in axes.into_iter().zip(position) {
        for pair in 0..width / 2 {
            let frequency = 1.0 / THETA.powf((2 * pair) as f32 / width as f32);
            let (sin, cos) = (position * frequency).sin_cos();
            values.extend([cos, sin]);
        }
    }
}

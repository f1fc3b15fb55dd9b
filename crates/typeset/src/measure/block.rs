//! Lines that stand together.

use serde::{Deserialize, Serialize};

use crate::text::Align;

/// Where one line of a block is, px of the poster, after the block's angle is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeasuredLine {
    /// The left end of its ink.
    pub left: f32,
    /// The right end of its ink.
    pub right: f32,
    /// Its baseline.
    pub baseline: f32,
    /// px an em.
    pub size: f32,
}

/// What lines have in common.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Block {
    /// Where the lines meet. One line says nothing: left.
    pub align: Align,
    /// The x where they meet, px.
    pub x: f32,
    /// px from baseline to baseline: the median. 1.2 em for one line.
    pub line_height: f32,
    /// How far the lines are from meeting exactly, px: the mean absolute difference.
    pub error: f32,
}

/// Alignment and line height of a block of lines, in any order. `None` if there are no lines.
pub fn measure_block(lines: &[MeasuredLine]) -> Option<Block> {
    let meet = |align: Align| {
        let at = |line: &MeasuredLine| match align {
            Align::Left => line.left,
            Align::Centre => (line.left + line.right) / 2.0,
            Align::Right => line.right,
        };
        let x = median(lines.iter().map(at))?;
        #[expect(clippy::cast_precision_loss, reason = "a few lines")]
        let error = lines.iter().map(|line| (at(line) - x).abs()).sum::<f32>() / lines.len() as f32;
        Some((align, x, error))
    };
    // Side bearings move the ends of ink by some hundredths of an em: the first of these wins unless another is better
    // by more than that.
    let slack = 0.04 * median(lines.iter().map(|line| line.size))?;
    let mut best = meet(Align::Left)?;
    for other in [Align::Centre, Align::Right].into_iter().filter_map(meet) {
        if other.2 + slack < best.2 {
            best = other;
        }
    }
    let mut baselines: Vec<f32> = lines.iter().map(|line| line.baseline).collect();
    baselines.sort_by(f32::total_cmp);
    let steps = baselines.iter().zip(baselines.iter().skip(1)).map(|(one, next)| next - one);
    let line_height = median(steps).or_else(|| Some(lines.first()?.size * 1.2))?;
    Some(Block { align: best.0, x: best.1, line_height, error: best.2 })
}

fn median(values: impl Iterator<Item = f32>) -> Option<f32> {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

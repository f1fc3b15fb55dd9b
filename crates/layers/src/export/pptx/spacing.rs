//! Where programs put the lines of a text box.
//!
//! They ask no font: a line of one size is 1.2 em high, and spacing is a share of that. What is above and below the
//! baseline was measured in LibreOffice 7.4 (5 fonts, 50 and 100 points, 70 to 150 %) and differs a little from what
//! others report of PowerPoint, where the first baseline is at 0.96 to 0.97 em.

use super::super::words::WordLine;

/// Height of a line at full spacing, in em.
const LINE: f32 = 1.2;
/// Where its baseline is: between LibreOffice's 1.0 and PowerPoint's, so that both are off by at most 0.02 em.
const FIRST_BASELINE: f32 = 0.98;
/// What is below the baseline: of lines at full spacing and more in em, of closer ones as a share of their height.
const BELOW: f32 = 0.2;

/// The lines of a text box, one below the other, so that their baselines are where they should be.
pub(super) struct Spaced {
    /// From the text's position.
    pub(super) top: f32,
    pub(super) bottom: f32,
    /// Of each line, as a share of what is usual at its size.
    pub(super) spacings: Vec<f32>,
}

impl Spaced {
    /// `None` without lines.
    pub(super) fn new(lines: &[WordLine<'_>]) -> Option<Self> {
        let (first, others) = lines.split_first()?;
        let mut spaced = Self {
            top: first.bounds.baseline - FIRST_BASELINE * size(first),
            bottom: first.bounds.baseline + BELOW * size(first),
            spacings: vec![1.0],
        };
        for line in others {
            let size = size(line);
            let spacing = spacing((line.bounds.baseline - spaced.bottom) / size);
            let below = if spacing < 1.0 { BELOW * LINE * spacing } else { BELOW };
            spaced.bottom = line.bounds.baseline + below * size;
            spaced.spacings.push(spacing);
        }
        Some(spaced)
    }
}

/// The share at which a baseline is so many em below the line before.
fn spacing(above: f32) -> f32 {
    let wide = (above + BELOW) / LINE;
    if wide >= 1.0 { wide } else { (above / (LINE * (1.0 - BELOW))).clamp(0.01, 1.0) }
}

/// Of the largest run, in pixels.
fn size(line: &WordLine<'_>) -> f32 {
    line.runs.iter().map(|run| run.run.style.size).fold(1.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As LibreOffice was seen to set lines of 100 and 50 pixels.
    #[test]
    fn spacing_moves_a_baseline_as_it_was_measured() {
        assert!((spacing(1.6) - 1.5).abs() < 1e-4);
        assert!((spacing(1.0) - 1.0).abs() < 1e-4);
        assert!((spacing(0.672) - 0.7).abs() < 1e-4);
        assert_eq!(spacing(0.98), 1.0);
        assert_eq!(spacing(-3.0), 0.01);
    }
}

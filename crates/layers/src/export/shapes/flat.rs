//! Whether a picture has one colour, and what its edges leave of it.

use image::RgbaImage;

use super::TOLERANCE;

/// The least alpha of a shape: below it, the tolerance would be most of what one sees.
const LEAST_ALPHA: u8 = 24;
/// Pixels that an edge may take for each point of its contour. A sharp edge takes one, a soft shadow dozens.
const EDGE_WIDTH: usize = 4;

/// The one colour of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flat {
    pub(super) colour: [u8; 3],
    /// Of the inside; edges have less.
    pub(super) alpha: u8,
    /// Sum of all pixels' shares of that alpha: the area, in pixels.
    pub(super) area: f64,
    /// Pixels that are neither inside nor outside.
    edge: usize,
}

impl Flat {
    /// None where the pixels inside differ by more than the tolerance from every one colour. Of a picture with many colours
    /// only the first pixels are read.
    pub(super) fn of(picture: &RgbaImage) -> Option<Self> {
        let pixels = || picture.as_raw().as_chunks::<4>().0;
        let mut top = 0;
        for pixel in pixels() {
            top = pixel[3].max(top);
            if top == u8::MAX {
                break;
            }
        }
        if top < LEAST_ALPHA {
            return None;
        }
        let least = top - 2 * TOLERANCE;
        let mut counts = [[0_u64; 256]; 4];
        let (mut low, mut high) = ([u8::MAX; 4], [0; 4]);
        let (mut sum, mut edge) = (0_u64, 0);
        for pixel in pixels() {
            let alpha = pixel[3];
            if alpha <= TOLERANCE {
                continue;
            }
            sum += u64::from(alpha);
            if alpha < least {
                edge += 1;
                continue;
            }
            for channel in 0..4 {
                let value = pixel[channel];
                counts[channel][usize::from(value)] += 1;
                low[channel] = low[channel].min(value);
                high[channel] = high[channel].max(value);
                if channel < 3 && high[channel] - low[channel] > 2 * TOLERANCE {
                    return None;
                }
            }
        }
        // The median, or the nearest value that is within the tolerance of all.
        let value = |channel: usize| {
            let (least, most) = (high[channel].saturating_sub(TOLERANCE), low[channel].saturating_add(TOLERANCE));
            median(&counts[channel]).clamp(least, most)
        };
        // An edge may have a little less than the inside.
        let alpha = median(&counts[3]).max(top - TOLERANCE);
        let area = sum as f64 / f64::from(alpha);
        Some(Self { colour: [value(0), value(1), value(2)], alpha, area, edge })
    }

    /// Whether edges are too wide for a contour of so many points.
    pub(super) fn is_soft(&self, points: usize) -> bool {
        self.edge > points.saturating_mul(EDGE_WIDTH)
    }
}

fn median(counts: &[u64; 256]) -> u8 {
    let half = counts.iter().sum::<u64>() / 2;
    let mut below = 0;
    for (value, count) in (0..=u8::MAX).zip(counts) {
        below += count;
        if below > half {
            return value;
        }
    }
    u8::MAX
}

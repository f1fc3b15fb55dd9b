//! Sub-pixel alignment of drawn words to a mask: Gauss-Newton on the squared difference, after Lucas and Kanade (1981),
//! with the mean of both pictures' slopes (Malis's ESM, 2004).

use super::candidate::{Candidate, Fit};
use super::plane::Plane;

/// Size, x, baseline, letter spacing.
const PARAMETERS: usize = 4;

/// The normal equations of one step.
#[derive(Default)]
struct Normal {
    matrix: [[f32; PARAMETERS]; PARAMETERS],
    vector: [f32; PARAMETERS],
}

/// Improves a fit until it stands still or `steps` are done; `target` is the mask, softened.
pub(super) fn align(candidate: &Candidate<'_>, target: &Plane, start: Fit, steps: usize) -> Fit {
    let spaced = candidate.has_gaps();
    let mut best = (f32::MAX, start);
    let mut fit = start;
    let mut damping = 1e-3;
    for _ in 0..=steps {
        let drawn = candidate.draw(&fit, target.width, target.height).softened();
        let cost: f32 = target.values.iter().zip(&drawn.values).map(|(a, b)| (a - b) * (a - b)).sum();
        if cost < best.0 {
            let gain = (best.0 - cost) / cost.max(1e-6);
            best = (cost, fit);
            if gain < 1e-3 {
                break;
            }
        } else {
            // Too far: half the way back, more carefully from there on.
            damping *= 10.0;
            fit = Fit {
                size: (fit.size + best.1.size) / 2.0,
                x: (fit.x + best.1.x) / 2.0,
                baseline: (fit.baseline + best.1.baseline) / 2.0,
                spacing: (fit.spacing + best.1.spacing) / 2.0,
            };
            continue;
        }
        let normal = normal(candidate, target, &drawn, &fit);
        let Some([size, x, baseline, spacing]) = solve(normal, spaced, damping) else { break };
        // No step changes the size by more than a tenth.
        let size = fit.size * size.clamp(-0.1, 0.1).exp_approx();
        fit = Fit { size, x: fit.x + x, baseline: fit.baseline + baseline, spacing: fit.spacing + spacing };
    }
    best.1
}

trait Exp {
    fn exp_approx(self) -> f32;
}

impl Exp for f32 {
    /// For small values; the same on every machine.
    fn exp_approx(self) -> f32 {
        1.0 + self + self * self / 2.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "positions within a picture")]
fn normal(candidate: &Candidate<'_>, target: &Plane, drawn: &Plane, fit: &Fit) -> Normal {
    let (width, height) = (target.width, target.height);
    let gaps = candidate.gaps(fit, width);
    let mut normal = Normal::default();
    for y in 1..height.saturating_sub(1) {
        let below = y as f32 + 0.5 - fit.baseline;
        for x in 1..width.saturating_sub(1) {
            let n = y * width + x;
            let slope = |step: usize| {
                let over = |plane: &Plane| plane.values[n + step] - plane.values[n - step];
                0.25 * (over(target) + over(drawn))
            };
            let (across, down) = (slope(1), slope(width));
            if across == 0.0 && down == 0.0 {
                continue;
            }
            let error = target.values[n] - drawn.values[n];
            let gap = gaps[x];
            let right = x as f32 + 0.5 - fit.x - gap * fit.spacing;
            let jacobian = [-(across * right + down * below), -across, -down, -across * gap];
            for (i, one) in jacobian.iter().enumerate() {
                normal.vector[i] += one * error;
                for (j, two) in jacobian.iter().enumerate().skip(i) {
                    normal.matrix[i][j] += one * two;
                }
            }
        }
    }
    for i in 1..PARAMETERS {
        for j in 0..i {
            normal.matrix[i][j] = normal.matrix[j][i];
        }
    }
    normal
}

/// Cholesky's solution of the damped equations; the last parameter stays if it has no effect.
fn solve(normal: Normal, spaced: bool, damping: f32) -> Option<[f32; PARAMETERS]> {
    let count = if spaced { PARAMETERS } else { PARAMETERS - 1 };
    let Normal { mut matrix, vector } = normal;
    for (n, row) in matrix.iter_mut().enumerate() {
        row[n] = row[n] * (1.0 + damping) + 1e-6;
    }
    for i in 0..count {
        for j in 0..=i {
            let sum = (0..j).fold(matrix[i][j], |sum, k| sum - matrix[i][k] * matrix[j][k]);
            if i == j {
                if sum <= 0.0 {
                    return None;
                }
                matrix[i][i] = sum.sqrt();
            } else {
                matrix[i][j] = sum / matrix[j][j];
            }
        }
    }
    let mut solution = [0.0; PARAMETERS];
    for i in 0..count {
        solution[i] = (0..i).fold(vector[i], |sum, k| sum - matrix[i][k] * solution[k]) / matrix[i][i];
    }
    for i in (0..count).rev() {
        solution[i] = (i + 1..count).fold(solution[i], |sum, k| sum - matrix[k][i] * solution[k]) / matrix[i][i];
    }
    solution.iter().all(|value| value.is_finite()).then_some(solution)
}

//! Sub-pixel alignment of drawn words to a mask: Gauss-Newton on the squared difference, after Lucas and Kanade (1981),
//! with the mean of both pictures' slopes (Malis's ESM, 2004).

use super::candidate::{Candidate, Fit};
use super::plane::Plane;

/// Size, x, baseline, spread, letter spacing.
const PARAMETERS: usize = 5;

/// Which parameters are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Free {
    /// All.
    All,
    /// All but letter spacing, which stays.
    NotSpacing,
}

/// What words are laid on.
pub(super) struct Target {
    /// The mask, softened once.
    pub(super) soft: Plane,
    /// How many times more drawn words are softened to be as blurred as the mask.
    pub(super) blur: usize,
    /// How much full ink covers in `soft`.
    pub(super) full: f32,
}

impl Target {
    pub(super) fn new(mask: &Plane) -> Self {
        let soft = mask.softened();
        let full = soft.full();
        Self { soft, blur: 0, full }
    }

    /// Softens drawn words as the mask is, and makes them as faint.
    pub(super) fn like(&self, drawn: Plane, blur: usize) -> Plane {
        let mut soft = drawn.softer(1 + blur);
        let full = soft.full();
        if full > 0.0 {
            let gain = (self.full / full).min(1.0);
            soft.values.iter_mut().for_each(|value| *value *= gain);
        }
        soft
    }
}

/// Words drawn at a fit, and how far they are from the target.
pub(super) struct Drawn {
    pub(super) fit: Fit,
    /// Softened, without the spread.
    soft: Plane,
    /// Softened, with the spread.
    pub(super) spread: Plane,
    cost: f32,
}

impl Drawn {
    pub(super) fn new(candidate: &Candidate<'_>, target: &Target, fit: Fit) -> Self {
        let soft = target.like(candidate.draw(&fit, target.soft.width, target.soft.height), target.blur);
        let spread = soft.spread(fit.spread);
        let cost = spread.distance(&target.soft);
        Self { fit, soft, spread, cost }
    }

    /// Improves the fit until it stands still or `steps` more drawings are done.
    pub(super) fn align(mut self, candidate: &Candidate<'_>, target: &Target, free: Free, steps: usize) -> Self {
        let free = if candidate.has_gaps() { free } else { Free::NotSpacing };
        let mut damping = 1e-3;
        let mut normal = normal(candidate, &target.soft, &self);
        for _ in 0..steps {
            let Some(step) = solve(&normal, free, damping) else { break };
            let next = Self::new(candidate, target, stepped(&self.fit, step));
            if next.cost < self.cost {
                let gain = (self.cost - next.cost) / self.cost;
                self = next;
                if gain < 2e-3 {
                    break;
                }
                normal = self::normal(candidate, &target.soft, &self);
                damping = (damping * 0.3_f32).max(1e-3);
            } else {
                damping = damping.max(1e-2) * 10.0; // too far: a shorter step, from where the last one began
            }
        }
        self
    }
}

/// No step changes the size by more than a tenth, and edges lie at most 1.5 px wrong.
fn stepped(fit: &Fit, [size, x, baseline, spread, spacing]: [f32; PARAMETERS]) -> Fit {
    let growth = size.clamp(-0.1, 0.1);
    Fit {
        size: fit.size * (1.0 + growth + growth * growth / 2.0),
        x: fit.x + x,
        baseline: fit.baseline + baseline,
        spread: (fit.spread + spread).clamp(-1.5, 1.5),
        spacing: fit.spacing + spacing,
    }
}

/// The normal equations of one step.
#[derive(Default)]
struct Normal {
    matrix: [[f32; PARAMETERS]; PARAMETERS],
    vector: [f32; PARAMETERS],
}

#[expect(clippy::cast_precision_loss, reason = "positions within a picture")]
fn normal(candidate: &Candidate<'_>, target: &Plane, drawn: &Drawn) -> Normal {
    let (width, height) = (target.width, target.height);
    let fit = &drawn.fit;
    let gaps = candidate.gaps(fit, width);
    let mut normal = Normal::default();
    for y in 1..height.saturating_sub(1) {
        let below = y as f32 + 0.5 - fit.baseline;
        for (x, gap) in gaps.iter().enumerate().take(width.saturating_sub(1)).skip(1) {
            let n = y * width + x;
            let slope = |step: usize| {
                let over = |plane: &Plane| plane.values[n + step] - plane.values[n - step];
                0.25 * (over(target) + over(&drawn.spread))
            };
            let (across, down) = (slope(1), slope(width));
            if across == 0.0 && down == 0.0 {
                continue;
            }
            let error = target.values[n] - drawn.spread.values[n];
            let right = x as f32 + 0.5 - fit.x - gap * fit.spacing;
            let steep = drawn.soft.steepness(n);
            let jacobian = [-(across * right + down * below), -across, -down, steep, -across * gap];
            for (i, one) in jacobian.iter().enumerate() {
                normal.vector[i] += one * error;
                for (j, two) in jacobian.iter().enumerate().take(i + 1) {
                    normal.matrix[i][j] += one * two;
                }
            }
        }
    }
    normal
}

/// Cholesky's solution of the damped equations, of which only the lower half is read.
fn solve(normal: &Normal, free: Free, damping: f32) -> Option<[f32; PARAMETERS]> {
    let count = if free == Free::All { PARAMETERS } else { PARAMETERS - 1 };
    let (mut matrix, vector) = (normal.matrix, normal.vector);
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

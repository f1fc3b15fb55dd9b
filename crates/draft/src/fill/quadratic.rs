//! A colour that varies as a quadratic polynomial of the place, fitted robustly:
//! the model of a smooth background.

use crate::colour::max_difference;
use crate::numeric::solve_symmetric;

/// Coordinates are divided by this before the powers are taken.
const SCALE: f64 = 100.0;

#[derive(Debug, Clone)]
pub(crate) struct Quadratic([[f64; 3]; 6]);

fn basis(x: f32, y: f32) -> [f64; 6] {
    let (x, y) = (f64::from(x) / SCALE, f64::from(y) / SCALE);
    [1.0, y, x, y * y, x * x, y * x]
}

/// A colour seen at a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub x: f32,
    pub y: f32,
    pub colour: [f32; 3],
}

impl Quadratic {
    /// Fits by reweighted least squares; `soft` is the residual from which a
    /// sample begins to lose weight. `None` for too few samples.
    pub(crate) fn fit(samples: &[Sample], soft: f32, rounds: usize) -> Option<Self> {
        if samples.len() < 12 {
            return None;
        }
        let mut weights = vec![1.0f64; samples.len()];
        let mut model = None;
        for _ in 0..rounds {
            let (mut a, mut b) = ([[0.0; 6]; 6], [[0.0; 3]; 6]);
            for (sample, &weight) in samples.iter().zip(&weights) {
                let phi = basis(sample.x, sample.y);
                for i in 0..6 {
                    for j in 0..=i {
                        a[i][j] += weight * phi[i] * phi[j];
                    }
                    for c in 0..3 {
                        b[i][c] += weight * phi[i] * f64::from(sample.colour[c]);
                    }
                }
            }
            // A little ridge keeps thin rings (a line of samples) solvable.
            let total: f64 = weights.iter().sum();
            for (i, row) in a.iter_mut().enumerate() {
                row[i] += total * if i == 0 { 1e-9 } else { 1e-6 };
            }
            let fitted = Quadratic(solve_symmetric(a, b)?);
            for (sample, weight) in samples.iter().zip(&mut weights) {
                let residual = fitted.residual(sample) / soft;
                // Squared weight of the prototype's 1 / (1 + r^2).
                *weight = (1.0 / (1.0 + f64::from(residual * residual))).powi(2);
            }
            model = Some(fitted);
        }
        model
    }

    pub(crate) fn at(&self, x: f32, y: f32) -> [f32; 3] {
        let phi = basis(x, y);
        std::array::from_fn(|c| (0..6).map(|i| phi[i] * self.0[i][c]).sum::<f64>() as f32)
    }

    /// Largest difference over the channels.
    pub(crate) fn residual(&self, sample: &Sample) -> f32 {
        max_difference(self.at(sample.x, sample.y), sample.colour)
    }

    /// Share of samples whose residual is under `limit`.
    pub(crate) fn inliers(&self, samples: &[Sample], limit: f32) -> f32 {
        let inside = samples.iter().filter(|s| self.residual(s) < limit).count();
        inside as f32 / samples.len().max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_move_the_fit() {
        let truth = |x: f32, y: f32| [0.2 + 0.001 * x, 0.4 - 0.0005 * y, 0.3 + 1e-6 * x * y];
        let samples: Vec<Sample> = (0..400)
            .map(|k| {
                let (x, y) = ((k % 20) as f32 * 5.0, (k / 20) as f32 * 5.0);
                let colour = if k % 7 == 0 { [0.9; 3] } else { truth(x, y) };
                Sample { x, y, colour }
            })
            .collect();
        let model = Quadratic::fit(&samples, 0.02, 6).expect("enough samples");
        assert!(max_difference(model.at(50.0, 50.0), truth(50.0, 50.0)) < 0.01);
        assert!((model.inliers(&samples, 0.035) - 342.0 / 400.0).abs() < 0.01);
    }
}

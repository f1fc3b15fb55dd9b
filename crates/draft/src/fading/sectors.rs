//! The strength of a shade by direction and distance, as medians.

use super::{BEYOND_EDGE, Bearing, MIN_SAMPLES};
use crate::numeric::quantile;

/// Directions in which the strength is measured; between two of them it is interpolated.
pub(super) const SECTORS: usize = 8;
/// Share of black or white under which there is no shadow or glow.
const MIN_SHARE: f32 = 0.02;

/// Shares by sector and distance.
pub(super) struct Samples(Vec<[Vec<f32>; SECTORS]>);

impl Samples {
    pub(super) fn new(reach: usize) -> Self {
        Self((0..=reach).map(|_| std::array::from_fn(|_| Vec::new())).collect())
    }

    pub(super) fn add(&mut self, bearing: &Bearing, share: f32) {
        let ring = (bearing.distance + 0.5) as usize;
        if ring < self.0.len() {
            self.0[ring][(sector(bearing.outward) + 0.5) as usize % SECTORS].push(share);
        }
    }

    /// Medians; 0 where there are few samples, and from the first faint ring of a sector on.
    pub(super) fn medians(mut self) -> Vec<[f32; SECTORS]> {
        let mut medians: Vec<[f32; SECTORS]> = self
            .0
            .iter_mut()
            .map(|ring| {
                std::array::from_fn(|s| {
                    if ring[s].len() < MIN_SAMPLES { 0.0 } else { quantile(&mut ring[s], 0.5).max(0.0) }
                })
            })
            .collect();
        for sector in 0..SECTORS {
            let first = BEYOND_EDGE as usize + 1;
            let end = (first..medians.len()).find(|&ring| medians[ring][sector] < MIN_SHARE).unwrap_or(medians.len());
            medians[end.min(self.0.len())..].iter_mut().for_each(|ring| ring[sector] = 0.0);
        }
        medians
    }
}

/// Sector of a direction with its fraction, 0 (to the right) to `SECTORS`; whole numbers are the
/// middles of sectors, along axes and diagonals. Found by comparisons and a ratio,
/// not by an arc tangent, whose last bits differ between systems.
fn sector([x, y]: [f32; 2]) -> f32 {
    let (a, b) = (x.abs(), y.abs());
    // 0 along the axis to 1 along the diagonal.
    let slope = if a >= b { b / a.max(1e-6) } else { a / b };
    let octant = if a >= b { slope } else { 2.0 - slope };
    let half = if x >= 0.0 { octant } else { 4.0 - octant };
    let whole = if y >= 0.0 { half } else { 8.0 - half };
    whole.clamp(0.0, 7.999)
}

/// Largest mean over the sectors beyond the edge of the shape.
pub(super) fn strongest(medians: &[[f32; SECTORS]]) -> f32 {
    let rings = medians.iter().skip(BEYOND_EDGE as usize + 1).take(6);
    let count = rings.clone().count().max(1) as f32;
    (0..SECTORS).map(|s| rings.clone().map(|ring| ring[s]).sum::<f32>() / count).fold(0.0, f32::max)
}

pub(super) fn interpolated(medians: &[[f32; SECTORS]], bearing: &Bearing) -> f32 {
    let position = sector(bearing.outward);
    let (from, part) = (position as usize, position.fract());
    let at = |ring: usize| {
        let Some(ring) = medians.get(ring) else { return 0.0 };
        ring[from % SECTORS] * (1.0 - part) + ring[(from + 1) % SECTORS] * part
    };
    let ring = bearing.distance as usize;
    let part = bearing.distance.fract();
    (at(ring.max(BEYOND_EDGE as usize + 1)) * (1.0 - part) + at((ring + 1).max(BEYOND_EDGE as usize + 1)) * part)
        .min(0.95)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_go_round() {
        let mut last = -1.0;
        for step in 0..64 {
            let angle = (step as f32 + 0.5) / 64.0 * std::f32::consts::TAU;
            let here = sector([angle.cos(), angle.sin()]);
            assert!(here > last && (0.0..8.0).contains(&here));
            last = here;
        }
    }
}

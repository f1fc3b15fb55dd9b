//! Removes the step between the inpainted pixels and the original ones around them.

use crate::fill::membrane::{halved, membrane, sample_double};
use crate::plane::{Colour, Mask, Plane};

/// Largest step (0 to 1) between the inpainted background and the original one that counts as a seam.
const SEAM: f32 = 40.0 / 255.0;
/// Step that the noise of a compressed picture makes, too: from twice that on, all of it is taken for a seam.
const GRAIN: f32 = 2.0 / 255.0;

/// The inpainted pixels, shifted smoothly to the colours of the original pixels around them (the membrane
/// form of seamless cloning, Pérez et al. 2003): a step between the two would draw the outline of the shape.
pub(crate) fn seamless(filled: &Colour, lit: &Colour, back: &Mask, hole: &Mask) -> Colour {
    let gap = hole.minus(back);
    if !gap.any() || !hole.and(back).any() {
        return filled.clone();
    }
    let step = |x: usize, y: usize| {
        let (a, b) = (lit.at(x, y), filled.at(x, y));
        let step: [f32; 3] = std::array::from_fn(|c| a[c] - b[c]);
        step.iter().all(|s| s.abs() < SEAM).then_some(step)
    };
    // What is spread is smooth: half the size is enough.
    let found = |x, y| if back.at(x, y) { step(x, y) } else { None };
    let (steps, known) = halved(filled.width, filled.height, found);
    if !known.any() {
        return filled.clone();
    }
    let spread = membrane(&steps, &known, 4);
    Plane::from_fn(filled.width, filled.height, |x, y| {
        let here = filled.at(x, y);
        if !gap.at(x, y) {
            return here;
        }
        let shift: [f32; 3] = sample_double(&spread, x, y);
        let largest = shift.iter().fold(0.0f32, |largest, s| largest.max(s.abs()));
        let share = (largest / GRAIN - 1.0).clamp(0.0, 1.0);
        std::array::from_fn(|c| (here[c] + share * shift[c]).clamp(0.0, 1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_spread_and_noise_is_not() {
        let inside = |x: usize, y: usize| (20..40).contains(&x) && (20..40).contains(&y);
        let back = Plane::from_fn(60, 60, |x, y| !inside(x, y));
        let hole = Plane::from_fn(60, 60, |x, y| (10..50).contains(&x) && (10..50).contains(&y));
        let lit = Plane::new(60, 60, [0.5f32; 3]);
        for (step, kept) in [(0.08, 0.0), (0.004, 0.004), (0.4, 0.4)] {
            let filled = Plane::from_fn(60, 60, |x, y| [if hole.at(x, y) { 0.5 + step } else { 0.5 }; 3]);
            // Beyond the hole there is no step, and in the middle hardly anything of that is felt.
            let found = seamless(&filled, &lit, &back.and(&hole), &hole).at(30, 30)[0] - 0.5;
            assert!((found - kept).abs() < 0.002, "{step}: {found}");
        }
    }
}

//! The mask at one scale, and words laid on it.

use super::align::{Drawn, Target};
use super::candidate::{Candidate, Fit};
use super::plane::{InkBox, Plane};

/// px around the ink, for words that do not lie on it yet.
const MARGIN: f32 = 5.0;
/// A line is compared at a size at which it is no wider than this.
const MOST_WIDTH: f32 = 2400.0;
/// How often drawn words are softened to be as blurred as the ink, at most: a deviation of 1.7 px.
const MOST_BLUR: usize = 5;
/// Only the best few words are asked for the blur.
const BEST: usize = 3;
/// What edges that are moved by an em would cost in similarity: a regular face is no bold one with thin strokes.
const MOVED: f32 = 4.0;

/// The mask around its ink, at one scale.
pub(super) struct View {
    x: f32,
    y: f32,
    pub(super) scale: f32,
    pub(super) plane: Plane,
    pub(super) target: Target,
}

impl View {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand at most")]
    pub(super) fn new(mask: &Plane, ink: &InkBox, height: f32) -> Self {
        let scale = (height / ink.height()).min(MOST_WIDTH / ink.width()).min(1.0);
        let margin = MARGIN / scale;
        let (x, y) = ((ink.left - margin).floor(), (ink.top - margin).floor());
        let side = |length: f32| (length * scale + 2.0 * MARGIN).ceil() as usize + 1;
        let plane = mask.scaled(x, y, scale, side(ink.width()), side(ink.height()));
        Self { x, y, scale, target: Target::new(&plane), plane }
    }

    pub(super) fn draw(&self, candidate: &Candidate<'_>, fit: Fit) -> Drawn {
        Drawn::new(candidate, &self.target, fit.into_plane(self.x, self.y, self.scale))
    }

    pub(super) fn fit(&self, drawn: &Drawn) -> Fit {
        drawn.fit.out_of_plane(self.x, self.y, self.scale)
    }

    /// How alike ink and drawn words are: the overlap of both, softened, the words as blurred as the ink and with their
    /// edges moved as suits the ink; less what the edges were moved, in em.
    pub(super) fn similarity(&self, drawn: &Drawn) -> f32 {
        let moved = MOVED * (drawn.fit.spread / drawn.fit.size).abs();
        (drawn.spread.overlap(&self.target.soft) - moved).max(0.0)
    }

    /// Sets the blur to that with which the words that are most like the ink are most like it.
    pub(super) fn measure_blur<'a>(&mut self, fits: impl Iterator<Item = (&'a Candidate<'a>, Fit)>) {
        let mut best = (0.0, 0);
        for (candidate, fit) in fits.take(BEST) {
            let fit = fit.into_plane(self.x, self.y, self.scale);
            let drawn = candidate.draw(&fit, self.plane.width, self.plane.height);
            for blur in 0..=MOST_BLUR {
                let overlap = self.target.like(drawn.clone(), blur).overlap(&self.target.soft);
                if overlap > best.0 {
                    best = (overlap, blur);
                }
            }
        }
        self.target.blur = best.1;
    }
}

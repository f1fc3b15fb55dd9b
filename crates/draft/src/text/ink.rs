//! Which of the colours that are commoner in a line than around it are the letters': a line has its colour from one
//! end to the other, and what is behind it does not.

use crate::colour::distance_squared;
use crate::plane::Mask;
use crate::text::tidy::Clusters;

/// Parts of the line that are looked at by themselves.
const PARTS: usize = 24;
/// Share of a part that a colour has at least where it is present.
const PRESENT: f32 = 0.03;
/// How many parts a second colour has, against those of the first, that goes through the line as well.
const THROUGH: f32 = 0.7;
/// Oklab distance up to which a second colour is a shade of the first.
const SHADE: f32 = 0.16;
/// Share of a colour's parts that lack the first one, from which it takes turns with it.
const IN_TURNS: f32 = 0.6;

/// Where along the line each colour is.
struct Parts {
    /// Pixels of each colour in each part.
    counts: Vec<[usize; PARTS]>,
    /// Pixels of each part.
    sizes: [usize; PARTS],
}

impl Parts {
    fn of(clusters: &Clusters, inside: &Mask) -> Option<Self> {
        let bounds = inside.bounds()?;
        let upright = bounds.height() > bounds.width();
        let (from, length) = if upright { (bounds.y0, bounds.height()) } else { (bounds.x0, bounds.width()) };
        let mut found = Parts { counts: vec![[0; PARTS]; clusters.centres.len()], sizes: [0; PARTS] };
        for y in bounds.y0..bounds.y1 {
            for x in (bounds.x0..bounds.x1).filter(|&x| inside.at(x, y)) {
                let part = ((if upright { y } else { x }) - from) * PARTS / length;
                found.counts[clusters.labels.at(x, y)][part] += 1;
                found.sizes[part] += 1;
            }
        }
        Some(found)
    }

    fn has(&self, colour: usize, part: usize) -> bool {
        self.sizes[part] > 0 && self.counts[colour][part] as f32 > PRESENT * self.sizes[part] as f32
    }

    /// Number of parts that have a colour.
    fn reach(&self, colour: usize) -> usize {
        (0..PARTS).filter(|&part| self.has(colour, part)).count()
    }

    /// The chosen colour that goes through most of the line and has most of its pixels.
    fn main(&self, clusters: &Clusters) -> Option<usize> {
        let weight = |k: usize| {
            let over = clusters.inner[k] / (clusters.inner[k] + clusters.outer[k] + 1e-6);
            clusters.inner[k] * over * over * (self.reach(k) as f32 / PARTS as f32).powi(2)
        };
        let chosen = (0..clusters.centres.len()).filter(|&k| clusters.chosen[k]);
        chosen.max_by(|&a, &b| weight(a).total_cmp(&weight(b)))
    }
}

/// The main colour of the letters among those chosen.
pub(super) fn main_colour(clusters: &Clusters, inside: &Mask) -> Option<usize> {
    Parts::of(clusters, inside)?.main(clusters)
}

/// Takes colours out of `chosen` that only some parts of the line have although the main colour is there as well.
pub(super) fn drop_scenery(clusters: &Clusters, inside: &Mask, chosen: &mut [bool]) {
    let Some(parts) = Parts::of(clusters, inside) else { return };
    let Some(main) = parts.main(clusters) else { return };
    for k in (0..chosen.len()).filter(|&k| k != main) {
        let alone = (0..PARTS).filter(|&part| parts.has(k, part) && !parts.has(main, part)).count();
        let shade = distance_squared(clusters.centres[k], clusters.centres[main]) < SHADE * SHADE;
        let through = parts.reach(k) as f32 >= THROUGH * parts.reach(main) as f32;
        let in_turns = alone as f32 > IN_TURNS * parts.reach(k) as f32;
        chosen[k] &= shade || through || in_turns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Plane;

    /// Strokes of colour 0 along the whole line, a thing of colour 1 in its first quarter, colour 2 between the strokes.
    #[test]
    fn a_thing_behind_some_letters_is_none_and_letters_in_turns_are() {
        let inside = Plane::new(240, 20, true);
        let centres = [[0.9, 0.0, 0.0], [0.4, 0.2, 0.1], [0.5, 0.0, -0.3]];
        let labels = Plane::from_fn(240, 20, |x, _| {
            if x % 10 < 4 {
                0
            } else if x < 60 {
                1
            } else {
                2
            }
        });
        let mut chosen = [true, true, false];
        let before = chosen;
        let of = |labels, chosen| Clusters {
            labels,
            centres: &centres,
            chosen,
            inner: &[0.4, 0.15, 0.45],
            outer: &[0.0, 0.05, 0.95],
        };
        assert_eq!(main_colour(&of(&labels, &before), &inside), Some(0));
        drop_scenery(&of(&labels, &before), &inside, &mut chosen);
        assert_eq!(chosen, [true, false, false]);
        // The first letters have another colour than the others.
        let labels = Plane::from_fn(240, 20, |x, _| if x % 10 >= 4 { 2 } else { usize::from(x < 60) });
        let mut chosen = [true, true, false];
        drop_scenery(&of(&labels, &before), &inside, &mut chosen);
        assert_eq!(chosen, [true, true, false]);
    }
}

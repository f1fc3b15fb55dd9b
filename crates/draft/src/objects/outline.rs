//! The outline of one thing: of the masks that the segmenter offers for a box, the one that fits it best.

use super::{LIKELY, Look, NAMED, Sights, Source, mean_under};
use crate::networks::objects::{PERSON, overlap};
use crate::plane::{Gray, Mask, Plane};
use crate::segmenter::{Embedding, Prompt, SegmentError};

/// Least score of a mask that counts, and least overlap of its box with the one that was asked for.
const SURE: f32 = 0.85;
const FITTING: f32 = 0.5;
/// The same for a box that has no name and that neither map confirms.
const SURE_ALONE: f32 = 0.9;
const FITTING_ALONE: f32 = 0.7;
/// Weight of the evidence beside score and fit when one of the masks is chosen.
const CONFIRMING: f32 = 0.5;
/// Evidence that confirms a mask.
const CONFIRMED: f32 = 0.5;
/// Share of the picture that a mask has: at least, if the detector names it, at most.
const LEAST_SHARE: f32 = 0.002;
const LEAST_NAMED_SHARE: f32 = 0.0008;
const MOST_SHARE: f32 = 0.85;
/// Share of the picture's edge from which a mask that nothing confirms is what things stand on.
const GROUND_EDGE: f32 = 0.3;
/// Mean of the map of people from which an unnamed mask is a person, and its least share of the picture: small patches
/// of that map are often wrong.
const PERSON_LIKE: f32 = 0.85;
const PERSON_SHARE: f32 = 0.05;
/// A component of the map of people must be people for the most part.
const PEOPLE_LIKE: f32 = 0.6;

/// A thing before it is known which others it overlaps.
pub(super) struct Outlined {
    /// From 0 on a pixel belongs to it.
    pub logits: Gray,
    pub mask: Mask,
    pub class: Option<&'static str>,
    pub source: Source,
    pub evidence: f32,
}

/// Outlines what a box shows; `None` if no mask fits.
pub(super) fn outline(
    embedding: &Embedding,
    look: &Look,
    sights: &Sights,
    stopped: &dyn Fn() -> bool,
) -> Result<Option<Outlined>, SegmentError> {
    let (width, height) = (sights.people.width, sights.people.height);
    let evidence = sights.evidence();
    let prompt = Prompt { points: Vec::new(), boxes: vec![look.bounds] };
    let size = embedding.size();
    let asked = look.bounds;
    let mut best: Option<(f32, f32, f32, Outlined)> = None;
    for candidate in embedding.candidates(&prompt, stopped)? {
        let logits = candidate.at_size(width, height);
        let mask = logits.map(|v| v > 0.0);
        let Some(found) = mask.bounds() else { continue };
        let scale = [size.0 as f32 / width as f32, size.1 as f32 / height as f32];
        let found = [
            found.x0 as f32 * scale[0],
            found.y0 as f32 * scale[1],
            found.x1 as f32 * scale[0],
            found.y1 as f32 * scale[1],
        ];
        let (sure, fitting, confirmed) =
            (candidate.score.min(1.0), overlap(asked, found), mean_under(&evidence, &mask));
        let value = sure + fitting + CONFIRMING * confirmed;
        if best.as_ref().is_none_or(|(most, ..)| value > *most) {
            let outlined = Outlined { logits, mask, class: None, source: look.source, evidence: confirmed };
            best = Some((value, sure, fitting, outlined));
        }
    }
    let Some((_, sure, fitting, mut outlined)) = best else { return Ok(None) };
    if is_thing(&outlined, sure, fitting) && !is_false_person(&outlined, sights) {
        outlined.class = class(&outlined, sights);
        return Ok(Some(outlined));
    }
    Ok(from_people(look, sights))
}

fn is_thing(found: &Outlined, sure: f32, fitting: f32) -> bool {
    let share = found.mask.share();
    let confirmed = found.evidence > CONFIRMED;
    let named = matches!(found.source, Source::Detector { score, .. } if score >= NAMED);
    let least = if named { LEAST_NAMED_SHARE } else { LEAST_SHARE };
    let fits = match named || confirmed {
        true => sure > SURE && fitting > FITTING,
        false => sure > SURE_ALONE && fitting > FITTING_ALONE,
    };
    fits && (least..MOST_SHARE).contains(&share) && (confirmed || edge_share(&found.mask) < GROUND_EDGE)
}

/// A component of the map of people that is none.
fn is_false_person(found: &Outlined, sights: &Sights) -> bool {
    found.source == Source::People && mean_under(&sights.people, &found.mask) < PEOPLE_LIKE
}

fn class(found: &Outlined, sights: &Sights) -> Option<&'static str> {
    match found.source {
        Source::Detector { class, score } if score >= NAMED => Some(class),
        _ => {
            let like = mean_under(&sights.people, &found.mask);
            (like > PERSON_LIKE && found.mask.share() > PERSON_SHARE).then_some(PERSON)
        }
    }
}

/// A person whom the detector sees and the segmenter cannot outline (drawn people in the colours of what is behind
/// them): the map of people in the detector's box.
fn from_people(look: &Look, sights: &Sights) -> Option<Outlined> {
    let Source::Detector { class: PERSON, score } = look.source else { return None };
    if score < NAMED {
        return None;
    }
    let map = &sights.people;
    let full = sights.picture;
    let inside = |x: usize, y: usize| {
        let (x, y) = ((x as f32 + 0.5) * full.0 / map.width as f32, (y as f32 + 0.5) * full.1 / map.height as f32);
        (look.bounds[0]..look.bounds[2]).contains(&x) && (look.bounds[1]..look.bounds[3]).contains(&y)
    };
    // Weaker than what the segmenter is sure of: a neighbour's outline goes first.
    let logits =
        Plane::from_fn(map.width, map.height, |x, y| if inside(x, y) { map.at(x, y) - LIKELY } else { -LIKELY });
    let mask = logits.map(|v| v > 0.0);
    let share = mask.share();
    let evidence = mean_under(&sights.evidence(), &mask);
    (share > LEAST_SHARE).then_some(Outlined { logits, mask, class: Some(PERSON), source: look.source, evidence })
}

/// Share of the picture's edge that a mask covers.
fn edge_share(mask: &Mask) -> f32 {
    let (right, bottom) = (mask.width - 1, mask.height - 1);
    let sides = (0..mask.width).flat_map(|x| [(x, 0), (x, bottom)]);
    let all = sides.chain((0..mask.height).flat_map(|y| [(0, y), (right, y)]));
    let covered = all.filter(|&(x, y)| mask.at(x, y)).count();
    covered as f32 / (2 * (mask.width + mask.height)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_along_the_edge_is_ground_unless_it_is_confirmed() {
        let mask = Plane::from_fn(60, 40, |_, y| y >= 25);
        assert!((edge_share(&mask) - 90.0 / 200.0).abs() < 0.02, "{}", edge_share(&mask));
        let source = Source::Detector { class: "dining_table", score: 0.56 };
        let found = |evidence| Outlined {
            logits: mask.map(|inside| if inside { 3.0 } else { -3.0 }),
            mask: mask.clone(),
            class: None,
            source,
            evidence,
        };
        assert!(!is_thing(&found(0.1), 0.98, 0.95));
        assert!(is_thing(&found(0.8), 0.98, 0.95));
        assert!(!is_thing(&found(0.8), 0.6, 0.95), "a mask that the network doubts");
    }
}

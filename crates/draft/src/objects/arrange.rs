//! Things put in order: doubles go, parts join what they are a part of, and each pixel gets one owner.

use super::outline::Outlined;
use super::{LIKELY, NAMED, Source, Thing, mean_under};
use crate::morphology::{components, open};
use crate::networks::objects::PERSON;
use crate::plane::{Gray, Mask, Plane};

/// Overlap (intersection over union) from which two masks are the same thing.
const SAME: f32 = 0.7;
/// Share of a mask within another from which it is a part of it,
const WITHIN: f32 = 0.85;
/// if it is smaller than this share of it.
const PART_SHARE: f32 = 0.6;
/// Share of an unnamed mask that smaller things cover from which it is a group of them.
const GROUP_COVER: f32 = 0.6;
/// A piece of a group that no thing covers joins the thing that it touches if it is smaller than this share of it.
const LEFTOVER_SHARE: f32 = 0.35;
/// Distance in pixels at which things are beside each other.
const BESIDE: usize = 3;
/// Least share of the picture for what is left of a group or of a thing behind others.
const REST_SHARE: f32 = 0.002;
/// Share of its mask that a thing must keep when others in front of it took theirs.
const KEPT_SHARE: f32 = 0.25;

fn common(a: &Mask, b: &Mask) -> f32 {
    a.data.iter().zip(&b.data).filter(|(a, b)| **a && **b).count() as f32
}

fn is_named(thing: &Outlined) -> bool {
    thing.class.is_some()
}

/// Makes things of outlines, most important first.
pub(super) fn arranged(outlined: Vec<Outlined>, evidence: &Gray) -> Vec<Thing> {
    let (mut kept, mut groups): (Vec<Outlined>, Vec<Mask>) = (Vec::new(), Vec::new());
    for found in outlined {
        take(found, &mut kept, &mut groups, evidence);
    }
    if kept.is_empty() {
        return Vec::new();
    }
    let owner = owners(&kept);
    let owner = with_leftovers(owner, &kept, &groups, evidence);
    let least = (REST_SHARE * owner.data.len() as f32) as usize;
    let mut things: Vec<Thing> = Vec::new();
    for (k, found) in kept.iter().enumerate() {
        let mask = owner.map(|o| o as usize == k + 1);
        let named = is_named(found);
        if mask.count() as f32 > KEPT_SHARE * found.mask.count() as f32 && (named || mask.count() > least) {
            things.push(Thing { evidence: mean_under(evidence, &mask), mask, class: found.class, whole: false });
        }
    }
    // Stable: of equals, the one that was found first.
    things.sort_by(|a, b| b.importance().total_cmp(&a.importance()));
    things
}

/// Adds a thing to those that are kept, or to the groups.
fn take(found: Outlined, kept: &mut Vec<Outlined>, groups: &mut Vec<Mask>, evidence: &Gray) {
    let area = found.mask.count() as f32;
    let sizes: Vec<f32> = kept.iter().map(|other| other.mask.count() as f32).collect();
    let shared: Vec<f32> = kept.iter().map(|other| common(&other.mask, &found.mask)).collect();
    if let Some(k) = (0..kept.len()).find(|&k| shared[k] > SAME * (sizes[k] + area - shared[k])) {
        // The second outline of the same thing may know its name, and what the first has missed.
        let same = &mut kept[k];
        same.class = same.class.or(found.class);
        if mean_under(evidence, &found.mask.minus(&same.mask)) > LIKELY {
            same.mask = same.mask.or(&found.mask);
            same.logits = same.logits.zip(&found.logits, f32::max);
        }
        return;
    }
    // A part of something larger: a tie, a glove, a second look at a face.
    let whole = (0..kept.len()).find(|&k| shared[k] > WITHIN * area && area < PART_SHARE * sizes[k]);
    if let Some(k) = whole {
        let stands_alone = is_named(&found) && found.class == Some(PERSON) || is_named(&found) && !is_named(&kept[k]);
        if !stands_alone {
            let part = found.mask;
            kept[k].mask = kept[k].mask.or(&part);
            kept[k].logits = kept[k].logits.zip(&found.logits, f32::max);
            return;
        }
    }
    let inside: Vec<usize> =
        (0..kept.len()).filter(|&k| shared[k] > WITHIN * sizes[k] && sizes[k] < PART_SHARE * area).collect();
    let broad = !matches!(found.source, Source::Detector { score, .. } if score >= NAMED);
    if broad {
        let covered = kept.iter().fold(found.mask.map(|_| false), |all, other| all.or(&other.mask.and(&found.mask)));
        let things = shared.iter().zip(&sizes).filter(|(shared, size)| **shared > 0.5 * **size).count();
        if things > 0 && covered.count() as f32 > GROUP_COVER * area {
            groups.push(found.mask);
            return;
        }
    }
    // What it holds is a part of it, unless that is a person or has a name that it has not.
    let mut found = found;
    for &k in inside.iter().rev() {
        let stands_alone = kept[k].class == Some(PERSON) || is_named(&kept[k]) && !is_named(&found);
        if !stands_alone {
            let part = kept.remove(k);
            found.logits = found.logits.zip(&part.logits, f32::max);
            found.mask = found.mask.or(&part.mask);
        }
    }
    kept.push(found);
}

/// The number of the thing that each pixel belongs to, from 1; 0 is none. People are in front of things, small things
/// in front of large ones; between people, the likelier one has the pixel.
fn owners(kept: &[Outlined]) -> Plane<u8> {
    let person = |k: usize| kept[k].class == Some(PERSON);
    let mut order: Vec<usize> = (0..kept.len().min(255)).collect();
    let sizes: Vec<usize> = kept.iter().map(|found| found.mask.count()).collect();
    order.sort_by_key(|&k| (!person(k), sizes[k]));
    let first = &kept[0].mask;
    Plane::from_fn(first.width, first.height, |x, y| {
        let here = |k: usize| kept[k].mask.at(x, y);
        let Some(&front) = order.iter().find(|&&k| here(k)) else { return 0 };
        let rivals = order.iter().copied().filter(|&k| here(k) && person(k) == person(front));
        let owner = if person(front) {
            rivals.fold(front, |best, k| if kept[k].logits.at(x, y) > kept[best].logits.at(x, y) { k } else { best })
        } else {
            front
        };
        owner as u8 + 1
    })
}

/// What a group has beside its things goes to the thing that it touches most: a sleeve, a foot, a wheel.
fn with_leftovers(mut owner: Plane<u8>, kept: &[Outlined], groups: &[Mask], evidence: &Gray) -> Plane<u8> {
    for group in groups {
        let likely = evidence.map(|v| v > LIKELY);
        let rest = open(&group.zip(&owner, |inside, o| inside && o == 0).and(&likely), 2);
        let parts = components(&rest);
        let mut touching = vec![vec![0usize; kept.len() + 1]; parts.areas.len()];
        for y in 0..owner.height {
            for x in 0..owner.width {
                let label = parts.labels.at(x, y) as usize;
                if label != 0 {
                    let (right, below) = ((x + BESIDE).min(owner.width - 1), (y + BESIDE).min(owner.height - 1));
                    let (left, above) = (x.saturating_sub(BESIDE), y.saturating_sub(BESIDE));
                    for (u, v) in [(left, y), (right, y), (x, above), (x, below)] {
                        touching[label][owner.at(u, v) as usize] += 1;
                    }
                }
            }
        }
        let sizes: Vec<usize> =
            (0..=kept.len()).map(|k| owner.data.iter().filter(|&&o| o as usize == k).count()).collect();
        let joins = |label: usize| {
            let most = (1..=kept.len()).max_by_key(|&k| (touching[label][k], std::cmp::Reverse(k)))?;
            let fits = touching[label][most] > 0 && parts.areas[label] as f32 <= LEFTOVER_SHARE * sizes[most] as f32;
            fits.then_some(most as u8)
        };
        let target: Vec<u8> = (0..parts.areas.len()).map(|k| if k == 0 { 0 } else { joins(k).unwrap_or(0) }).collect();
        owner = owner.zip(&parts.labels, |o, label| if o == 0 { target[label as usize] } else { o });
    }
    owner
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 60;

    fn found(class: Option<&'static str>, inside: impl Fn(usize, usize) -> bool + Sync) -> Outlined {
        let mask = Plane::from_fn(SIDE, SIDE, inside);
        let logits = mask.map(|inside| if inside { 4.0 } else { -4.0 });
        let source = match class {
            Some(class) => Source::Detector { class, score: 0.8 },
            None => Source::Saliency,
        };
        Outlined { logits, mask, class, source, evidence: 0.9 }
    }

    fn evidence() -> Gray {
        Plane::new(SIDE, SIDE, 0.9)
    }

    fn square(x: usize, y: usize, left: usize, top: usize, side: usize) -> bool {
        (left..left + side).contains(&x) && (top..top + side).contains(&y)
    }

    #[test]
    fn a_tie_belongs_to_the_person_and_a_person_to_no_bus() {
        let things = arranged(
            vec![
                found(Some("bus"), |x, y| square(x, y, 2, 2, 50)),
                found(Some("person"), |x, y| square(x, y, 10, 10, 20)),
                found(Some("tie"), |x, y| square(x, y, 15, 15, 5)),
            ],
            &evidence(),
        );
        let classes: Vec<_> = things.iter().map(|thing| (thing.class, thing.mask.count())).collect();
        assert_eq!(classes, [(Some("bus"), 2500 - 400), (Some("person"), 400)]);
    }

    #[test]
    fn a_group_gives_its_leftovers_to_its_members() {
        let left = |x: usize, y: usize| square(x, y, 5, 10, 20);
        let right = |x: usize, y: usize| square(x, y, 30, 10, 20);
        let arm = |x: usize, y: usize| (25..30).contains(&x) && (14..20).contains(&y);
        let things = arranged(
            vec![
                found(Some("person"), left),
                found(Some("person"), right),
                found(None, move |x, y| left(x, y) || right(x, y) || arm(x, y)),
            ],
            &evidence(),
        );
        assert_eq!(things.len(), 2);
        // But for its rounded corners, the arm has an owner.
        let all: usize = things.iter().map(|thing| thing.mask.count()).sum();
        assert!((800 + 20..=800 + 30).contains(&all), "{all}");
    }

    #[test]
    fn a_saucer_takes_the_unnamed_cup_and_a_second_look_gives_a_name() {
        let saucer = |x: usize, y: usize| square(x, y, 5, 5, 40);
        let things = arranged(
            vec![
                found(None, |x, y| square(x, y, 10, 10, 15)),
                found(None, saucer),
                found(Some("bowl"), move |x, y| saucer(x, y) && x < 44),
            ],
            &evidence(),
        );
        assert_eq!(things.len(), 1);
        assert_eq!((things[0].class, things[0].mask.count()), (Some("bowl"), 1600));
    }
}

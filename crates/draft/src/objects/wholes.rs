//! Things of drawn art: sets of evenly coloured regions that the segmenter sees as one.
//!
//! The segmenter is asked at each large region what that belongs to. Its masks are snapped to the regions, and those are
//! chosen that it is surest of and whose edges are edges of regions. Limits were chosen on the tuning posters of the
//! benchmark on HTML posters.

use super::Thing;
use super::asking::{large_pieces, questions};
use super::outline::Outlined;
use crate::morphology::{components, dilate};
use crate::networks::objects::PERSON;
use crate::plane::{Gray, Mask};
use crate::regions::Regions;
use crate::segmenter::{Embedding, SegmentError};

/// Share of the picture that a thing has.
pub(super) const LEAST_SHARE: f32 = 0.002;
pub(super) const MOST_SHARE: f32 = 0.45;
/// Least score times agreement of a mask with regions; and what a region is worth by itself.
const LEAST_WORTH: f32 = 0.75;
const REGION_WORTH: f32 = 0.9;
const SHAPE_WORTH: f32 = 0.97;
/// Score of an outline that only a map points at.
const MAP_SCORE: f32 = 0.9;
/// Worth that a name adds.
const NAME_WORTH: f32 = 0.2;
/// Share of a mask that ground may have.
const GROUND_SHARE: f32 = 0.05;
/// Share of a thing of several regions that scenery at the border may have.
const SCENERY_SHARE: f32 = 0.3;
/// Share of a thing within a group from which it is a member.
const MEMBER: f32 = 0.6;
/// Share of both from which two things are the same, and of one within another.
const SAME: f32 = 0.8;
const WITHIN: f32 = 0.9;
/// Share of a thing that one of its parts may have: from there on, the part is the thing.
const PART_SHARE: f32 = 0.62;
/// A thing of several regions stands on another one if it is smaller than this share of it, larger than these of the
/// picture and of the other, and touches that along this share of its edge.
const STANDING_SHARE: f32 = 0.65;
const STANDING_LEAST: f32 = 0.004;
const STANDING_PART: f32 = 0.02;
const STANDING_EDGE: f32 = 0.42;
/// Share of the picture of a plate, and of what lies on it; of the plate's main region in it; and of a thing's edge within
/// it for what lies on it.
const PLATE_AREA: f32 = 0.02;
const LEAST_ON_PLATE: f32 = 0.0015;
const PLATE_SHARE: f32 = 0.75;
const ENCLOSED: f32 = 0.95;
/// Least share that something must keep when what stands on it is taken off.
const KEPT_SHARE: f32 = 0.3;
/// Worth from which a part of several regions may be a thing of a group.
const STRONG_WORTH: f32 = 0.8;
/// A set that only one prompt shows, and that is so much less worth than two such parts, is a group.
const WORSE: f32 = 0.03;
/// Share of a mask for each of two pieces far apart that make it a group.
const APART_SHARE: f32 = 0.15;
/// Half the distance in pixels up to which pieces are together.
const BRIDGE: usize = 3;
/// Share of the picture up to which a region without an owner goes to the thing around it, and of its edge there.
const CRUMB_SHARE: f32 = 0.01;
const CRUMB_EDGE: f32 = 0.5;
/// Largest share of the picture of pieces that are joined because no mask was found for them, and largest share of one
/// of them in the whole.
const FRAGMENTS_SHARE: f32 = 0.12;
const FRAGMENT_SHARE: f32 = 0.5;
/// Share of a thing up to which pieces that touch it along this share of their edge are its own.
const CRUMBS_OF_STRONG: f32 = 0.12;
const CRUMBS_EDGE: f32 = 0.3;

/// A set of regions that may be a thing.
#[derive(Clone)]
struct Whole {
    set: Vec<bool>,
    area: f32,
    worth: f32,
    /// How many of its regions are large.
    large: usize,
    /// How many prompts led to it.
    votes: usize,
    is_shape: bool,
    class: Option<&'static str>,
}

/// The things that the regions make, most important first. `outlined` are outlines of what the detector and the maps
/// show.
pub(super) fn find(
    embedding: &Embedding,
    regions: &Regions,
    outlined: &[Outlined],
    evidence: &Gray,
    stopped: &dyn Fn() -> bool,
) -> Result<Vec<Thing>, SegmentError> {
    let mut wholes: Vec<Whole> = Vec::new();
    for found in outlined {
        let known = found.class.is_some();
        let score = if known { 1.0 } else { MAP_SCORE };
        if let Some(mut whole) = snapped(&found.mask, score, regions, known) {
            whole.class = found.class;
            whole.worth += if known { NAME_WORTH } else { 0.0 };
            add(whole, &mut wholes, regions);
        }
    }
    let mut wholes = members(wholes, regions);
    for prompts in questions(regions, embedding.size()) {
        let mut seen: Vec<Whole> = Vec::new();
        for prompt in prompts {
            // The last of the masks for a point is the scene around the thing.
            let by_point = prompt.boxes.is_empty();
            let masks = embedding.candidates(&prompt, stopped)?;
            let count = masks.len() - usize::from(by_point && masks.len() > 2);
            for candidate in masks.into_iter().take(count) {
                let mask = candidate.at_size(regions.labels.width, regions.labels.height).map(|v| v > 0.0);
                if let Some(whole) = snapped(&mask, candidate.score.min(1.0), regions, false) {
                    add(whole, &mut seen, regions);
                }
            }
        }
        for mut whole in seen {
            whole.votes = 1;
            add(whole, &mut wholes, regions);
        }
    }
    wholes.extend(alone(regions));
    Ok(things(chosen(wholes, regions), regions, evidence))
}

/// Groups lose what other things of the same name are: of three singers and the outline of all, the third is what the
/// others leave.
fn members(mut wholes: Vec<Whole>, regions: &Regions) -> Vec<Whole> {
    wholes.sort_by(|a, b| a.area.total_cmp(&b.area));
    let mut kept: Vec<Whole> = Vec::new();
    for mut whole in wholes {
        let inside: Vec<usize> = (0..kept.len())
            .filter(|&k| kept[k].class.is_some() && kept[k].class == whole.class)
            .filter(|&k| common(&kept[k], &whole, regions) > MEMBER * kept[k].area)
            .collect();
        let apart = |a: usize, b: usize| common(&kept[a], &kept[b], regions) < (1.0 - MEMBER) * kept[a].area;
        if inside.iter().any(|&a| inside.iter().any(|&b| a < b && apart(a, b))) {
            let all = whole.area;
            for &k in &inside {
                whole.set = without(&whole.set, &kept[k].set);
            }
            // Crumbs of the others stay behind.
            whole.set = regions.parts(&whole.set).into_iter().next().unwrap_or_default();
            if whole.set.is_empty() {
                continue;
            }
            whole.area = regions.area(&whole.set);
            if whole.area < KEPT_SHARE * all {
                continue;
            }
            whole.large = (0..regions.count()).filter(|&k| whole.set[k] && regions.is_large(k)).count();
        }
        kept.push(whole);
    }
    kept
}

/// The regions that are mostly in a mask; `None` if they make no thing.
fn snapped(mask: &Mask, score: f32, regions: &Regions, known: bool) -> Option<Whole> {
    let (all, total) = (mask.count() as f32, regions.total());
    if !(LEAST_SHARE * total..MOST_SHARE * total).contains(&all) {
        return None;
    }
    let inside = regions.count_in(mask);
    let most = |k: usize| inside[k] * 2.0 > regions.areas[k];
    let is_ground = |k: usize| regions.ground[k] && !(regions.inner[k] && inside[k] > WITHIN * regions.areas[k]);
    let ground: f32 = (0..regions.count()).filter(|&k| is_ground(k) && most(k)).map(|k| regions.areas[k]).sum();
    if ground > GROUND_SHARE * all {
        return None;
    }
    let set: Vec<bool> = (0..regions.count()).map(|k| !is_ground(k) && most(k)).collect();
    let area = regions.area(&set);
    let common: f32 = (0..regions.count()).filter(|&k| set[k]).map(|k| inside[k]).sum();
    let worth = score * common / (area + all - common);
    let large = (0..regions.count()).filter(|&k| set[k] && regions.is_large(k)).count();
    let scenery = |k: usize| set[k] && regions.shape[k] && regions.areas[k] > SCENERY_SHARE * area;
    if worth < LEAST_WORTH || area == 0.0 || large > 1 && (0..regions.count()).any(scenery) {
        return None;
    }
    let parts = regions.parts(&set);
    if !known && parts.len() > 1 && regions.area(&parts[1]) > APART_SHARE * area && is_apart(&set, regions) {
        return None;
    }
    let is_shape = (0..regions.count()).any(|k| set[k] && regions.shape[k]);
    Some(Whole { set, area, worth, large, votes: 0, is_shape, class: None })
}

/// Whether a set is two pieces far apart; a mast or a rope between sails is too thin to be a region.
fn is_apart(set: &[bool], regions: &Regions) -> bool {
    let mut areas = components(&dilate(&regions.mask(set), BRIDGE)).areas;
    areas[0] = 0;
    areas.sort_unstable();
    areas.len() > 2 && areas[areas.len() - 2] as f32 > APART_SHARE * regions.area(set)
}

/// Adds a set to those that differ in large regions, or its vote to the same set.
fn add(whole: Whole, wholes: &mut Vec<Whole>, regions: &Regions) {
    let same = |other: &Whole| {
        (0..regions.count()).all(|k| other.set[k] == whole.set[k] || !regions.is_large(k))
            && (other.large > 0 || other.set == whole.set)
    };
    match wholes.iter_mut().find(|other| same(other)) {
        Some(other) => {
            other.votes += whole.votes;
            other.class = other.class.or(whole.class);
            if whole.worth > other.worth {
                (other.worth, other.set, other.area) = (whole.worth, whole.set, whole.area);
            }
        }
        None => wholes.push(whole),
    }
}

/// Each large region by itself.
fn alone(regions: &Regions) -> impl Iterator<Item = Whole> + '_ {
    large_pieces(regions).map(|k| {
        let set = (0..regions.count()).map(|other| other == k).collect();
        let is_shape = regions.shape[k];
        let worth = if is_shape { SHAPE_WORTH } else { REGION_WORTH };
        Whole { set, area: regions.areas[k], worth, large: 1, votes: 0, is_shape, class: None }
    })
}

fn common(a: &Whole, b: &Whole, regions: &Regions) -> f32 {
    (0..regions.count()).filter(|&k| a.set[k] && b.set[k]).map(|k| regions.areas[k]).sum()
}

fn without(set: &[bool], other: &[bool]) -> Vec<bool> {
    set.iter().zip(other).map(|(&a, &b)| a && !b).collect()
}

/// Whether `a` is a thing of its own in front of `b`.
fn stands_on(a: &Whole, b: &Whole, regions: &Regions) -> bool {
    let plate = is_plate(b, regions);
    let least = if plate { LEAST_ON_PLATE } else { STANDING_LEAST };
    if !((least * regions.total()).max(STANDING_PART * b.area)..STANDING_SHARE * b.area).contains(&a.area) {
        return false;
    }
    if a.class.is_some() {
        return b.class.is_none() || a.class == Some(PERSON);
    }
    let touching = || regions.touching(&a.set, &without(&b.set, &a.set));
    b.class.is_none() && (a.large >= 2 && touching() > STANDING_EDGE || plate && touching() > ENCLOSED)
}

/// Whether a thing is a large even surface: what lies on a card or a panel is no part of it.
fn is_plate(whole: &Whole, regions: &Regions) -> bool {
    let largest = (0..regions.count()).filter(|&k| whole.set[k]).map(|k| regions.areas[k]).fold(0.0, f32::max);
    whole.area > PLATE_AREA * regions.total() && largest > PLATE_SHARE * whole.area
}

/// Disjoint sets: the worthiest ones, with what is a part of them, without what stands on them.
fn chosen(mut wholes: Vec<Whole>, regions: &Regions) -> Vec<Whole> {
    let round = |worth: f32| (worth * 50.0).round() as i32;
    // Stable: of equals, the first.
    wholes.sort_by(|a, b| round(b.worth).cmp(&round(a.worth)).then(b.area.total_cmp(&a.area)));
    let mut kept: Vec<Whole> = Vec::new();
    for whole in wholes {
        if let Some(fitting) = fitted(whole, &mut kept, regions) {
            kept.push(fitting);
        }
    }
    join_fragments(&mut kept, regions);
    kept
}

/// What is new of a set beside those that are kept; takes its parts from them.
fn fitted(mut whole: Whole, kept: &mut Vec<Whole>, regions: &Regions) -> Option<Whole> {
    let mut inside: Vec<usize> = Vec::new();
    let mut holder: Option<usize> = None;
    for (k, other) in kept.iter().enumerate() {
        let shared = common(&whole, other, regions);
        if shared == 0.0 {
            continue;
        }
        if shared > SAME * whole.area && shared > SAME * other.area {
            return None;
        }
        if shared > WITHIN * other.area {
            if other.is_shape {
                return None;
            }
            inside.push(k);
        } else if shared > WITHIN * whole.area {
            if holder.is_none_or(|h| other.area < kept[h].area) {
                holder = Some(k);
            }
        } else {
            return None;
        }
    }
    let (on, parts): (Vec<usize>, Vec<usize>) = inside.into_iter().partition(|&k| stands_on(&kept[k], &whole, regions));
    let taken: f32 = on.iter().map(|&k| kept[k].area).sum();
    let own = whole.area - taken;
    let known = whole.class.is_some();
    if own < KEPT_SHARE * whole.area || !known && parts.iter().any(|&k| kept[k].area > PART_SHARE * own) {
        return None;
    }
    let strong: Vec<f32> = parts
        .iter()
        .filter(|&&k| kept[k].large >= 2 && kept[k].worth >= STRONG_WORTH)
        .map(|&k| kept[k].worth)
        .collect();
    let mean = strong.iter().sum::<f32>() / strong.len().max(1) as f32;
    if strong.len() >= 2 && whole.votes <= 1 && whole.worth < mean - WORSE && !known {
        return None;
    }
    if let Some(h) = holder {
        if !stands_on(&whole, &kept[h], regions) {
            return None;
        }
        kept[h].set = without(&kept[h].set, &whole.set);
        kept[h].area = regions.area(&kept[h].set);
    }
    for &k in &on {
        whole.set = without(&whole.set, &kept[k].set);
    }
    whole.area = regions.area(&whole.set);
    for &k in &parts {
        whole.class = whole.class.or(kept[k].class);
    }
    let mut k = 0;
    kept.retain(|_| {
        k += 1;
        !parts.contains(&(k - 1))
    });
    Some(whole)
}

/// Gives small regions to the thing around them, and joins the pieces of a small figure for which no mask was found.
fn join_fragments(kept: &mut Vec<Whole>, regions: &Regions) {
    let mut owner: Vec<Option<usize>> = vec![None; regions.count()];
    for (number, whole) in kept.iter().enumerate() {
        (0..regions.count()).filter(|&k| whole.set[k]).for_each(|k| owner[k] = Some(number));
    }
    let crumb = CRUMB_SHARE * regions.total();
    for _ in 0..3 {
        for k in 0..regions.count() {
            if owner[k].is_some() || regions.ground[k] || regions.areas[k] > crumb {
                continue;
            }
            let mut along = vec![0.0f32; kept.len()];
            let mut all = 0.0;
            for &(next, length) in regions.beside(k) {
                all += length;
                if let Some(number) = owner[next as usize] {
                    along[number] += length;
                }
            }
            let best = (0..kept.len()).fold(0, |best, n| if along[n] > along[best] { n } else { best });
            if !kept.is_empty() && along[best] > CRUMB_EDGE * all {
                owner[k] = Some(best);
            }
        }
    }
    let scenery: Vec<bool> = kept.iter().map(|whole| whole.is_shape).collect();
    let free: Vec<bool> = (0..regions.count())
        .map(|k| {
            !regions.ground[k]
                && !regions.shape[k]
                && (owner[k].is_some() || !regions.hole[k])
                && owner[k].is_none_or(|number| !scenery[number])
        })
        .collect();
    let strong: Vec<bool> =
        kept.iter().map(|whole| whole.class.is_some() || whole.large >= 3 && whole.worth >= STRONG_WORTH).collect();
    let weak: Vec<bool> =
        (0..regions.count()).map(|k| free[k] && owner[k].is_none_or(|number| !strong[number])).collect();
    for part in regions.parts(&weak) {
        let area = regions.area(&part);
        let mut pieces = vec![0.0f32; kept.len()];
        for k in (0..regions.count()).filter(|&k| part[k]) {
            if let Some(number) = owner[k] {
                pieces[number] += regions.areas[k];
            }
        }
        let numbers: Vec<usize> = (0..kept.len()).filter(|&n| pieces[n] > 0.0).collect();
        let Some(&first) = numbers.first() else { continue };
        let simple = numbers.iter().all(|&n| kept[n].large <= 1);
        let home = (0..kept.len()).find(|&n| {
            simple
                && strong[n]
                && area < CRUMBS_OF_STRONG * kept[n].area
                && regions.touching(&part, &kept[n].set) > CRUMBS_EDGE
        });
        let plate = numbers.iter().any(|&n| kept[n].large == 1 && pieces[n] > FRAGMENT_SHARE * area);
        let together = numbers.len() > 1 && area < FRAGMENTS_SHARE * regions.total() && !plate;
        if let Some(home) = home.or(together.then_some(first)) {
            (0..regions.count()).filter(|&k| part[k]).for_each(|k| owner[k] = Some(home));
        }
    }
    for (number, whole) in kept.iter_mut().enumerate() {
        whole.set = owner.iter().map(|owner| *owner == Some(number)).collect();
        whole.area = regions.area(&whole.set);
    }
    kept.retain(|whole| whole.area > 0.0);
}

fn things(wholes: Vec<Whole>, regions: &Regions, evidence: &Gray) -> Vec<Thing> {
    let mut things: Vec<Thing> = wholes
        .into_iter()
        .map(|whole| {
            let mask = regions.mask(&whole.set);
            Thing { evidence: super::mean_under(evidence, &mask), mask, class: whole.class, whole: true }
        })
        .collect();
    // Stable: of equals, the one that was found first.
    things.sort_by(|a, b| b.importance().total_cmp(&a.importance()));
    things
}

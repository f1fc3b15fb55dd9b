//! Where the segmenter is asked what the regions of drawn art belong to.

use super::wholes::{LEAST_SHARE, MOST_SHARE};
use crate::regions::Regions;
use crate::segmenter::Prompt;

/// Most regions that are asked about, their least share of the picture, and from which their box is asked about as well.
const MOST_ASKED: usize = 24;
const ASKED_SHARE: f32 = 0.003;
const BOX_SHARE: f32 = 0.003;
/// Most sets of touching regions that are asked about.
const MOST_FIGURES: usize = 6;

/// What is asked, each with the prompts for it; `size` is the embedded picture's: each large region, largest first, then
/// each set of pieces that touch each other.
pub(super) fn questions(regions: &Regions, size: (usize, usize)) -> Vec<Vec<Prompt>> {
    let each = asked(regions).into_iter().map(|k| prompts(k, regions, size));
    each.chain(figures(regions).iter().map(|set| vec![around(set, regions, size)])).collect()
}

/// Regions that may be things by themselves and are large enough to be asked about.
pub(super) fn large_pieces(regions: &Regions) -> impl Iterator<Item = usize> + '_ {
    let least = ASKED_SHARE * regions.total();
    (0..regions.count()).filter(move |&k| is_piece(k, regions) && regions.areas[k] > least)
}

/// Whether a region may be a thing or a piece of one by itself.
fn is_piece(k: usize, regions: &Regions) -> bool {
    regions.drawn[k] && !regions.ground[k] && !regions.hole[k]
}

/// The regions to ask about, largest first.
fn asked(regions: &Regions) -> Vec<usize> {
    let mut order: Vec<usize> = large_pieces(regions).collect();
    // Stable: of equals, the first.
    order.sort_by(|&a, &b| regions.areas[b].total_cmp(&regions.areas[a]));
    order.truncate(MOST_ASKED);
    order
}

/// Sets of pieces that touch each other, which may be figures on a photograph, largest first.
fn figures(regions: &Regions) -> Vec<Vec<bool>> {
    let pieces: Vec<bool> = (0..regions.count()).map(|k| is_piece(k, regions)).collect();
    let (least, most) = (LEAST_SHARE * regions.total(), MOST_SHARE * regions.total());
    let several = |set: &[bool]| (0..regions.count()).filter(|&k| set[k] && regions.is_large(k)).count() > 1;
    let mut sets = regions.parts(&pieces);
    sets.retain(|set| (least..most).contains(&regions.area(set)) && several(set));
    sets.truncate(MOST_FIGURES);
    sets
}

/// The middle of a region, and the box around it.
fn prompts(k: usize, regions: &Regions, size: (usize, usize)) -> Vec<Prompt> {
    let scale = scale(regions, size);
    let (x, y) = regions.middle(k);
    let point = ((x as f32 + 0.5) * scale[0], (y as f32 + 0.5) * scale[1], true);
    let mut prompts = vec![Prompt { points: vec![point], boxes: Vec::new() }];
    if regions.areas[k] > BOX_SHARE * regions.total() {
        let set: Vec<bool> = (0..regions.count()).map(|other| other == k).collect();
        prompts.push(around(&set, regions, size));
    }
    prompts
}

/// The box around a set of regions.
fn around(set: &[bool], regions: &Regions, size: (usize, usize)) -> Prompt {
    let scale = scale(regions, size);
    let boxes = regions.mask(set).bounds().map(|bounds| {
        let [x0, y0, x1, y1] = [bounds.x0, bounds.y0, bounds.x1, bounds.y1].map(|v| v as f32);
        [x0 * scale[0], y0 * scale[1], x1 * scale[0], y1 * scale[1]]
    });
    Prompt { points: Vec::new(), boxes: boxes.into_iter().collect() }
}

/// Pixels of the embedded picture for one of the regions', across and down.
fn scale(regions: &Regions, size: (usize, usize)) -> [f32; 2] {
    [size.0 as f32 / regions.labels.width as f32, size.1 as f32 / regions.labels.height as f32]
}

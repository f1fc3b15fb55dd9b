use super::{Entry, Table, merge};

/// Never merge below this many layers: one layer against one is no decomposition.
const MIN_LAYERS: usize = 2;

/// The cheapest path through the pairs from the lowest to the topmost (dynamic
/// time warping with steps of one in either stack or both).
pub(super) fn warp(table: &mut Table, predicted: &[Entry], truth: &[Entry]) -> Vec<(usize, usize)> {
    let (rows, columns) = (predicted.len(), truth.len());
    let mut total = vec![vec![0.0; columns]; rows];
    for p in 0..rows {
        for g in 0..columns {
            let cost = table.score(&predicted[p], &truth[g]).cost();
            let before = steps_back(p, g).map(|(p, g)| total[p][g]).fold(f64::INFINITY, f64::min);
            total[p][g] = cost + if before.is_finite() { before } else { 0.0 };
        }
    }
    let mut at = (rows - 1, columns - 1);
    let mut path = vec![at];
    // Equal totals prefer the diagonal, which comes first.
    while let Some(before) = steps_back(at.0, at.1).min_by(|a, b| total[a.0][a.1].total_cmp(&total[b.0][b.1])) {
        at = before;
        path.push(at);
    }
    path.reverse();
    path
}

fn steps_back(p: usize, g: usize) -> impl Iterator<Item = (usize, usize)> {
    let both = (p > 0 && g > 0).then(|| (p - 1, g - 1));
    let predicted = (p > 0).then(|| (p - 1, g));
    let truth = (g > 0).then(|| (p, g - 1));
    [both, predicted, truth].into_iter().flatten()
}

/// A merge of the layers `at` and `at + 1`.
pub(super) struct Merge {
    pub at: usize,
    pub gain: f64,
    pub merged: Entry,
}

/// The merge in `layers` that brings them closest to their partners in
/// `others`, if one does. `pairs` are (layer, other). `truth` tells whether
/// `layers` are the ground truth, as the measures are not symmetric.
pub(super) fn best_merge(
    table: &mut Table,
    layers: &[Entry],
    others: &[Entry],
    pairs: &[(usize, usize)],
    truth: bool,
) -> Option<Merge> {
    if layers.len() <= MIN_LAYERS {
        return None;
    }
    let partners = |layer: usize| pairs.iter().filter(|pair| pair.0 == layer).map(|pair| pair.1).collect::<Vec<_>>();
    let mut best: Option<Merge> = None;
    for at in 0..layers.len() - 1 {
        let (lower, upper) = (partners(at), partners(at + 1));
        let merged = table.add(merge(&layers[at].pixels, &layers[at + 1].pixels));
        let mut similarity = |layer: &Entry, group: &[usize]| -> f64 {
            group.iter().map(|other| 1.0 - directed(table, layer, &others[*other], truth)).sum()
        };
        let now = similarity(&layers[at], &lower) + similarity(&layers[at + 1], &upper);
        let mut rest = similarity(&merged, &upper);
        if let Some(next) = layers.get(at + 2) {
            rest = rest.max(similarity(next, &lower)).max(similarity(next, &upper));
        }
        let gain = similarity(&merged, &lower) + rest - now;
        if gain > 0.0 && best.as_ref().is_none_or(|best| gain > best.gain) {
            best = Some(Merge { at, gain, merged });
        }
    }
    best
}

/// The cost of a pair with the ground truth in its place.
fn directed(table: &mut Table, layer: &Entry, other: &Entry, truth: bool) -> f64 {
    let score = if truth { table.score(other, layer) } else { table.score(layer, other) };
    score.cost()
}

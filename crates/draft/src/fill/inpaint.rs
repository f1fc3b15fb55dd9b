//! Inpainting: the ring around each hole decides between a membrane, a palette and patches.

use rayon::prelude::*;

use crate::colour::{max_difference, oklab, to_bytes, to_unit};
use crate::fill::membrane::{membrane, membrane_at};
use crate::fill::palette;
use crate::fill::patches;
use crate::fill::quadratic::{Quadratic, Sample};
use crate::monitor::{Monitor, Stopped};
use crate::morphology::{Components, components, dilate};
use crate::numeric::quantile;
use crate::plane::{Colour, Mask, Plane, Rect};

/// Oklab residual that counts as "the same smooth background".
const SMOOTH: f32 = 9.0 / 255.0;

/// Distance from a shape in pixels from which colours are not mixed with its own.
const BEYOND_EDGE: usize = 2;

/// Share of ring pixels without texture from which a membrane looks better than patches.
const CALM: f32 = 0.8;
/// Colour step (0 to 1) to the next pixel under which a pixel is calm.
const STEP: f32 = 3.5 / 255.0;

/// Width in pixels of the softest edge that a membrane would smear, its least difference (0 to 1), and the share of the
/// ring with such edges from which it does.
const EDGE_WIDTH: usize = 6;
const EDGE: f32 = 0.12;
const EDGES: f32 = 0.02;
/// The same for edges within the smooth background.
const STRIPES: f32 = 0.05;
/// Colour step (0 to 1) to the next pixel of drawn backgrounds, which have no grain, and the share of pixels that they
/// have with no larger one.
const EVEN_STEP: f32 = 1.5 / 255.0;
const DRAWN: f32 = 0.88;

/// An inpainted picture.
pub(crate) struct Inpainting {
    pub image: Colour,
    /// Holes in texture: filled smoothly so far, for [`complete`].
    pub rough: Mask,
    /// Holes in what is calm, but has no single gradient.
    pub calm: Mask,
    /// Holes whose surroundings are so smooth that any residue is a shadow or glow.
    pub very_smooth: Mask,
}

/// How one hole was filled.
struct Patch {
    rect: Rect,
    inside: Mask,
    image: Option<Colour>,
    rough: bool,
    calm: bool,
    very_smooth: bool,
}

/// A region to be inpainted.
pub(crate) struct Hole<'a> {
    pub mask: &'a Mask,
    /// What stands in the hole: beyond its edge the hole shows the background, perhaps in its shadow.
    pub shape: &'a Mask,
    /// Pieces that patches must not be taken from.
    pub excluded: Option<&'a Mask>,
}

/// Inpaints holes from their surroundings.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn inpaint(image: &Colour, region: &Hole, monitor: &Monitor) -> Result<Inpainting, Stopped> {
    let hole = region.mask;
    let mut very_smooth = hole.same_size(false);
    if !hole.any() {
        return Ok(Inpainting {
            image: image.clone(),
            rough: very_smooth.clone(),
            calm: very_smooth.clone(),
            very_smooth,
        });
    }
    let parts = components(&dilate(hole, 6));
    let patch = |label: usize| {
        monitor.check()?;
        Ok(fill_part(image, region, &parts, label))
    };
    let patches = (1..=parts.len()).into_par_iter().map(patch).collect::<Result<Vec<Patch>, Stopped>>()?;
    let mut smooth = hole.clone();
    for patch in patches.iter().filter(|patch| patch.image.is_some()) {
        smooth.paste(patch.rect, &patch.inside.map(|_| false), &patch.inside);
    }
    monitor.check()?;
    let mut out = membrane_at(image, &hole.not(), &smooth, 8);
    let (mut rough, mut calm) = (hole.same_size(false), hole.same_size(false));
    for patch in &patches {
        if let Some(filled) = &patch.image {
            out.paste(patch.rect, filled, &patch.inside);
        }
        let all = patch.inside.map(|_| true);
        if patch.rough {
            rough.paste(patch.rect, &all, &patch.inside);
        }
        if patch.calm {
            calm.paste(patch.rect, &all, &patch.inside);
        }
        if patch.very_smooth {
            very_smooth.paste(patch.rect, &all, &patch.inside);
        }
    }
    Ok(Inpainting { image: out, rough, calm, very_smooth })
}

/// Completes the holes in texture with patches from the picture: within `near`, the shape and its soft edge. What is
/// around it is seen, in the shade: `lit` shows it without. The less has to be invented the better, and the smooth
/// filling was enough to tell how deep the shade is.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn complete(
    inpainting: Inpainting,
    lit: &Colour,
    region: &Hole,
    near: &Mask,
    monitor: &Monitor,
) -> Result<Inpainting, Stopped> {
    let target = inpainting.rough.and(near);
    let Some(bounds) = target.bounds() else { return Ok(inpainting) };
    let Inpainting { mut image, rough, calm, very_smooth } = inpainting;
    let (width, height) = (near.width, near.height);
    let rect = bounds.padded(64.max(bounds.width().max(bounds.height()) / 2), width, height);
    let hole = target.crop(rect);
    image = image.with(lit, &rough.minus(near));
    // What was filled smoothly is no source, and what stands elsewhere neither.
    let mut forbidden = region.mask.minus(&rough).crop(rect);
    if let Some(excluded) = region.excluded {
        forbidden = forbidden.or(&excluded.crop(rect));
    }
    let filled = patches::fill(&image.crop(rect), &hole, &forbidden, monitor)?;
    image.paste(rect, &filled, &hole);
    Ok(Inpainting { image, rough, calm, very_smooth })
}

/// The ring around one hole, in the coordinates of its rectangle.
struct Ring {
    mask: Mask,
    samples: Vec<Sample>,
}

fn fill_part(image: &Colour, region: &Hole, parts: &Components, label: usize) -> Patch {
    let hole = region.mask;
    let tight = parts.boxes[label];
    let rect = tight.padded(30, hole.width, hole.height);
    let part = parts.labels.crop(rect).map(|l| l as usize == label);
    let holes = hole.crop(rect);
    let inside = holes.and(&part);
    let image = image.crop(rect);
    let width = (0.15 * tight.width().min(tight.height()) as f32).clamp(8.0, 24.0) as usize;
    let ring = ring(&image, &part, &holes, width);
    let mut patch = Patch { rect, inside, image: None, rough: false, calm: false, very_smooth: false };
    if ring.samples.len() < 30 {
        return patch;
    }
    let Some(model) = Quadratic::fit(&ring.samples, 6.0 / 255.0, 5) else { return patch };
    let inliers = model.inliers(&ring.samples, SMOOTH);
    let mut residuals: Vec<f32> = ring.samples.iter().map(|s| model.residual(s)).collect();
    patch.very_smooth = quantile(&mut residuals, 0.97) < 6.0 / 255.0;
    let near = || dilate(&part, width + 2).minus(&holes);
    let drawn = even_share(&image, &ring.mask) > DRAWN;
    if inliers > if drawn { 0.72 } else { 0.9 } && !striped(&image, &ring, &model) {
        if inliers < 0.995 {
            patch.image = Some(fill_without_outliers(&image, &ring, &model, &near()));
        }
        return patch;
    }
    match palette::find(&image, &ring.mask).filter(|_| drawn) {
        Some(colours) => {
            let around = patch.inside.minus(&dilate(&region.shape.crop(rect), BEYOND_EDGE));
            let palette_hole = palette::Hole { image: &image, hole: &patch.inside, known: &near(), around: &around };
            patch.image = Some(palette::fill(&palette_hole, &colours));
        }
        None => {
            patch.calm = calm_share(&image, &ring.mask, STEP) >= CALM && edge_share(&image, &ring.mask) < EDGES;
            patch.rough = !patch.calm;
        }
    }
    patch
}

/// Share of flat or drawn background.
fn even_share(image: &Colour, mask: &Mask) -> f32 {
    calm_share(image, mask, EVEN_STEP)
}

/// Share of the pixels under `mask` that hardly differ from the next ones: clouds
/// and skies are calm although no single gradient explains them.
fn calm_share(image: &Colour, mask: &Mask, step: f32) -> f32 {
    let calm = Plane::from_fn(image.width, image.height, |x, y| {
        x > 0 && y > 0 && mask.at(x, y) && {
            let here = image.at(x, y);
            max_difference(here, image.at(x - 1, y)).max(max_difference(here, image.at(x, y - 1))) < step
        }
    });
    calm.count() as f32 / mask.count().max(1) as f32
}

/// Share of the pixels under `mask` beside a strong edge, sharp or soft.
fn edge_share(image: &Colour, mask: &Mask) -> f32 {
    let edges = Plane::from_fn(image.width, image.height, |x, y| {
        mask.at(x, y) && x >= EDGE_WIDTH && y >= EDGE_WIDTH && {
            let here = image.at(x, y);
            let across = |u: usize, v: usize| mask.at(u, v) && max_difference(here, image.at(u, v)) > EDGE;
            across(x - EDGE_WIDTH, y) || across(x, y - EDGE_WIDTH)
        }
    });
    edges.count() as f32 / mask.count().max(1) as f32
}

/// Whether there are edges within what counts as the same smooth background: pale stripes, which a membrane would smear.
fn striped(image: &Colour, ring: &Ring, model: &Quadratic) -> bool {
    edge_share(image, &ring.mask) > STRIPES && {
        let fitting = Plane::from_fn(image.width, image.height, |x, y| {
            let sample = || Sample { x: x as f32, y: y as f32, colour: oklab(to_bytes(image.at(x, y))) };
            ring.mask.at(x, y) && model.residual(&sample()) < SMOOTH
        });
        edge_share(image, &fitting) > STRIPES
    }
}

fn ring(image: &Colour, part: &Mask, holes: &Mask, width: usize) -> Ring {
    let mask = dilate(part, width).minus(part).minus(&dilate(holes, 1));
    let count = mask.count();
    let step = (count / 6000).max(1);
    let places = (0..mask.data.len()).filter(|&i| mask.data[i]).step_by(step);
    let samples = places
        .map(|i| Sample {
            x: (i % mask.width) as f32,
            y: (i / mask.width) as f32,
            colour: oklab(to_bytes(image.data[i])),
        })
        .collect();
    Ring { mask, samples }
}

/// A membrane from the ring without what does not fit the smooth background, so that
/// neighbouring objects do not bleed into the hole.
fn fill_without_outliers(image: &Colour, ring: &Ring, model: &Quadratic, near: &Mask) -> Colour {
    let off = Plane::from_fn(image.width, image.height, |x, y| {
        let sample = || Sample { x: x as f32, y: y as f32, colour: oklab(to_bytes(image.at(x, y))) };
        ring.mask.at(x, y) && model.residual(&sample()) >= 12.0 / 255.0
    });
    membrane(image, &near.minus(&dilate(&off, 2)), 8)
}

/// Rounds to what 8 bits can hold, so that later steps work with the colour that is written.
pub(crate) fn rounded(image: &Colour) -> Colour {
    image.map(|c| to_unit(to_bytes(c)))
}

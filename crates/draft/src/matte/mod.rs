//! Extraction of a shape from the picture: its matte, and the inpainted background behind it.

mod opacity;
mod part;

use std::borrow::Cow;

use crate::colour::max_difference;
use crate::fading::{self, Fading, Groups};
use crate::fill::inpaint::{Hole, complete, inpaint};
use crate::fill::rim;
use crate::fill::typical::typical;
use crate::monitor::{Monitor, Stopped};
use crate::morphology::{NOWHERE, components, dilate, nearest};
use crate::plane::{Colour, Gray, Mask, Plane, Rect};
use part::{Part, unshaded};

/// How far shadows are followed, as a share of the picture's long side: the widest shadows of the tuning posters of
/// `synth` end before.
const SHADOW_REACH: f32 = 0.045;

/// Distance from the shape in pixels up to which an edge is the shape's own.
const OWN_EDGE: usize = 4;
/// Change of a channel (0 to 1) over two pixels that no shadow has.
const STRONG_EDGE: f32 = 0.25;

/// Step of a channel (0 to 1) at the edge of a plate, and its change over two pixels on either side of it.
const PLATE_STEP: f32 = 9.0 / 255.0;
const PLATE_FLAT: f32 = 4.0 / 255.0;
/// The same against the step: plates have shadows, too.
const PLATE_SIDES: f32 = 0.2;

/// Pixels that the edge of a plate has at least, hanging together: grain makes single steps that look like it.
const PLATE_LEAST: usize = 20;

/// The kind of shape that is extracted.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Letters.
    Letters {
        /// Area in pixels up to which a region inside a letter that looks like the background is background.
        counter: usize,
    },
    /// Things in a photograph or a painting: what is around them is not taken for their shadow.
    Figure {
        /// As of a piece.
        crumb: usize,
    },
    /// A subject, an object, or several of them.
    Piece {
        /// Area in pixels up to which a region at the edge of the piece that looks like the background is background.
        crumb: usize,
    },
}

/// How a shape is extracted.
#[derive(Clone, Copy)]
pub(crate) struct ExtractOptions<'a> {
    /// Width of the band at the edge whose opacity is solved, in pixels.
    pub band: usize,
    /// How far around the shape the background is inpainted, in pixels.
    pub grow: usize,
    /// Least width of the halo that belongs to the shape, in pixels.
    pub halo: usize,
    pub shape: Shape,
    /// Pieces that the background must not be inpainted from.
    pub excluded: Option<&'a Mask>,
    /// What of the shape is no gap in it, however little it differs from what is behind.
    pub sure: Option<&'a Mask>,
}

/// A shape taken out of the picture.
pub(crate) struct Extraction {
    /// The picture without the shape.
    pub below: Colour,
    /// Matte of the shape, 0 to 1.
    pub alpha: Gray,
}

/// Extracts `mask` from `image` (sRGB, 0 to 1, colours of 8 bits).
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn extract(
    image: &Colour,
    mask: &Mask,
    options: ExtractOptions,
    monitor: &Monitor,
) -> Result<Extraction, Stopped> {
    let groups = Groups::one(mask, farthest(mask, options.grow));
    extract_groups(image, mask, &groups, options, monitor)
}

/// How far the shadows of a shape are followed, in pixels, where the background is inpainted up to `grow`.
pub(crate) fn farthest(mask: &Mask, grow: usize) -> usize {
    ((SHADOW_REACH * mask.width.max(mask.height) as f32) as usize).max(grow + 4)
}

/// The same, with the shadow of each group measured by itself.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn extract_groups(
    image: &Colour,
    mask: &Mask,
    groups: &Groups,
    options: ExtractOptions,
    monitor: &Monitor,
) -> Result<Extraction, Stopped> {
    let places = nearest(mask);
    let shaded = !matches!(options.shape, Shape::Figure { .. });
    let plates = groups.reaches.len() > 1;
    let widths = if shaded {
        let near = within(&places, groups, &|group| groups.reaches[group]);
        fading::widths(image, &reached(image, mask, near, plates), &places, groups)
    } else {
        vec![Some(0); groups.reaches.len()]
    };
    let halos: Vec<usize> = widths.iter().map(|width| width.unwrap_or(options.grow).max(options.halo)).collect();
    monitor.check()?;
    let within = |limit: &dyn Fn(usize) -> usize| within(&places, groups, limit);
    // The hole includes a shadow that reaches further than usual.
    let around = within(&|group| options.grow.max(halos[group] + 3));
    let mut near = within(&|group| halos[group].clamp(options.halo, options.band + 1));
    let hole = reached(image, mask, around, plates);
    let region = Hole { mask: &hole, shape: mask, excluded: options.excluded };
    let mut inpainted = inpaint(image, &region, monitor)?;
    monitor.check()?;
    let fading = match shaded {
        true => {
            let rough = hole.and(&inpainted.rough);
            let usual = match rough.any() {
                true => Cow::Owned(typical(&inpainted.image, &hole.not(), &rough)),
                false => Cow::Borrowed(&inpainted.image),
            };
            let texture = hole.minus(&inpainted.very_smooth);
            let around = fading::Hole { mask: &hole, texture: &texture, shape: mask, places: &places };
            Fading::measure(image, &usual, &around, groups, &widths)
        }
        false => Fading::none(mask),
    };
    drop(places);
    monitor.check()?;
    let uneven = inpainted.rough.or(&inpainted.calm);
    if uneven.any() {
        let clinging = rim::grown(image, &inpainted.image, mask, &near, &hole, &fading.share);
        near = near.or(&clinging.and(&uneven));
    }
    if inpainted.rough.any() {
        let typical = fading.share.zip(&inpainted.rough.minus(&near), |share, beside| if beside { share } else { 0.0 });
        let lit = Plane::from_fn(image.width, image.height, |x, y| {
            unshaded(image.at(x, y), typical.at(x, y), fading.shade_at(x, y))
        });
        inpainted = complete(inpainted, &lit, &region, &near, monitor)?;
    }
    let mut extraction = Extraction { below: image.clone(), alpha: mask.same_size(0.0) };
    let widest = halos.iter().copied().max().unwrap_or(0) + 3;
    // Most of a poster is far from the shape: only the rows around the shape are processed.
    for rect in bands(&hole, options.grow.max(widest) + 8) {
        monitor.check()?;
        let part = Part {
            image: image.part(rect),
            mask: mask.part(rect),
            sure: options.sure.map(|sure| sure.part(rect)),
            near: near.part(rect),
            hole: hole.part(rect),
            filled: inpainted.image.part(rect),
            very_smooth: inpainted.very_smooth.part(rect),
            shaded: fading.share.part(rect),
            shade: fading.shade.part(rect),
            shades: &fading.shades,
        };
        let found = part.extract(options, monitor)?;
        extraction.below.put(rect, &found.below);
        extraction.alpha.put(rect, &found.alpha);
    }
    Ok(extraction)
}

/// The shape and what is around it, as far as `limit` says for the group that is nearest.
fn within(places: &Plane<u32>, groups: &Groups, limit: &dyn Fn(usize) -> usize) -> Mask {
    let limits: Vec<f32> = (0..groups.reaches.len()).map(|group| (limit(group) as f32 + 0.3).powi(2)).collect();
    let width = places.width;
    Plane::from_fn(width, places.height, |x, y| {
        let place = places.at(x, y);
        place != NOWHERE && {
            let (u, v) = (place as usize % width, place as usize / width);
            let square = (u.abs_diff(x).pow(2) + v.abs_diff(y).pow(2)) as f32;
            square <= limits[usize::from(groups.of.data[place as usize])]
        }
    })
}

/// The surroundings of a shape, but not beyond a strong edge: shadows and glows fade, so another thing begins there. With
/// `plates`, not beyond the edge of a flat plate either, however faint.
fn reached(image: &Colour, mask: &Mask, around: Mask, plates: bool) -> Mask {
    let own = dilate(mask, OWN_EDGE);
    let (width, height) = (mask.width, mask.height);
    let beyond = around.minus(&own);
    let strong = Plane::from_fn(width, height, |x, y| {
        beyond.at(x, y) && {
            let (left, right) = (image.at(x.saturating_sub(1), y), image.at((x + 1).min(width - 1), y));
            let (up, down) = (image.at(x, y.saturating_sub(1)), image.at(x, (y + 1).min(height - 1)));
            max_difference(left, right).max(max_difference(up, down)) > STRONG_EDGE
        }
    });
    let edges = if plates {
        let steps = Plane::from_fn(width, height, |x, y| {
            beyond.at(x, y) && (plate_edge(image, x, y, 1, 0) || plate_edge(image, x, y, 0, 1))
        });
        // Holes punched into the surroundings by grain would hide the shadow there.
        let parts = components(&steps);
        let long: Vec<bool> = parts.count_in(&steps).iter().map(|&count| count >= PLATE_LEAST).collect();
        strong.or(&parts.select(&long))
    } else {
        strong
    };
    if !edges.any() {
        return around;
    }
    let open = around.minus(&dilate(&edges, 1).minus(&own));
    let parts = components(&open);
    let touching: Vec<bool> = parts.count_in(&own).iter().map(|&count| count > 0).collect();
    parts.select(&touching)
}

/// Whether the colour steps here, across or down, and is flat on both sides of the step.
fn plate_edge(image: &Colour, x: usize, y: usize, dx: usize, dy: usize) -> bool {
    if x < 3 * dx || y < 3 * dy || x + 3 * dx >= image.width || y + 3 * dy >= image.height {
        return false;
    }
    let at = |k: usize| image.at(x + k * dx - 3 * dx, y + k * dy - 3 * dy);
    let step = max_difference(at(2), at(4));
    let sides = max_difference(at(0), at(2)).max(max_difference(at(4), at(6)));
    step > PLATE_STEP && sides < PLATE_FLAT.max(PLATE_SIDES * step)
}

/// Rectangles around the rows that a mask is in; rows less than `gap` excluded go together.
fn bands(mask: &Mask, gap: usize) -> Vec<Rect> {
    let mut found: Vec<Rect> = Vec::new();
    for y in 0..mask.height {
        let row = mask.row(y);
        let Some(x0) = row.iter().position(|&set| set) else { continue };
        let x1 = row.iter().rposition(|&set| set).map_or(x0, |x| x) + 1;
        let here = Rect { x0, y0: y, x1, y1: y + 1 };
        match found.last_mut() {
            Some(last) if y < last.y1 + gap => *last = last.union(&here),
            _ => found.push(here),
        }
    }
    // Blurs and gradients look a little beyond.
    found.into_iter().map(|rect| rect.padded(gap / 2, mask.width, mask.height)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colour::unit_plane;
    use crate::monitor::monitor;

    fn extracted(image: &Colour, mask: &Mask, shape: Shape) -> Extraction {
        let (monitor, _reporter) = monitor();
        extract(image, mask, ExtractOptions { band: 2, grow: 6, halo: 2, shape, excluded: None, sure: None }, &monitor)
            .expect("nobody stops it")
    }

    /// Two bars with a gap of four pixels, which is darker than the background.
    fn bars() -> (Colour, Mask) {
        let bar = |x: usize, y: usize| (30..90).contains(&y) && ((40..60).contains(&x) || (64..84).contains(&x));
        let gap = |x: usize, y: usize| (30..90).contains(&y) && (60..64).contains(&x);
        let picture = Plane::from_fn(120, 120, |x, y| match (bar(x, y), gap(x, y)) {
            (true, _) => [255, 255, 255],
            (_, true) => [15, 105, 190],
            _ => [10, 125, 230],
        });
        (unit_plane(&picture), Plane::from_fn(120, 120, |x, y| bar(x, y) || gap(x, y)))
    }

    #[test]
    fn a_gap_that_the_mask_has_closed_is_not_part_of_the_letter() {
        let (image, mask) = bars();
        let letters = extracted(&image, &mask, Shape::Letters { counter: 0 });
        assert!((45..75).all(|y| letters.alpha.at(50, y) == 1.0 && letters.alpha.at(74, y) == 1.0));
        assert!((45..75).all(|y| letters.alpha.at(62, y) < 0.3), "{}", letters.alpha.at(62, 60));
    }

    #[test]
    fn what_looks_like_the_background_goes_from_the_edge_of_a_piece_and_stays_within_it() {
        let disk = |x: usize, y: usize, cx: usize, r: usize| x.abs_diff(cx).pow(2) + y.abs_diff(60).pow(2) < r * r;
        let background = [250, 220, 40];
        let picture =
            Plane::from_fn(
                200,
                120,
                |x, y| {
                    if disk(x, y, 80, 40) && !disk(x, y, 80, 8) { [10, 10, 10] } else { background }
                },
            );
        let mask = Plane::from_fn(200, 120, |x, y| disk(x, y, 80, 40) || disk(x, y, 124, 6));
        let piece = extracted(&unit_plane(&picture), &mask, Shape::Piece { crumb: 300 });
        assert_eq!((piece.alpha.at(80, 40), piece.alpha.at(80, 60)), (1.0, 1.0));
        assert_eq!(piece.alpha.at(126, 60), 0.0);
    }

    /// On yellow, compression can take the last of the blue away, which only an opaque dot can give back.
    #[test]
    fn a_pixel_that_only_an_opaque_dot_would_give_is_background() {
        let bar = |x: usize, y: usize| (40..60).contains(&x) && (20..100).contains(&y);
        let picture = Plane::from_fn(120, 120, |x, y| match (bar(x, y), (x, y) == (61, 60)) {
            (true, _) => [5, 5, 5],
            (_, true) => [255, 224, 0],
            _ => [255, 222, 40],
        });
        let letters = extracted(&unit_plane(&picture), &Plane::from_fn(120, 120, bar), Shape::Letters { counter: 0 });
        assert_eq!((letters.alpha.at(61, 60), letters.alpha.at(50, 60)), (0.0, 1.0));
        assert_eq!(letters.below.at(61, 60), [1.0, 224.0 / 255.0, 0.0]);
    }
}

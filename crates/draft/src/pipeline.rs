//! The stages: perceive, extract the text, find the background, extract the foreground on it.
//!
//! Limits without another source were chosen on the tuning posters of `synth` (`cargo xtask bench draft --tuning`)
//! and checked on the final ones.

use std::ops::Range;

use layers::Kind;

use crate::background::{self, Background};
use crate::colour::{bytes_plane, unit_plane};
use crate::decompose::SceneText;
use crate::drawn;
use crate::fading::Groups;
use crate::filter::resize_gray;
use crate::layer::{DraftLayer, TextLine};
use crate::layer_count::DraftStack;
use crate::matte::{ExtractOptions, Extraction, Shape, extract, extract_groups, farthest};
use crate::monitor::{Monitor, Stage, Stopped};
use crate::morphology::{NOWHERE, clean, close, components, dilate, erode, nearest};
use crate::naming;
use crate::note::Note;
use crate::perceive::{Perception, perceive, saliency};
use crate::plane::{Colour, Gray, Mask, Plane, Rgb8};
use crate::refine::refine;
use crate::subject;

/// How far a line's shadow is followed, in heights of the line.
const SHADOW_HEIGHTS: f32 = 0.7;

/// Share of the picture below which a component is a speck.
const SPECK_SHARE: f32 = 0.0012;

/// Peak of the saliency map, before it is stretched, from which the network has found something at all.
const SALIENT_PEAK: f32 = 0.5;

/// Area of a hole, relative to the component around it, up to which it belongs to that component.
const SMALL_HOLE_SHARE: f32 = 0.04;

/// A background is flat if it covers more than this share of the picture,
const FLAT_AREA: f32 = 0.2;
/// more than this share of the picture's border,
const FLAT_BORDER: f32 = 0.12;
/// and more than this share of its inner pixels has no gradient ([`Background::flatness`]): gradients and
/// photographs stay below it, JPEG noise on flat colour above.
const FLATNESS: f32 = 0.93;

/// Share of the picture from which a smooth background that is not flat can have a foreground.
const SMOOTH_AREA: f32 = 0.15;

/// Share of the picture that the foreground on a flat background may have: below it there is none, above it the
/// background was not found.
const STANDING_SHARE: Range<f32> = 0.0005..0.85;
/// The same for the salient figure of a scene,
const FIGURE_SHARE: Range<f32> = 0.004..0.8;
/// and for the other objects in it.
const SCENERY_SHARE: Range<f32> = 0.004..0.85;

/// Least and largest saliency from which a segment counts as subject where the map is ambiguous.
const OUTLINE_LIMITS: (f32, f32) = (0.18, 0.45);

/// The layers that the picture suggests, before their number is fitted to the request.
pub(crate) struct Decomposition {
    pub stack: DraftStack,
    pub notes: Vec<Note>,
}

/// Work in progress: the layers extracted so far, and the rest of the picture.
struct Work<'a> {
    monitor: &'a Monitor,
    /// The picture without the layers extracted so far.
    rest: Rgb8,
    /// Highest first.
    extracted: Vec<DraftLayer>,
    speck: usize,
}

/// Decomposes an opaque picture.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn run(picture: Rgb8, scene_text: SceneText, monitor: &Monitor) -> Result<Decomposition, Stopped> {
    let speck = (SPECK_SHARE * picture.data.len() as f32) as usize + 1;
    // The networks do not keep all threads busy, so drawn pieces are searched for meanwhile.
    let (perception, drawn) = std::thread::scope(|scope| {
        let drawn = scope.spawn(|| {
            #[cfg(feature = "networks")]
            crate::networks::prepare();
            drawn::find(&picture, speck)
        });
        let perception = perceive(&picture, scene_text, monitor);
        (perception, drawn.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let perception = perception?;
    let mut work = Work { monitor, rest: picture, extracted: Vec::new(), speck };
    monitor.step(Stage::Text, 2, 3, 0.45)?;
    work.extract_text(&perception, drawn.as_ref())?;
    monitor.step(Stage::Background, 0, 1, 0.6)?;
    let saliency = work.saliency_without_text(perception.saliency)?;
    // The outline is only needed on a background that is not flat; it is computed while the background is searched for.
    let (background, (drawn, outline)) = rayon::join(
        || background::find(&work.rest, monitor),
        || {
            let drawn = drawn::find(&work.rest, speck).map(|pieces| work.tidied(&pieces));
            let outline = saliency.as_ref().map(|(map, _)| subject::outline(&work.rest, map, OUTLINE_LIMITS, monitor));
            (drawn, outline.transpose())
        },
    );
    let (background, outline) = (background?, outline?);
    let flat = background.area > FLAT_AREA && background.border > FLAT_BORDER && background.flatness > FLATNESS;
    // On a flat background the figure is rarely needed.
    let early = outline.as_ref().filter(|_| drawn.is_none() && !flat);
    let (standing, figure) =
        rayon::join(|| work.standing_on(&background), || early.map(|outline| work.figure_in(outline)));
    monitor.step(Stage::Objects, 0, 2, 0.68)?;
    let clear = STANDING_SHARE.contains(&standing.share());
    if let Some(drawn) = drawn {
        work.extract_from_flat(&drawn, saliency.as_ref())?;
    } else if flat && clear {
        work.extract_from_flat(&standing, saliency.as_ref())?;
    } else if let Some(outline) = &outline {
        let figure = figure.unwrap_or_else(|| work.figure_in(outline));
        work.extract_from_scene(&figure, &standing, background.area)?;
    } else if background.area > SMOOTH_AREA && clear {
        work.extract_from_flat(&standing, None)?;
    }
    let mut layers = work.extracted;
    layers.reverse();
    Ok(Decomposition { stack: DraftStack { background: work.rest, layers }, notes: perception.notes })
}

fn opacity(alpha: &Gray) -> Plane<u8> {
    alpha.map(|a| (a * 255.0 - 1e-3).ceil().clamp(0.0, 255.0) as u8)
}

impl Work<'_> {
    /// Extracts a mask from the rest; `None` for an empty mask.
    fn extract(&mut self, mask: &Mask, how: ExtractOptions) -> Result<Option<(Colour, Extraction)>, Stopped> {
        if !mask.any() {
            return Ok(None);
        }
        let image = unit_plane(&self.rest);
        let extracted = extract(&image, mask, how, self.monitor)?;
        Ok(Some((image, extracted)))
    }

    /// Adds an extracted layer and continues with the inpainted picture behind it.
    fn push(&mut self, kind: Kind, name: &str, alpha: Plane<u8>, below: Rgb8) {
        let above = std::mem::replace(&mut self.rest, below);
        self.extracted.push(DraftLayer { above, alpha, kind, name: name.to_owned(), text: None, lines: Vec::new() });
    }

    /// Extracts the text; `drawn` are the drawn pieces of the whole picture.
    fn extract_text(&mut self, perception: &Perception, drawn: Option<&Mask>) -> Result<(), Stopped> {
        let long = self.rest.width.max(self.rest.height) as f32;
        let grow = ((0.0085 * long).round() as usize).max(5);
        // The background of letters beside a drawn figure must not be inpainted from that figure.
        let excluded = drawn.map(|pieces| whole_pieces_beside(pieces, &perception.text));
        let how = ExtractOptions {
            band: 2,
            grow,
            halo: 2,
            shape: Shape::Letters { counter: self.speck / 4 },
            excluded: excluded.as_ref(),
        };
        if !perception.text.any() {
            return Ok(());
        }
        let groups = by_line(&perception.text, &perception.lines, farthest(&perception.text, grow), grow);
        let extracted = extract_groups(&unit_plane(&self.rest), &perception.text, &groups, how, self.monitor)?;
        self.push(Kind::Text, "Text", opacity(&extracted.alpha), bytes_plane(&extracted.below));
        let lines = perception.lines.clone();
        if let Some(layer) = self.extracted.last_mut() {
            if !lines.is_empty() {
                layer.name = naming::text_name(&lines, layer.alpha.height);
                layer.text = naming::joined_text(&lines);
            }
            layer.lines = lines;
        }
        Ok(())
    }

    /// The saliency of the rest; computed again if the text may have been the salient part.
    fn saliency_without_text(&self, perception: Option<(Gray, f32)>) -> Result<Option<(Gray, f32)>, Stopped> {
        match perception {
            Some((_, sure)) if sure < SALIENT_PEAK && !self.extracted.is_empty() => saliency(&self.rest, self.monitor),
            perception => Ok(perception),
        }
    }

    /// The foreground on a background, at full size.
    fn standing_on(&self, background: &Background) -> Mask {
        self.tidied(&refine(&self.rest, &background.mask.not()))
    }

    /// Removes specks and pinholes.
    fn tidied(&self, mask: &Mask) -> Mask {
        fill_small_holes(&clean(mask, self.speck / 8 + 1, self.speck / 25 + 1))
    }

    /// Flat background: the whole foreground is extracted at once, and each component becomes subject or object.
    fn extract_from_flat(&mut self, standing: &Mask, saliency: Option<&(Gray, f32)>) -> Result<(), Stopped> {
        let Some((_, extracted)) = self.extract(
            standing,
            ExtractOptions { band: 3, grow: 8, halo: 2, shape: Shape::Piece { crumb: self.speck / 4 }, excluded: None },
        )?
        else {
            return Ok(());
        };
        let alpha = opacity(&extracted.alpha);
        let below = bytes_plane(&extracted.below);
        let Some(subject) = choose_subject(standing, saliency, self.speck) else {
            if salient_overall(standing, saliency) {
                self.push(Kind::Subject, "Subject", alpha, below);
            } else {
                self.push(Kind::Object, naming::OBJECTS, alpha, below);
            }
            return Ok(());
        };
        // Each pixel belongs to the nearest component.
        let places = nearest(standing);
        let upper = places.map(|place| place != NOWHERE && subject.data[place as usize]);
        let middle = self.rest.zip(&below, |r, b| (r, b)).zip(&upper, |(r, b), up| if up { b } else { r });
        self.push(Kind::Subject, "Subject", alpha.zip(&upper, |a, up| if up { a } else { 0 }), middle);
        self.push(Kind::Object, naming::OBJECTS, alpha.zip(&upper, |a, up| if up { 0 } else { a }), below);
        Ok(())
    }

    /// The salient figure at full size.
    fn figure_in(&self, outline: &Mask) -> Mask {
        clean(&refine(&self.rest, outline), self.speck, (0.4 * self.speck as f32) as usize)
    }

    /// A picture without flat background: the salient figure first, then other objects on the smooth background around
    /// it. `background` is the share of the picture that is smooth background.
    fn extract_from_scene(&mut self, figure: &Mask, standing: &Mask, background: f32) -> Result<(), Stopped> {
        let figure = with_attached(figure, standing, self.speck);
        self.monitor.step(Stage::Objects, 1, 2, 0.72)?;
        if FIGURE_SHARE.contains(&figure.share())
            && let Some((_, extracted)) = self.extract(
                &figure,
                ExtractOptions {
                    band: 3,
                    grow: 7,
                    halo: 3,
                    shape: Shape::Piece { crumb: self.speck / 4 },
                    excluded: None,
                },
            )?
        {
            self.push(Kind::Subject, "Subject", opacity(&extracted.alpha), bytes_plane(&extracted.below));
        }
        self.monitor.step(Stage::Objects, 2, 2, 0.8)?;
        // Seams of the inpainting behind the subject are not scenery, and neither are hairlines.
        let filled = dilate(&figure, 7);
        let open = dilate(&erode(&standing.minus(&filled), 2), 3).and(standing);
        let scenery = clean(&open, self.speck * 3 / 2, self.speck / 2);
        if background > SMOOTH_AREA * (1.0 - figure.share())
            && SCENERY_SHARE.contains(&scenery.share())
            && let Some((_, extracted)) = self.extract(
                &scenery,
                ExtractOptions {
                    band: 3,
                    grow: 7,
                    halo: 2,
                    shape: Shape::Piece { crumb: self.speck / 4 },
                    excluded: None,
                },
            )?
        {
            self.push(Kind::Object, naming::OBJECTS, opacity(&extracted.alpha), bytes_plane(&extracted.below));
        }
        Ok(())
    }
}

/// Fills holes that are small against the component around them: background seen through a glass or between fingers
/// belongs to the figure, the inside of a ring does not.
fn fill_small_holes(mask: &Mask) -> Mask {
    let pieces = components(mask);
    let holes = components(&mask.not());
    let mut owner = vec![0usize; holes.areas.len()];
    for y in 0..mask.height {
        for x in 1..mask.width {
            let (hole, piece) = (holes.labels.at(x, y) as usize, pieces.labels.at(x - 1, y) as usize);
            if hole != 0 && piece != 0 {
                owner[hole] = owner[hole].max(pieces.areas[piece]);
            }
        }
    }
    let inside = |k: usize| {
        let rect = holes.boxes[k];
        k != 0 && rect.x0 > 0 && rect.y0 > 0 && rect.x1 < mask.width && rect.y1 < mask.height
    };
    let small: Vec<bool> = (0..holes.areas.len())
        .map(|k| inside(k) && (holes.areas[k] as f32) < SMALL_HOLE_SHARE * owner[k] as f32)
        .collect();
    mask.or(&holes.select(&small))
}

/// The lines of a text as groups whose shadows are measured by themselves: a pixel belongs to the smallest box that it
/// is in. Shadows are followed about `reach` pixels, further around large letters than around small ones, but
/// at least `grow` pixels.
fn by_line(text: &Mask, lines: &[TextLine], reach: usize, grow: usize) -> Groups {
    let mut of = text.same_size(0u16);
    let mut reaches = vec![reach];
    let mut order: Vec<&TextLine> = lines.iter().take(usize::from(u16::MAX) - 1).collect();
    order.sort_by_key(|line| std::cmp::Reverse(line.rect.width() * line.rect.height()));
    for line in order {
        let number = reaches.len() as u16;
        reaches.push(((SHADOW_HEIGHTS * line.size) as usize + 8).clamp(grow + 4, 5 * reach / 3));
        for y in line.rect.y0..line.rect.y1.min(text.height) {
            of.data[y * text.width..][line.rect.x0..line.rect.x1.min(text.width)].fill(number);
        }
    }
    Groups { of, reaches }
}

/// The pieces that hardly touch `text`.
fn whole_pieces_beside(pieces: &Mask, text: &Mask) -> Mask {
    let parts = components(pieces);
    let in_text = parts.count_in(text);
    let keep: Vec<bool> = (0..parts.areas.len()).map(|k| in_text[k] * 20 < parts.areas[k]).collect();
    parts.select(&keep)
}

/// The figure with the small pieces attached to it: foreground that touches the figure along a good part of its own
/// edge.
fn with_attached(figure: &Mask, standing: &Mask, speck: usize) -> Mask {
    let beside = dilate(&erode(&standing.minus(figure), 2), 2).and(standing).minus(figure);
    let parts = components(&beside);
    let edge = beside.minus(&erode(&beside, 1));
    let (edges, touching) = (parts.count_in(&edge), parts.count_in(&edge.and(&dilate(figure, 5))));
    let most = figure.count() / 8;
    let keep: Vec<bool> = (0..parts.areas.len())
        .map(|k| (speck..most).contains(&parts.areas[k]) && touching[k] as f32 > 0.22 * edges[k] as f32)
        .collect();
    close(&figure.or(&parts.select(&keep)), 3)
}

/// Whether most of the foreground is salient.
fn salient_overall(standing: &Mask, saliency: Option<&(Gray, f32)>) -> bool {
    let Some((map, sure)) = saliency else { return false };
    let map = resize_gray(map, standing.width, standing.height);
    let sum: f64 = map.data.iter().zip(&standing.data).filter(|(_, s)| **s).map(|(v, _)| f64::from(*v)).sum();
    *sure >= SALIENT_PEAK && sum > 0.5 * standing.count() as f64
}

/// The components that are the subject; `None` if all are of one kind.
fn choose_subject(standing: &Mask, saliency: Option<&(Gray, f32)>, speck: usize) -> Option<Mask> {
    let parts = components(standing);
    let large: Vec<usize> = (1..=parts.len()).filter(|&k| parts.areas[k] >= speck).collect();
    if large.len() < 2 {
        return None;
    }
    let weight: Vec<f32> = match saliency {
        Some((map, sure)) if *sure >= SALIENT_PEAK => {
            let map = resize_gray(map, standing.width, standing.height);
            let mut sums = vec![0.0f64; parts.areas.len()];
            parts.labels.data.iter().zip(&map.data).for_each(|(&l, &v)| sums[l as usize] += f64::from(v));
            sums.iter().map(|&s| s as f32).collect()
        }
        _ => parts.areas.iter().map(|&a| a as f32).collect(),
    };
    let heaviest = large.iter().copied().max_by(|&a, &b| weight[a].total_cmp(&weight[b]).then(b.cmp(&a)))?;
    let mean = |k: usize| weight[k] / parts.areas[k] as f32;
    let mut keep = vec![false; parts.areas.len()];
    keep[heaviest] = true;
    // All figures of one group are the subject, unless that would be every component.
    if saliency.is_some_and(|(_, sure)| *sure >= SALIENT_PEAK) && mean(heaviest) > 0.5 {
        for &k in &large {
            keep[k] |= mean(k) > 0.5 && parts.areas[k] * 5 > parts.areas[heaviest];
        }
        if large.iter().all(|&k| keep[k]) {
            keep.iter_mut().for_each(|k| *k = false);
            keep[heaviest] = true;
        }
    }
    Some(parts.select(&keep))
}

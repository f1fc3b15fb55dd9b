//! The stages: perceive, extract the text, find the background, extract the foreground on it.
//!
//! Limits without another source were chosen on the tuning posters of `synth` (`cargo xtask bench draft --tuning`)
//! and checked on the final ones.

use std::ops::Range;

use layers::Kind;

use crate::background::{self, Background};
use crate::colour::{bytes_plane, unit_plane};
use crate::drawn;
use crate::filter::resize_gray;
use crate::layer::{Group, Part, Sheet};
use crate::matte::{ExtractOptions, Extraction, Shape, extract};
use crate::monitor::{Monitor, Stage, Stopped};
use crate::morphology::{NOWHERE, clean, close, components, dilate, erode, nearest};
use crate::note::Note;
#[cfg(feature = "networks")]
use crate::objects;
use crate::perceive::{Perception, perceive, saliency};
use crate::plane::{Colour, Gray, Mask, Plane, Rgb8};
use crate::refine::refine;
use crate::subject;

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

/// What the picture consists of, before the number of layers is fitted to the request.
pub(crate) struct Decomposition {
    pub background: Rgb8,
    /// Highest first.
    pub sheets: Vec<Sheet>,
    pub notes: Vec<Note>,
}

/// Work in progress: the sheets extracted so far, and the rest of the picture.
struct Work<'a> {
    monitor: &'a Monitor,
    /// The picture without the sheets extracted so far.
    rest: Rgb8,
    /// Highest first.
    extracted: Vec<Sheet>,
    speck: usize,
}

/// Decomposes an opaque picture.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn run(picture: Rgb8, monitor: &Monitor) -> Result<Decomposition, Stopped> {
    let speck = (SPECK_SHARE * picture.data.len() as f32) as usize + 1;
    // The networks do not keep all threads busy, so drawn pieces are searched for meanwhile.
    let (perception, drawn) = std::thread::scope(|scope| {
        let drawn = scope.spawn(|| {
            #[cfg(feature = "networks")]
            crate::networks::prepare();
            drawn::find(&picture, speck)
        });
        let perception = perceive(&picture, monitor);
        (perception, drawn.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let perception = perception?;
    let mut work = Work { monitor, rest: picture, extracted: Vec::new(), speck };
    monitor.step(Stage::Text, 2, 3, 0.45)?;
    work.extract_text(&perception, drawn.as_ref())?;
    monitor.step(Stage::Background, 0, 1, 0.6)?;
    let saliency = work.saliency_without_text(perception.saliency)?;
    let (background, drawn) = rayon::join(
        || background::find(&work.rest, monitor),
        || drawn::find(&work.rest, speck).map(|pieces| work.tidied(&pieces)),
    );
    let background = background?;
    let flat = background.area > FLAT_AREA && background.border > FLAT_BORDER && background.flatness > FLATNESS;
    // On a flat background nothing needs to be outlined.
    let wanted = saliency.as_ref().filter(|_| drawn.is_none());
    let (standing, things) = rayon::join(
        || work.standing_on(&background),
        || wanted.filter(|_| !flat).map(|saliency| work.things(saliency)).transpose(),
    );
    let things = things?;
    monitor.step(Stage::Objects, 0, 2, 0.68)?;
    let clear = STANDING_SHARE.contains(&standing.share());
    if let Some(drawn) = drawn {
        work.extract_from_flat(&drawn, saliency.as_ref())?;
    } else if flat && clear {
        work.extract_from_flat(&standing, saliency.as_ref())?;
    } else if let Some(saliency) = wanted {
        let things = match things {
            Some(things) => things,
            None => work.things(saliency)?,
        };
        work.extract_from_scene(things, &standing, background.area)?;
    } else if background.area > SMOOTH_AREA && clear {
        work.extract_from_flat(&standing, None)?;
    }
    Ok(Decomposition { background: work.rest, sheets: work.extracted, notes: perception.notes })
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

    /// Adds a sheet that is one part and continues with the inpainted picture behind it.
    fn push(&mut self, part: Part, alpha: Plane<u8>, below: Rgb8) {
        let above = std::mem::replace(&mut self.rest, below);
        self.extracted.push(Sheet::whole(part, alpha, above));
    }

    /// Adds a sheet of several parts; `owner` as in [`Sheet`].
    fn push_parts(&mut self, kind: Kind, parts: Vec<Part>, (alpha, owner): (Plane<u8>, Plane<u8>), below: Rgb8) {
        let above = std::mem::replace(&mut self.rest, below);
        self.extracted.push(Sheet { above, alpha, owner, parts, kind });
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
        let Some((_, extracted)) = self.extract(&perception.text, how)? else { return Ok(()) };
        let part = Part { lines: perception.lines.clone(), ..Part::new(Kind::Text) };
        self.push(part, opacity(&extracted.alpha), bytes_plane(&extracted.below));
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
            let kind = if salient_overall(standing, saliency) { Kind::Subject } else { Kind::Object };
            self.push(Part::new(kind), alpha, below);
            return Ok(());
        };
        // Each pixel belongs to the nearest component.
        let places = nearest(standing);
        let owner = places.map(|place| if place != NOWHERE && subject.data[place as usize] { 1 } else { 2 });
        let parts = vec![Part::new(Kind::Subject), Part::new(Kind::Object)];
        self.push_parts(Kind::Object, parts, (alpha, owner), below);
        Ok(())
    }

    /// The things of a picture that is not flat, most important first: without networks, or where they outline nothing,
    /// the salient figure.
    fn things(&self, (map, sure): &(Gray, f32)) -> Result<Vec<Figure>, Stopped> {
        #[cfg(feature = "networks")]
        {
            let salient = (*sure >= SALIENT_PEAK).then_some(map);
            if let Some(sights) = objects::look(&self.rest, salient, self.monitor)? {
                let found = objects::find(&self.rest, &sights, self.monitor)?;
                let figures = found.into_iter().map(|thing| Figure {
                    mask: self.figure_in(&thing.mask),
                    part: Part {
                        thing: thing.class,
                        group: Some(if thing.is_person() { Group::People } else { Group::Objects }),
                        importance: thing.importance(),
                        ..Part::new(if thing.is_person() { Kind::Subject } else { Kind::Object })
                    },
                });
                let figures: Vec<Figure> = figures.filter(|figure| figure.mask.any()).collect();
                if !figures.is_empty() {
                    return Ok(figures);
                }
            }
        }
        let _ = sure;
        let outline = subject::outline(&self.rest, map, OUTLINE_LIMITS, self.monitor)?;
        let mask = self.figure_in(&outline);
        let whole = FIGURE_SHARE.contains(&mask.share());
        Ok(if whole { vec![Figure { mask, part: Part::new(Kind::Subject) }] } else { Vec::new() })
    }

    /// A mask of working size at full size.
    fn figure_in(&self, outline: &Mask) -> Mask {
        let coarse = outline.count() as f32 / outline.data.len().max(1) as f32;
        // Small things are not specks.
        let least = self.speck.min((0.3 * coarse * self.rest.data.len() as f32) as usize + 1);
        clean(&refine(&self.rest, outline), least, (0.4 * self.speck as f32) as usize)
    }

    /// A picture without flat background: people first, then things, then what else stands on the smooth background
    /// around them. `background` is the share of the picture that is smooth background.
    fn extract_from_scene(&mut self, figures: Vec<Figure>, standing: &Mask, background: f32) -> Result<(), Stopped> {
        let (people, mut things): (Vec<Figure>, Vec<Figure>) =
            figures.into_iter().partition(|figure| figure.part.group == Some(Group::People));
        if people.is_empty()
            && let Some(first) = things.first_mut()
        {
            // The most important thing is the subject, with what is attached to it.
            first.part.kind = Kind::Subject;
            first.mask = with_attached(&first.mask, standing, self.speck);
        }
        let mut all = standing.same_size(false);
        self.monitor.step(Stage::Objects, 1, 2, 0.72)?;
        for figures in [people, things].into_iter().filter(|figures| !figures.is_empty()) {
            all = figures.iter().fold(all, |all, figure| all.or(&figure.mask));
            self.extract_figures(figures)?;
        }
        self.monitor.step(Stage::Objects, 2, 2, 0.8)?;
        // Seams of the inpainting behind the figures are not scenery, and neither are hairlines.
        let filled = dilate(&all, 7);
        let open = dilate(&erode(&standing.minus(&filled), 2), 3).and(standing);
        let scenery = clean(&open, self.speck * 3 / 2, self.speck / 2);
        if background > SMOOTH_AREA * (1.0 - all.share())
            && SCENERY_SHARE.contains(&scenery.share())
            && let Some((_, extracted)) = self.extract(&scenery, self.whole_piece(2))?
        {
            self.push(Part::new(Kind::Object), opacity(&extracted.alpha), bytes_plane(&extracted.below));
        }
        Ok(())
    }

    fn whole_piece(&self, halo: usize) -> ExtractOptions<'static> {
        ExtractOptions { band: 3, grow: 7, halo, shape: Shape::Piece { crumb: self.speck / 4 }, excluded: None }
    }

    /// Extracts figures at once, each as a part. What two of them claim goes to the first.
    fn extract_figures(&mut self, figures: Vec<Figure>) -> Result<(), Stopped> {
        let mut claims = self.rest.map(|_| 0u8);
        for (k, figure) in figures.iter().enumerate().take(255) {
            claims = claims.zip(&figure.mask, |owner, here| if owner == 0 && here { k as u8 + 1 } else { owner });
        }
        let mask = claims.map(|owner| owner != 0);
        let Some((_, extracted)) = self.extract(&mask, self.whole_piece(3))? else { return Ok(()) };
        // What is around them belongs to the nearest.
        let owner = nearest(&mask).map(|place| if place == NOWHERE { 0 } else { claims.data[place as usize] });
        let parts: Vec<Part> = figures.into_iter().take(255).map(|figure| figure.part).collect();
        let kind = parts[0].kind;
        self.push_parts(kind, parts, (opacity(&extracted.alpha), owner), bytes_plane(&extracted.below));
        Ok(())
    }
}

/// A thing at full size.
struct Figure {
    mask: Mask,
    part: Part,
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

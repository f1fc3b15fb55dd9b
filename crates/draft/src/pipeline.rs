//! The stages: perceive, extract the text, find the background, extract the foreground on it.
//!
//! Limits without another source were chosen on the tuning posters of `synth` (`cargo xtask bench draft --tuning`)
//! and checked on the final ones.

mod scene;

use std::ops::Range;

use layers::Kind;

use crate::background::{self, Background};
use crate::colour::{bytes_plane, unit_plane};
use crate::decompose::SceneText;
use crate::drawn;
use crate::fading::Groups;
use crate::filter::resize_gray;
use crate::layer::{Part, Sheet, TextLine};
use crate::matte::{ExtractOptions, Extraction, Shape, extract, extract_groups, farthest};
use crate::monitor::{Monitor, Stage, Stopped};
use crate::morphology::{NOWHERE, clean, components, dilate, nearest, open};
use crate::note::Note;
use crate::perceive::{Perception, perceive, saliency};
use crate::plane::{Colour, Gray, Mask, Plane, Rgb8};
use crate::refine::refine;
use scene::{Figure, attach, claims};

/// How far a line's shadow is followed, in heights of the line.
const SHADOW_HEIGHTS: f32 = 0.7;

/// How far around letters, in pixels, what they stand on is looked for.
const AROUND_LINE: usize = 6;

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

/// Share of the time that finding text and subject takes, about.
const PERCEIVING: f32 = 0.3;

/// Half the width in pixels up to which what no figure claims is the seam between two of them.
const SEAM: usize = 3;

/// Share of the picture that the foreground on a flat background may have: below it there is none, above it the
/// background was not found.
const STANDING_SHARE: Range<f32> = 0.0005..0.85;

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
pub(crate) fn run(picture: Rgb8, scene_text: SceneText, monitor: &Monitor) -> Result<Decomposition, Stopped> {
    let speck = (SPECK_SHARE * picture.data.len() as f32) as usize + 1;
    // The networks do not keep all threads busy, so drawn pieces are searched for meanwhile.
    let (perception, drawn) = std::thread::scope(|scope| {
        let drawn = scope.spawn(|| {
            #[cfg(feature = "networks")]
            crate::networks::prepare();
            drawn::find(&picture, speck)
        });
        let perception = perceive(&picture, scene_text, &monitor.first(PERCEIVING));
        (perception, drawn.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let perception = perception?;
    let mut work = Work { monitor, rest: picture, extracted: Vec::new(), speck };
    monitor.step(Stage::Text, 3, 4, PERCEIVING)?;
    work.extract_text(&perception, drawn.as_ref())?;
    monitor.step(Stage::Background, 0, 2, 0.4)?;
    let saliency = work.saliency_without_text(perception.saliency)?;
    let (background, (drawn, sights)) = rayon::join(
        || background::find(&work.rest, monitor),
        || {
            let drawn = drawn::find(&work.rest, speck).map(|pieces| work.tidied(&pieces));
            (drawn, work.look(saliency.as_ref()))
        },
    );
    let (background, sights) = (background?, sights?);
    monitor.step(Stage::Background, 1, 2, 0.5)?;
    let flat = background.area > FLAT_AREA && background.border > FLAT_BORDER && background.flatness > FLATNESS;
    let scene = !flat && drawn.is_none();
    // Where several things hang together on a flat background, and in what is drawn on a photograph, things are made of
    // regions; people are outlined better as they are seen.
    let crowded = flat && drawn.is_none() && !sights.show_people() && background.regions.are_crowded();
    let regions = match &drawn {
        Some(pieces) => Some(background.regions.within(&at_size(pieces, &background.mask))),
        None => crowded.then(|| background.regions.clone()),
    };
    // On a flat background only people are outlined, below drawn pieces only what the detector is sure of.
    let wanted = scene || regions.is_some() || sights.show_people() || drawn.is_some() && sights.show_something();
    let (standing, found) = rayon::join(
        || work.standing_on(&background),
        || match wanted {
            true => work.things(sights, regions.as_ref(), &perception.lines, scene),
            false => Ok((Vec::new(), None)),
        },
    );
    let (mut found, evidence) = found?;
    if flat && drawn.is_none() {
        found.retain(|figure| figure.is_person() || figure.is_whole());
    }
    monitor.step(Stage::Objects, 0, 2, 0.75)?;
    let clear = STANDING_SHARE.contains(&standing.share());
    if let Some(drawn) = drawn {
        let (on, below): (Vec<Figure>, Vec<Figure>) = found.into_iter().partition(Figure::is_whole);
        work.extract_from_flat(&drawn, saliency.as_ref(), on)?;
        work.extract_below(below, &drawn)?;
    } else if flat && clear {
        work.extract_from_flat(&standing, saliency.as_ref(), found)?;
    } else if let Some(saliency) = &saliency {
        let mut figures = if found.is_empty() { work.salient_figure(saliency)? } else { found };
        if let Some(evidence) = &evidence {
            attach(&mut figures, &standing, evidence, speck);
        }
        work.extract_from_scene(figures, &standing, background.area)?;
    } else if background.area > SMOOTH_AREA && clear {
        work.extract_from_flat(&standing, None, Vec::new())?;
    }
    Ok(Decomposition { background: work.rest, sheets: work.extracted, notes: perception.notes })
}

/// A mask at the size of another one.
fn at_size(mask: &Mask, size: &Mask) -> Mask {
    resize_gray(&mask.map(|inside| if inside { 1.0 } else { 0.0 }), size.width, size.height).map(|v| v > 0.5)
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
        let excluded = drawn.map(|pieces| pieces_beside(pieces, &perception.text, &perception.lines));
        let how = ExtractOptions {
            band: 2,
            grow,
            halo: 2,
            shape: Shape::Letters { counter: self.speck / 4 },
            excluded: excluded.as_ref(),
            sure: Some(&perception.edging),
        };
        if !perception.text.any() {
            return Ok(());
        }
        let groups = by_line(&perception.text, &perception.lines, farthest(&perception.text, grow), grow);
        let extracted = extract_groups(&unit_plane(&self.rest), &perception.text, &groups, how, self.monitor)?;
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

    /// Flat background: the whole foreground is extracted at once, and each component becomes subject or object. What
    /// the networks know by name is a part of its own.
    fn extract_from_flat(
        &mut self,
        standing: &Mask,
        saliency: Option<&(Gray, f32)>,
        mut figures: Vec<Figure>,
    ) -> Result<(), Stopped> {
        mark_subjects(&mut figures, saliency);
        let claims = claims(standing, &figures);
        let whole = standing.or(&claims.map(|claim| claim != 0));
        let how = ExtractOptions {
            band: 3,
            grow: 8,
            halo: 2,
            shape: Shape::Piece { crumb: self.speck / 4 },
            excluded: None,
            sure: None,
        };
        let Some((_, extracted)) = self.extract(&whole, how)? else { return Ok(()) };
        let (alpha, below) = (opacity(&extracted.alpha), bytes_plane(&extracted.below));
        let rest = standing.zip(&claims, |stands, claim| stands && claim == 0);
        // What is left between two figures, or around one, goes to the nearest.
        let rest = if figures.is_empty() { rest } else { open(&rest, SEAM) };
        let placed = rest.or(&claims.map(|claim| claim != 0));
        let subject = choose_subject(&rest, saliency, self.speck);
        let mut parts: Vec<Part> = figures.into_iter().map(|figure| figure.part).collect();
        let (first, second) = (parts.len() as u8 + 1, parts.len() as u8 + 2);
        if subject.is_none() {
            let salient = parts.is_empty() && salient_overall(&rest, saliency);
            parts.push(Part::new(if salient { Kind::Subject } else { Kind::Object }));
        } else {
            parts.extend([
                Part::new(if parts.is_empty() { Kind::Subject } else { Kind::Object }),
                Part::new(Kind::Object),
            ]);
        }
        // Each pixel belongs to the nearest component.
        let owner = nearest(&placed).map(|place| {
            let place = if place == NOWHERE { return first } else { place as usize };
            match (claims.data[place], &subject) {
                (0, Some(subject)) if !subject.data[place] => second,
                (0, _) => first,
                (claim, _) => claim,
            }
        });
        let kind = if parts.len() == 1 { parts[0].kind } else { Kind::Object };
        self.push_parts(kind, parts, (alpha, owner), below);
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

/// The pieces that hardly touch `text` and that no line of it stands on.
fn pieces_beside(pieces: &Mask, text: &Mask, lines: &[TextLine]) -> Mask {
    let parts = components(pieces);
    let in_text = parts.count_in(text);
    let mut keep: Vec<bool> = (0..parts.areas.len()).map(|k| in_text[k] * 20 < parts.areas[k]).collect();
    for line in lines {
        let rect = line.rect.padded(AROUND_LINE, text.width, text.height);
        let letters = text.crop(rect);
        let around = dilate(&letters, AROUND_LINE).minus(&dilate(&letters, 2));
        let mut counts = std::collections::BTreeMap::new();
        for (label, _) in parts.labels.crop(rect).data.iter().zip(&around.data).filter(|(_, around)| **around) {
            *counts.entry(*label as usize).or_insert(0usize) += 1;
        }
        if let Some((&plate, _)) = counts.iter().find(|(_, count)| **count * 2 > around.count()) {
            keep[plate] = false;
        }
    }
    parts.select(&keep)
}

/// Makes the most salient figures the subject, as [`choose_subject`] does with components; where there are people, those
/// are.
fn mark_subjects(figures: &mut [Figure], saliency: Option<&(Gray, f32)>) {
    let Some(first) = figures.first().filter(|_| !figures.iter().any(Figure::is_person)) else { return };
    let (width, height) = (first.mask.width, first.mask.height);
    let Some((map, _)) = saliency.filter(|(_, sure)| *sure >= SALIENT_PEAK) else {
        // The largest that is no scenery.
        let inside = |mask: &Mask| mask.bounds().is_some_and(|b| b.x0 > 0 && b.y0 > 0 && b.x1 < width && b.y1 < height);
        let area = |figure: &Figure| if inside(&figure.mask) { figure.mask.count() } else { 0 };
        let areas: Vec<usize> = figures.iter().map(area).collect();
        let largest = (0..areas.len()).fold(0, |best, k| if areas[k] > areas[best] { k } else { best });
        if areas[largest] > 0 {
            figures[largest].part.kind = Kind::Subject;
        }
        return;
    };
    let map = resize_gray(map, width, height);
    let weigh = |figure: &Figure| {
        let values = map.data.iter().zip(&figure.mask.data).filter(|(_, inside)| **inside);
        let (sum, area) = values.fold((0.0f64, 0usize), |(sum, area), (value, _)| (sum + f64::from(*value), area + 1));
        (sum as f32, area)
    };
    let weights: Vec<(f32, usize)> = figures.iter().map(weigh).collect();
    // Of equals, the first.
    let heaviest = (0..weights.len()).fold(0, |best, k| if weights[k].0 > weights[best].0 { k } else { best });
    let is_salient = |k: usize| weights[k].0 > 0.5 * weights[k].1 as f32;
    let beside = |k: usize| is_salient(heaviest) && is_salient(k) && weights[k].1 * 5 > weights[heaviest].1;
    let all = (0..weights.len()).all(beside);
    for (k, figure) in figures.iter_mut().enumerate() {
        if k == heaviest || !all && beside(k) {
            figure.part.kind = Kind::Subject;
        }
    }
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

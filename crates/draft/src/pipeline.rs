//! The stages: perceive, lift the text, find the ground, lift what stands on it.

use layers::Kind;

use crate::colour::{bytes_plane, unit_plane};
use crate::drawn;
use crate::filter::resize_gray;
use crate::ground::{self, Ground};
use crate::matte::{Lift, Lifted, Shape, lift};
use crate::monitor::{Monitor, Stage, Stopped};
use crate::morphology::{NOWHERE, clean, close, components, dilate, erode, nearest};
use crate::naming;
use crate::note::Note;
use crate::perceive::{Perceived, perceive, saliency};
use crate::plane::{Colour, Gray, Mask, Plane, Rgb8};
use crate::refine::refine;
use crate::sheet::{Sheet, Word};
use crate::split::{Pile, said, text_name};
use crate::subject;

/// Share of the picture under which a piece is a speck.
const SPECK: f32 = 0.0012;

/// Largest saliency from which the network has found something at all.
const SURE: f32 = 0.5;

/// Area of a hole, relative to the piece around it, up to which it belongs to the piece.
const SMALL_HOLE: f32 = 0.04;

/// Layers as the picture suggests them, and what was decided on the way.
pub struct Found {
    pub pile: Pile,
    pub notes: Vec<Note>,
}

/// The work in progress: what is left of the picture, and what was lifted off it.
struct Work<'a> {
    monitor: &'a Monitor,
    /// The picture without what was lifted so far.
    rest: Rgb8,
    /// The highest first.
    lifted: Vec<Sheet>,
    speck: usize,
}

/// Takes an opaque picture apart.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub fn run(picture: Rgb8, monitor: &Monitor) -> Result<Found, Stopped> {
    let speck = (SPECK * picture.data.len() as f32) as usize + 1;
    // Networks leave a thread idle now and then.
    let (seen, drawn) = std::thread::scope(|scope| {
        let drawn = scope.spawn(|| {
            #[cfg(feature = "networks")]
            crate::networks::prepare();
            drawn::find(&picture, speck)
        });
        let seen = perceive(&picture, monitor);
        (seen, drawn.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let seen = seen?;
    let mut work = Work { monitor, rest: picture, lifted: Vec::new(), speck };
    monitor.step(Stage::Text, 2, 3, 0.45)?;
    work.lift_text(&seen, drawn.as_ref())?;
    monitor.step(Stage::Background, 0, 1, 0.6)?;
    let saliency = work.saliency_without_text(seen.saliency)?;
    // The outline is only asked for on a ground that is not flat, but while that is looked for there is time.
    let (ground, (drawn, outline)) = rayon::join(
        || ground::find(&work.rest, monitor),
        || {
            let drawn = drawn::find(&work.rest, speck).map(|pieces| work.tidied(&pieces));
            let outline = saliency.as_ref().map(|(map, _)| subject::outline(&work.rest, map, (0.18, 0.45), monitor));
            (drawn, outline.transpose())
        },
    );
    let (ground, outline) = (ground?, outline?);
    let flat = ground.area > 0.2 && ground.border > 0.12 && ground.flatness > 0.93;
    // On flat ground the figure is hardly ever asked for.
    let early = outline.as_ref().filter(|_| drawn.is_none() && !flat);
    let (standing, figure) = rayon::join(|| work.standing_on(&ground), || early.map(|outline| work.figure_in(outline)));
    monitor.step(Stage::Objects, 0, 2, 0.68)?;
    let clear = (0.0005..0.85).contains(&standing.share());
    if let Some(drawn) = drawn {
        work.lift_from_flat(&drawn, saliency.as_ref())?;
    } else if flat && clear {
        work.lift_from_flat(&standing, saliency.as_ref())?;
    } else if let Some(outline) = &outline {
        let figure = figure.unwrap_or_else(|| work.figure_in(outline));
        work.lift_from_scene(&figure, &standing, ground.area)?;
    } else if ground.area > 0.15 && clear {
        work.lift_from_flat(&standing, None)?;
    }
    let mut sheets = work.lifted;
    sheets.reverse();
    Ok(Found { pile: Pile { background: work.rest, sheets }, notes: seen.notes })
}

fn opacity(alpha: &Gray) -> Plane<u8> {
    alpha.map(|a| (a * 255.0 - 1e-3).ceil().clamp(0.0, 255.0) as u8)
}

impl Work<'_> {
    /// Lifts a mask off the rest; `None` where nothing is set.
    fn lift(&mut self, mask: &Mask, how: Lift) -> Result<Option<(Colour, Lifted)>, Stopped> {
        if !mask.any() {
            return Ok(None);
        }
        let image = unit_plane(&self.rest);
        let lifted = lift(&image, mask, how, self.monitor)?;
        Ok(Some((image, lifted)))
    }

    /// Puts a lifted layer on the pile and goes on with what lies behind it.
    fn push(&mut self, kind: Kind, name: &str, alpha: Plane<u8>, below: Rgb8) {
        let above = std::mem::replace(&mut self.rest, below);
        self.lifted.push(Sheet { above, alpha, kind, name: name.to_owned(), text: None, words: Vec::new() });
    }

    /// Lifts the text; `drawn` are the drawn pieces of the whole picture.
    fn lift_text(&mut self, seen: &Perceived, drawn: Option<&Mask>) -> Result<(), Stopped> {
        let long = self.rest.width.max(self.rest.height) as f32;
        let grow = ((0.0085 * long).round() as usize).max(5);
        // Letters beside a drawn figure do not have a piece of it behind them.
        let apart = drawn.map(|pieces| whole_pieces_beside(pieces, &seen.text));
        let how =
            Lift { band: 2, grow, halo: 2, shape: Shape::Letters { counter: self.speck / 4 }, apart: apart.as_ref() };
        let Some((_, lifted)) = self.lift(&seen.text, how)? else { return Ok(()) };
        self.push(Kind::Text, "Text", opacity(&lifted.alpha), bytes_plane(&lifted.below));
        let words: Vec<Word> =
            seen.letters.iter().map(|l| Word { text: l.text.clone(), rect: l.rect, size: l.size }).collect();
        if let Some(sheet) = self.lifted.last_mut() {
            if !words.is_empty() {
                sheet.name = text_name(&words, sheet.alpha.height);
                sheet.text = said(&words);
            }
            sheet.words = words;
        }
        Ok(())
    }

    /// The saliency of what is left: looked for again where it was the text that stood out.
    fn saliency_without_text(&self, seen: Option<(Gray, f32)>) -> Result<Option<(Gray, f32)>, Stopped> {
        match seen {
            Some((_, sure)) if sure < SURE && !self.lifted.is_empty() => saliency(&self.rest, self.monitor),
            seen => Ok(seen),
        }
    }

    /// What stands on a ground, at full size.
    fn standing_on(&self, ground: &Ground) -> Mask {
        self.tidied(&refine(&self.rest, &ground.mask.not()))
    }

    /// Without specks and pinholes.
    fn tidied(&self, mask: &Mask) -> Mask {
        fill_small_holes(&clean(mask, self.speck / 8 + 1, self.speck / 25 + 1))
    }

    /// Flat ground: all that stands on it is lifted at once; whole components
    /// are the subject or objects.
    fn lift_from_flat(&mut self, standing: &Mask, saliency: Option<&(Gray, f32)>) -> Result<(), Stopped> {
        let Some((_, lifted)) = self.lift(
            standing,
            Lift { band: 3, grow: 8, halo: 2, shape: Shape::Piece { crumb: self.speck / 4 }, apart: None },
        )?
        else {
            return Ok(());
        };
        let alpha = opacity(&lifted.alpha);
        let below = bytes_plane(&lifted.below);
        let Some(subject) = choose_subject(standing, saliency, self.speck) else {
            if salient_overall(standing, saliency) {
                self.push(Kind::Subject, "Subject", alpha, below);
            } else {
                self.push(Kind::Object, naming::OBJECTS, alpha, below);
            }
            return Ok(());
        };
        // Each pixel goes with the nearest piece.
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

    /// A picture without flat ground: the salient figure, then what else stands on
    /// whatever smooth ground is around it. `ground` is the share of the picture that is such ground.
    fn lift_from_scene(&mut self, figure: &Mask, standing: &Mask, ground: f32) -> Result<(), Stopped> {
        let figure = with_attached(figure, standing, self.speck);
        self.monitor.step(Stage::Objects, 1, 2, 0.72)?;
        if (0.004..0.8).contains(&figure.share())
            && let Some((_, lifted)) = self.lift(
                &figure,
                Lift { band: 3, grow: 7, halo: 3, shape: Shape::Piece { crumb: self.speck / 4 }, apart: None },
            )?
        {
            self.push(Kind::Subject, "Subject", opacity(&lifted.alpha), bytes_plane(&lifted.below));
        }
        self.monitor.step(Stage::Objects, 2, 2, 0.8)?;
        // Seams of the completion behind the subject are not scenery, and neither are hairlines.
        let filled = dilate(&figure, 7);
        let open = dilate(&erode(&standing.minus(&filled), 2), 3).and(standing);
        let scenery = clean(&open, self.speck * 3 / 2, self.speck / 2);
        if ground > 0.15 * (1.0 - figure.share())
            && (0.004..0.85).contains(&scenery.share())
            && let Some((_, lifted)) = self.lift(
                &scenery,
                Lift { band: 3, grow: 7, halo: 2, shape: Shape::Piece { crumb: self.speck / 4 }, apart: None },
            )?
        {
            self.push(Kind::Object, naming::OBJECTS, opacity(&lifted.alpha), bytes_plane(&lifted.below));
        }
        Ok(())
    }
}

/// Fills holes that are small against the piece around them: what shows through a
/// glass or between fingers in the colour of the ground belongs to the figure,
/// the inside of a ring does not.
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
    let small: Vec<bool> =
        (0..holes.areas.len()).map(|k| inside(k) && (holes.areas[k] as f32) < SMALL_HOLE * owner[k] as f32).collect();
    mask.or(&holes.select(&small))
}

/// The pieces that hardly touch `text`.
fn whole_pieces_beside(pieces: &Mask, text: &Mask) -> Mask {
    let parts = components(pieces);
    let in_text = parts.count_in(text);
    let keep: Vec<bool> = (0..parts.areas.len()).map(|k| in_text[k] * 20 < parts.areas[k]).collect();
    parts.select(&keep)
}

/// The figure with the small pieces that it wears: what stands on the ground,
/// and touches the figure along a good part of its own edge.
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

/// Whether most of what stands there is what the network would look at.
fn salient_overall(standing: &Mask, saliency: Option<&(Gray, f32)>) -> bool {
    let Some((map, sure)) = saliency else { return false };
    let map = resize_gray(map, standing.width, standing.height);
    let sum: f64 = map.data.iter().zip(&standing.data).filter(|(_, s)| **s).map(|(v, _)| f64::from(*v)).sum();
    *sure >= SURE && sum > 0.5 * standing.count() as f64
}

/// The components that are the subject; `None` where all are of one kind.
fn choose_subject(standing: &Mask, saliency: Option<&(Gray, f32)>, speck: usize) -> Option<Mask> {
    let parts = components(standing);
    let large: Vec<usize> = (1..=parts.len()).filter(|&k| parts.areas[k] >= speck).collect();
    if large.len() < 2 {
        return None;
    }
    let weight: Vec<f32> = match saliency {
        Some((map, sure)) if *sure >= SURE => {
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
    // Figures of one group are all the subject, unless everything is.
    if saliency.is_some_and(|(_, sure)| *sure >= SURE) && mean(heaviest) > 0.5 {
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

//! The letters of each line.

use rayon::prelude::*;

use crate::colour::oklab_plane;
use crate::monitor::{Monitor, Stopped};
use crate::morphology::dilate;
use crate::numeric::quantile;
use crate::plane::{Colour, Gray, Mask, Plane, Rect, Rgb8};
use crate::text::complete::{Found, complete};
use crate::text::detect::Line;
use crate::text::frame::Frame;
use crate::text::region::{Region, frame};
use crate::text::tidy::sampled;

/// Certainty of a reading from which there are letters.
const SURE: f32 = 0.9;
/// Certainty of a reading from which salience says nothing against it.
const READ: f32 = 0.8;

/// The letters of one line.
#[derive(Clone)]
pub(crate) struct Letters {
    pub rect: Rect,
    /// Within `rect`.
    pub mask: Mask,
    /// What of the mask is not letters: outlines and hard shadows.
    pub edging: Mask,
    pub text: String,
    pub size: f32,
    /// Whether it was read, and how surely.
    pub certain: bool,
    pub sure: f32,
    /// The region of the line, within `rect`.
    pub inside: Mask,
    /// As of [`Line`].
    pub marked: bool,
    pub along: [f32; 2],
    /// Typical colour of the letters, Oklab.
    pub colour: [f32; 3],
    /// Whether the background is smooth.
    pub smooth: bool,
    /// Whether the line is curved, so that nobody can read it.
    pub bent: bool,
    /// Share of the letters that lies within a salient figure, 0 to 1.
    pub in_figure: f32,
    /// Its number among the detected lines.
    pub number: usize,
}

impl Letters {
    /// A level line of these letters in the upper left corner, that was lifted and not read.
    #[cfg(test)]
    pub(super) fn sample(mask: Mask) -> Self {
        Self {
            rect: Rect { x0: 0, y0: 0, x1: mask.width, y1: mask.height },
            edging: mask.same_size(false),
            inside: mask.clone(),
            mask,
            text: String::new(),
            size: 40.0,
            certain: false,
            sure: 0.0,
            marked: true,
            along: [1.0, 0.0],
            colour: [0.5; 3],
            smooth: true,
            bent: false,
            in_figure: 0.0,
            number: 0,
        }
    }

    /// The box of the letters, not of the region that was searched.
    pub(crate) fn tight(&self) -> Rect {
        let bounds = self.mask.bounds().unwrap_or(Rect { x0: 0, y0: 0, x1: 0, y1: 0 });
        bounds.moved(self.rect.x0, self.rect.y0)
    }

    /// The letters alone.
    pub(super) fn plain(&self) -> Mask {
        self.mask.minus(&self.edging)
    }
}

/// Finds the letters of each line; lines without any are left out.
///
/// `subject` vetoes what looks like part of a figure.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn letters(
    image: &Rgb8,
    lines: &[Line],
    subject: Option<&Mask>,
    monitor: &Monitor,
) -> Result<Vec<Letters>, Stopped> {
    let frames: Vec<(Rect, Gray)> = lines.par_iter().map(|line| frame(image, line)).collect();
    // Rings must not take the letters of a neighbour for background.
    let mut taken = Plane::new(image.width, image.height, false);
    for (line, (rect, distance)) in lines.iter().zip(&frames) {
        let near = distance.map(|d| d < 1.15 * line.reach);
        taken.paste(*rect, &near, &near);
    }
    let found = lines
        .par_iter()
        .enumerate()
        .zip(frames)
        .map(|((number, line), (rect, distance))| {
            monitor.check()?;
            let region = Region::new(image, line, rect, distance, &taken);
            monitor.check()?;
            // What is read or marked surely is no part of a figure, whatever is salient there.
            let doubtful = !(line.marked || line.certain && line.sure >= READ && line.text.chars().count() > 1);
            let figure = subject.map(|s| s.crop(rect));
            let mask = region.letters(figure.clone().filter(|_| doubtful), line.certain && line.sure >= SURE);
            let in_figure = |mask: &Mask| {
                let own = figure.as_ref().and_then(|figure| region.figure(figure, &region.within(1.0)));
                own.map_or(0.0, |own| own.and(mask).count() as f32 / mask.count().max(1) as f32)
            };
            Ok(mask.map(|mask| Letters {
                bent: Frame::of(&line.mask, line.rect).is_some_and(|frame| frame.is_bent()),
                in_figure: in_figure(&mask),
                rect,
                colour: typical(&oklab_plane(&image.crop(rect)), &mask),
                smooth: region.smooth,
                edging: mask.same_size(false),
                mask,
                text: line.text.clone(),
                size: line.size,
                certain: line.certain,
                sure: line.sure,
                inside: region.within(1.0),
                marked: line.marked,
                along: line.along,
                number,
            }))
        })
        .collect::<Result<Vec<Option<Letters>>, Stopped>>()?;
    completed(image, lines, found.into_iter().flatten().collect(), monitor)
}

/// The typical colour under a mask.
fn typical(lab: &Colour, mask: &Mask) -> [f32; 3] {
    let own = sampled(lab, mask, 2000);
    std::array::from_fn(|c| quantile(&mut own.iter().map(|colour| colour[c]).collect::<Vec<_>>(), 0.5))
}

/// The lines with all of their letters.
fn completed(
    image: &Rgb8,
    lines: &[Line],
    mut found: Vec<Letters>,
    monitor: &Monitor,
) -> Result<Vec<Letters>, Stopped> {
    let whole = {
        let to_complete: Vec<Found> = found
            .iter()
            .map(|letters| {
                let line = &lines[letters.number];
                Found {
                    marked: &line.mask,
                    marked_rect: line.rect,
                    reach: line.reach,
                    mask: &letters.mask,
                    rect: letters.rect,
                    rough: !letters.smooth,
                }
            })
            .collect();
        complete(image, &to_complete, monitor)?
    };
    for (letters, whole) in found.iter_mut().zip(whole) {
        let rect = letters.rect.union(&whole.rect);
        letters.mask = whole.mask.on(whole.rect, rect);
        letters.edging = whole.edging.on(whole.rect, rect);
        // What was added lies inside the line as well.
        letters.inside = letters.inside.on(letters.rect, rect).or(&dilate(&letters.mask, 3));
        letters.rect = rect;
    }
    Ok(found)
}

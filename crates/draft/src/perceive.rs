//! Perception: where text is, what it says, and what is salient.

use crate::decompose::SceneText;
#[cfg(feature = "networks")]
use crate::fill::membrane::membrane;
use crate::layer::TextLine;
use crate::monitor::{Monitor, Stage, Stopped};
use crate::note::Note;
#[cfg(feature = "networks")]
use crate::plane::Plane;
use crate::plane::{Gray, Mask, Rgb8};
use crate::text;

/// What was found in a picture before anything is extracted from it.
pub(crate) struct Perception {
    /// Pixels that are letters.
    pub text: Mask,
    /// What of it is no letter but an outline or a hard shadow.
    pub edging: Mask,
    pub lines: Vec<TextLine>,
    /// Saliency, 0 to 1, and the largest value before it was stretched; `None` without networks.
    pub saliency: Option<(Gray, f32)>,
    pub notes: Vec<Note>,
}

/// Text found by the shapes of letters, without networks.
fn by_shape(picture: &Rgb8, monitor: &Monitor, why: String) -> Result<Perception, Stopped> {
    let found = text::plain::find(picture, monitor)?;
    let lines = found.rows.into_iter().map(|(rect, size)| TextLine::unread(rect, size)).collect();
    let edging = found.mask.same_size(false);
    Ok(Perception { text: found.mask, edging, lines, saliency: None, notes: vec![Note::NoNetworks { reason: why }] })
}

/// # Errors
/// [`Stopped`] when the caller gave up.
#[cfg(not(feature = "networks"))]
pub fn perceive(picture: &Rgb8, _: SceneText, monitor: &Monitor) -> Result<Perception, Stopped> {
    monitor.step(Stage::Text, 0, 4, 0.03)?;
    by_shape(picture, monitor, "This build has no networks.".to_owned())
}

/// # Errors
/// [`Stopped`] when the caller gave up.
#[cfg(feature = "networks")]
pub(crate) fn perceive(picture: &Rgb8, scene_text: SceneText, monitor: &Monitor) -> Result<Perception, Stopped> {
    use crate::networks::NetworkError;
    match with_networks(picture, scene_text, monitor) {
        Ok(perceived) => Ok(perceived),
        Err(NetworkError::Stopped) => Err(Stopped),
        Err(NetworkError::Failed(why)) => by_shape(picture, monitor, format!("The networks could not be run ({why}).")),
    }
}

/// Saliency of a picture as in [`Perception`]; `None` if the networks cannot be run.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
#[cfg(feature = "networks")]
pub(crate) fn saliency(picture: &Rgb8, monitor: &Monitor) -> Result<Option<(Gray, f32)>, Stopped> {
    use crate::networks::{NetworkError, saliency};
    match saliency(picture, monitor) {
        Ok(found) => Ok(Some(found)),
        Err(NetworkError::Stopped) => Err(Stopped),
        Err(NetworkError::Failed(_)) => Ok(None),
    }
}

/// Without networks nothing is salient.
///
/// # Errors
/// Never.
#[cfg(not(feature = "networks"))]
pub fn saliency(_: &Rgb8, _: &Monitor) -> Result<Option<(Gray, f32)>, Stopped> {
    Ok(None)
}

/// Saliency from which letters can be part of a figure.
#[cfg(feature = "networks")]
const SALIENT: f32 = 0.3;

#[cfg(feature = "networks")]
fn with_networks(
    picture: &Rgb8,
    scene_text: SceneText,
    monitor: &Monitor,
) -> Result<Perception, crate::networks::NetworkError> {
    use crate::morphology::clean;
    use crate::networks;

    monitor.step(Stage::Text, 0, 4, 0.03)?;
    // Tiny pictures hold nothing that the networks could read.
    if picture.width.min(picture.height) < 16 {
        let text = Plane::new(picture.width, picture.height, false);
        let edging = text.clone();
        return Ok(Perception { text, edging, lines: Vec::new(), saliency: None, notes: Vec::new() });
    }
    let marks = text::detect::find(picture, monitor)?;
    monitor.step(Stage::Text, 1, 4, 0.33)?;
    // The recogniser and its threads read while the others look for the figure.
    let (lines, saliency) = std::thread::scope(|scope| {
        let lines = scope.spawn(|| text::detect::read_marks(picture, &marks, monitor));
        let saliency = networks::saliency(picture, monitor);
        (lines.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), saliency)
    });
    let (lines, saliency) = (lines?, saliency?);
    let figure = (!lines.is_empty()).then(|| {
        let speck = (0.0012 * picture.data.len() as f32) as usize + 1;
        let map = networks::grown(&saliency.0, picture.width, picture.height);
        clean(&map.map(|v| v > SALIENT), speck, speck * 2 / 5)
    });
    monitor.step(Stage::Text, 2, 4, 0.67)?;
    let letters = text::glyphs::letters(picture, &lines, figure.as_ref(), monitor)?;
    let mut letters = text::read::read_all(picture, letters, monitor)?;
    text::more::add(picture, &mut letters, figure.as_ref(), monitor)?;
    text::bridge::close_gaps(picture, &mut letters, monitor)?;
    letters.sort_by_key(|line| (line.rect.y0, line.rect.x0));
    text::words::put_right(&mut letters);
    text::numbers::group_thousands(&mut letters);
    if scene_text == SceneText::Keep {
        let mut on_things = text::scene::on_things(picture, &letters).into_iter();
        letters.retain(|_| on_things.next() == Some(false));
    }
    let mut mask = Plane::new(picture.width, picture.height, false);
    let mut edging = mask.clone();
    for line in &letters {
        mask.paste(line.rect, &line.mask, &line.mask);
        edging.paste(line.rect, &line.edging, &line.edging);
    }
    let lines: Vec<TextLine> = letters
        .into_iter()
        .map(|line| {
            let rect = line.tight();
            let angle = libm::atan2f(line.along[1], line.along[0]).to_degrees();
            TextLine { text: line.text, rect, size: line.size, angle, sure: line.sure, bent: line.bent }
        })
        .collect();
    let saliency = beside_text(saliency, &lines, picture);
    Ok(Perception { text: mask, edging, lines, saliency: Some(saliency), notes: Vec::new() })
}

/// The saliency map with text inpainted from around it: headlines are salient, the picture behind them need not be.
#[cfg(feature = "networks")]
fn beside_text((map, sure): (Gray, f32), lines: &[TextLine], picture: &Rgb8) -> (Gray, f32) {
    if lines.is_empty() {
        return (map, sure);
    }
    let scale = [map.width as f32 / picture.width as f32, map.height as f32 / picture.height as f32];
    let mut hidden = map.same_size(false);
    for line in lines {
        let pad = (0.3 * line.size) as usize + 2;
        let rect = line.rect.padded(pad, picture.width, picture.height);
        let part = |v: usize, axis: usize| (v as f32 * scale[axis]) as usize;
        for y in part(rect.y0, 1)..(part(rect.y1, 1) + 1).min(map.height) {
            for x in part(rect.x0, 0)..(part(rect.x1, 0) + 1).min(map.width) {
                hidden.set(x, y, true);
            }
        }
    }
    let map = membrane(&map.map(|v| [v]), &hidden.not(), 4).map(|v| v[0]);
    let largest = map.data.iter().copied().fold(0.0, f32::max);
    (map.map(|v| v / largest.max(1e-6)), sure * largest)
}

//! What the networks see: text and the salient figure.

use crate::monitor::{Monitor, Stopped};
use crate::plane::{Gray, Mask, Plane, Rect, Rgb8};

/// A line of text with its place.
pub struct Said {
    pub text: String,
    pub rect: Rect,
    pub size: f32,
}

pub struct Perceived {
    /// Pixels that are letters.
    pub text: Mask,
    pub letters: Vec<Said>,
    /// Saliency, 0 to 1, and the largest value before it was stretched; `None` without networks.
    pub saliency: Option<(Gray, f32)>,
    pub notes: Vec<String>,
}

fn blind(picture: &Rgb8, note: String) -> Perceived {
    let text = Plane::new(picture.width, picture.height, false);
    Perceived { text, letters: Vec::new(), saliency: None, notes: vec![note] }
}

/// # Errors
/// [`Stopped`] when the caller gave up.
#[cfg(not(feature = "networks"))]
pub fn perceive(picture: &Rgb8, monitor: &Monitor) -> Result<Perceived, Stopped> {
    monitor.step("text", 0, 2, 0.02)?;
    Ok(blind(picture, "This build has no networks: text is not told from other objects.".to_owned()))
}

/// # Errors
/// [`Stopped`] when the caller gave up.
#[cfg(feature = "networks")]
pub fn perceive(picture: &Rgb8, monitor: &Monitor) -> Result<Perceived, Stopped> {
    use crate::networks::NetworkError;
    match with_networks(picture, monitor) {
        Ok(perceived) => Ok(perceived),
        Err(NetworkError::Stopped) => Err(Stopped),
        Err(NetworkError::Failed(why)) => {
            Ok(blind(picture, format!("The networks could not be run, so text was not looked for: {why}")))
        }
    }
}

#[cfg(feature = "networks")]
fn with_networks(picture: &Rgb8, monitor: &Monitor) -> Result<Perceived, crate::networks::NetworkError> {
    use crate::morphology::clean;
    use crate::{networks, refine, subject, text};

    monitor.step("text", 0, 2, 0.02)?;
    // Tiny pictures hold nothing that the networks could read.
    if picture.width.min(picture.height) < 16 {
        return Ok(Perceived { notes: Vec::new(), ..blind(picture, String::new()) });
    }
    let (lines, saliency) =
        rayon::join(|| text::detect::lines(picture, monitor), || networks::saliency(picture, monitor));
    let (lines, saliency) = (lines?, saliency?);
    monitor.step("text", 1, 2, 0.4)?;
    let figure = (!lines.is_empty()).then(|| {
        let speck = (0.0012 * picture.data.len() as f32) as usize + 1;
        let outline = subject::outline(picture, &saliency.0, (0.4, 0.5));
        clean(&refine::refine(picture, &outline), speck, speck * 2 / 5)
    });
    let letters = text::glyphs::letters(picture, &lines, figure.as_ref());
    let mut mask = Plane::new(picture.width, picture.height, false);
    for line in &letters {
        mask.paste(line.rect, &line.mask, &line.mask);
    }
    let letters = letters
        .into_iter()
        .map(|line| {
            // The box of the letters, not of the region that was searched.
            let tight = line.mask.bounds().unwrap_or(Rect { x0: 0, y0: 0, x1: 0, y1: 0 });
            let rect = Rect {
                x0: line.rect.x0 + tight.x0,
                y0: line.rect.y0 + tight.y0,
                x1: line.rect.x0 + tight.x1,
                y1: line.rect.y0 + tight.y1,
            };
            Said { text: line.text, rect, size: line.size }
        })
        .collect();
    Ok(Perceived { text: mask, letters, saliency: Some(saliency), notes: Vec::new() })
}

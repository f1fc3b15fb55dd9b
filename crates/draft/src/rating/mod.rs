//! How well the background behind the layers is likely to be completed, measured where it is visible.
//!
//! Around each hidden place the known background is asked how well it would have been told from its neighbours as far
//! away as the hidden place is from what is known: each known pixel against the mean of the two at that distance on
//! either side of it, in the best of four directions. Gradients and straight edges are foretold that way, texture is
//! not, and the further inside a hole, the less.

mod grid;

use std::fmt;

use crate::monitor::{Monitor, Stopped};
use crate::morphology::{dilate, distance_to};
use crate::plane::{Gray, Mask, Rgb8};
use grid::{DISTANCES, Grid, expected};

/// Pixels at the edge of what is hidden whose colours may be mixed.
const MIXED: usize = 2;

/// Share of the picture up to which nothing to speak of is hidden.
const HARDLY_ANY: f32 = 0.0005;
/// Expected error from which a place is seen,
const SEEN: f32 = 0.035;
/// share of the picture with such places up to which a background is clean,
const CLEAN_SHARE: f32 = 0.004;
/// and the one from which it is rough.
const ROUGH_SHARE: f32 = 0.05;
/// Expected error up to which what is around the holes is smooth.
const SMOOTH: f32 = 0.008;
/// Share of even pixels that flat art has.
const EVEN_SHARE: f32 = 0.6;
/// Depth of a hole, as a share of the picture's long side, from which it is large.
const LARGE: f32 = 0.02;

/// How good a completed background is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quality {
    /// Nobody sees where something was.
    Clean,
    /// One sees it when one looks for it.
    Fair,
    /// One sees it: it needs to be painted anew.
    Rough,
}

/// What speaks for the quality of a background.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BackgroundReason {
    /// Next to nothing is hidden.
    NothingHidden,
    /// The background is smooth around what is hidden.
    Smooth(Measured),
    /// It is flat art: even colours with edges between them.
    FlatArt(Measured),
    /// It has texture, but the holes are small against it.
    Texture(Measured),
    /// It has texture, and the holes are large.
    LargeHolesInTexture(Measured),
}

/// What was measured of a background.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Share of the picture that is hidden and had to be invented, 0 to 1.
    pub hidden: f32,
    /// Expected difference of a hidden pixel from the truth, 0 to 1: mean over the hidden pixels of the largest
    /// channel's.
    pub error: f32,
    /// Share of the picture where what was invented is likely to be seen, 0 to 1.
    pub seen: f32,
}

/// The background of a stack, judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Background {
    /// How good it is.
    pub quality: Quality,
    /// Why.
    pub reason: BackgroundReason,
}

impl BackgroundReason {
    /// A code for programs, in snake_case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NothingHidden => "nothing_hidden",
            Self::Smooth(_) => "smooth",
            Self::FlatArt(_) => "flat_art",
            Self::Texture(_) => "texture",
            Self::LargeHolesInTexture(_) => "large_holes_in_texture",
        }
    }

    /// The numbers behind it; `None` where nothing is hidden.
    pub fn measured(&self) -> Option<Measured> {
        match *self {
            Self::NothingHidden => None,
            Self::Smooth(m) | Self::FlatArt(m) | Self::Texture(m) | Self::LargeHolesInTexture(m) => Some(m),
        }
    }
}

impl fmt::Display for BackgroundReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Measured { hidden, error, .. }) = self.measured() else {
            return f.write_str("The layers hide next to nothing of the background.");
        };
        let around = match self {
            Self::NothingHidden | Self::Smooth(_) => "it is smooth there",
            Self::FlatArt(_) => "it is flat art there",
            Self::Texture(_) => "it has texture there",
            Self::LargeHolesInTexture(_) => "it has texture there, and the holes are large",
        };
        let percent = |share: f32| match share * 100.0 {
            small if small < 1.0 => "less than 1 %".to_owned(),
            share => format!("{share:.0} %"),
        };
        let (hidden, error) = (percent(hidden), percent(error));
        write!(
            f,
            "The layers hide {hidden} of the background; {around}, so that it may be off by {error} of full scale."
        )
    }
}

/// Rates a completed `background` of which `hidden` was invented.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn rate(background: &Rgb8, hidden: &Mask, monitor: &Monitor) -> Result<Background, Stopped> {
    let share = hidden.share();
    if share <= HARDLY_ANY {
        return Ok(Background { quality: Quality::Clean, reason: BackgroundReason::NothingHidden });
    }
    let depth = distance_to(&hidden.not());
    monitor.check()?;
    let known = dilate(hidden, MIXED).not();
    let grid = Grid::over(background);
    let errors = DISTANCES.iter().enumerate().map(|(index, &distance)| {
        monitor.check()?;
        Ok(grid.tried(background, &known, distance).map(|tried| (index, tried)))
    });
    let tried: Vec<(usize, Gray)> = errors.collect::<Result<Vec<_>, Stopped>>()?.into_iter().flatten().collect();
    monitor.check()?;
    let (mut sum, mut count, mut seen, mut deepest) = (0.0f64, 0usize, 0usize, 0.0f32);
    for v in 0..grid.height {
        for u in 0..grid.width {
            let (x, y) = grid.place(u, v);
            if hidden.at(x, y) {
                let error = expected(&tried, (u, v), depth.at(x, y));
                sum += f64::from(error);
                count += 1;
                if error > SEEN {
                    seen += 1;
                    deepest = deepest.max(depth.at(x, y));
                }
            }
        }
    }
    let error = if count == 0 { 0.0 } else { (sum / count as f64) as f32 };
    let measured = Measured { hidden: share, error, seen: seen as f32 / (grid.width * grid.height) as f32 };
    let quality = match measured.seen {
        seen if seen > ROUGH_SHARE => Quality::Rough,
        seen if seen > CLEAN_SHARE => Quality::Fair,
        _ => Quality::Clean,
    };
    let long = background.width.max(background.height) as f32;
    let reason = if error <= SMOOTH {
        BackgroundReason::Smooth(measured)
    } else if grid.even_share(background, &known) > EVEN_SHARE {
        BackgroundReason::FlatArt(measured)
    } else if quality != Quality::Clean && deepest > LARGE * long {
        BackgroundReason::LargeHolesInTexture(measured)
    } else {
        BackgroundReason::Texture(measured)
    };
    Ok(Background { quality, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::monitor;
    use crate::plane::Plane;
    use crate::random::mix;

    fn rated(image: &Rgb8, hidden: &Mask) -> Background {
        let (monitor, _reporter) = monitor();
        rate(image, hidden, &monitor).expect("nobody stops it")
    }

    fn grain(x: usize, y: usize) -> [u8; 3] {
        [(60 + mix((y / 3 * 1000 + x / 3) as u64) % 140) as u8; 3]
    }

    #[test]
    fn smooth_ground_is_clean_also_under_a_large_hole_and_texture_is_not() {
        let hidden = Plane::from_fn(300, 200, |x, y| (80..220).contains(&x) && (60..150).contains(&y));
        let ramp = Plane::from_fn(300, 200, |x, y| [(x / 2) as u8, 120, y as u8]);
        let found = rated(&ramp, &hidden);
        assert_eq!((found.quality, found.reason.code()), (Quality::Clean, "smooth"));
        let found = rated(&Plane::from_fn(300, 200, grain), &hidden);
        assert_eq!((found.quality, found.reason.code()), (Quality::Rough, "large_holes_in_texture"));
    }

    #[test]
    fn only_the_place_of_a_hole_counts() {
        // A photograph below, a plain sky above.
        let image = Plane::from_fn(300, 200, |x, y| if y < 110 { [120, 160, 220] } else { grain(x, y) });
        let above = Plane::from_fn(300, 200, |x, y| (30..270).contains(&x) && (30..60).contains(&y) && x % 20 < 8);
        let below = Plane::from_fn(300, 200, |x, y| (30..270).contains(&x) && (140..170).contains(&y) && x % 20 < 8);
        assert_eq!(rated(&image, &above).quality, Quality::Clean);
        assert_ne!(rated(&image, &below).quality, Quality::Clean);
    }

    #[test]
    fn stripes_behind_a_hole_are_flat_art() {
        let image = Plane::from_fn(300, 200, |x, _| if x / 40 % 2 == 0 { [200, 40, 40] } else { [240, 220, 60] });
        let hidden = Plane::from_fn(300, 200, |x, y| (50..250).contains(&x) && (90..110).contains(&y));
        let found = rated(&image, &hidden);
        assert!(matches!(found.reason, BackgroundReason::Smooth(_) | BackgroundReason::FlatArt(_)), "{found:?}");
        assert_ne!(found.quality, Quality::Rough);
    }

    #[test]
    fn reasons_are_sentences_and_any_size_is_rated() {
        let measured = Measured { hidden: 0.084, error: 0.004, seen: 0.0 };
        assert_eq!(
            BackgroundReason::FlatArt(measured).to_string(),
            "The layers hide 8 % of the background; it is flat art there, so that it may be off by less than 1 % of full scale."
        );
        let dot = Plane::new(1, 1, [9, 9, 9]);
        assert_eq!(rated(&dot, &Plane::new(1, 1, false)).reason, BackgroundReason::NothingHidden);
        assert_eq!(rated(&dot, &Plane::new(1, 1, true)).quality, Quality::Rough);
    }
}

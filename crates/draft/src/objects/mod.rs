//! Whole things of a picture without its text: what the detector, the map of people and the map of saliency point at,
//! outlined by the segmenter, and put in order so that no pixel belongs to two of them.
//!
//! Limits were chosen by eye on real posters and photographs.

mod arrange;
mod asking;
mod outline;
mod wholes;

use crate::background::working_size;
use crate::filter::resize_gray;
use crate::layer::TextLine;
use crate::monitor::{Monitor, Stopped};
use crate::morphology::components;
use crate::networks::NetworkError;
use crate::networks::objects::{PERSON, Sighting, detect, people};
use crate::plane::{Gray, Mask, Rect, Rgb8};
use crate::regions::Regions;
use crate::segmenter::{SegmentError, Segmenter};

/// Score of the detector from which its name counts; below it, only its box does.
const NAMED: f32 = 0.5;
/// Most boxes of the detector that are outlined.
const MOST_SIGHTINGS: usize = 12;
/// From here on a map says yes.
const LIKELY: f32 = 0.5;
/// Least share of the picture for a component of a map that is outlined, and most of them for each map.
const PATCH_SHARE: f32 = 0.006;
const MOST_PATCHES: usize = 3;
/// Share of an outline that drawn things may have, for it to be a thing beside them.
const TAKEN_SHARE: f32 = 0.5;

/// A thing, at working size. The masks of all things of a picture share no pixel.
pub(crate) struct Thing {
    pub mask: Mask,
    /// A class of COCO in snake case, where the detector is sure of it.
    pub class: Option<&'static str>,
    /// How salient it is, and how much it looks like a person: the mean of the larger of the two, 0 to 1.
    pub evidence: f32,
    /// It is drawn: made of whole regions.
    pub whole: bool,
}

impl Thing {
    pub(crate) fn is_person(&self) -> bool {
        self.class == Some(PERSON)
    }

    /// The share of the picture, weighed with the evidence: large things that nothing points at matter little.
    pub(crate) fn importance(&self) -> f32 {
        self.mask.share() * (0.2 + self.evidence)
    }
}

/// What the networks see before anything is outlined; maps at working size. Nothing by default.
pub(crate) struct Sights {
    sightings: Vec<Sighting>,
    people: Gray,
    /// `None` where nothing is salient.
    salient: Option<Gray>,
    /// Width and height of the picture.
    picture: (f32, f32),
}

/// What made the segmenter look.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Detector { class: &'static str, score: f32 },
    People,
    Saliency,
}

/// Where the segmenter looks; the box in pixels of the picture.
struct Look {
    source: Source,
    bounds: [f32; 4],
}

/// Looks at a picture with the fast networks; `saliency` is its map. `None` if they cannot be run.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn look(picture: &Rgb8, saliency: Option<&Gray>, monitor: &Monitor) -> Result<Option<Sights>, Stopped> {
    let (width, height) = working_size(picture.width, picture.height);
    let seen = detect(picture, monitor).and_then(|sightings| Ok((sightings, people(picture, monitor)?)));
    match seen {
        Ok((sightings, people)) => Ok(Some(Sights {
            sightings,
            people: resize_gray(&people, width, height),
            salient: saliency.map(|map| resize_gray(map, width, height)),
            picture: (picture.width as f32, picture.height as f32),
        })),
        Err(NetworkError::Stopped) => Err(Stopped),
        Err(NetworkError::Failed(_)) => Ok(None),
    }
}

/// Outlines the things of a picture, most important first; none if the segmenter cannot be run. Where `regions` are given,
/// drawn things are made of them; the others are those of a photograph.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn find(
    picture: &Rgb8,
    sights: &Sights,
    regions: Option<&Regions>,
    monitor: &Monitor,
) -> Result<Vec<Thing>, Stopped> {
    let looks = looks(sights);
    let evidence = sights.evidence();
    // Nobody looks at a tiny picture.
    let regions = regions.filter(|_| evidence.data.len() > 1);
    if looks.is_empty() && regions.is_none() {
        return Ok(Vec::new());
    }
    let stopped = || monitor.check().is_err();
    let embedding = match Segmenter::default().embed_plane(picture, &stopped) {
        Ok(embedding) => embedding,
        Err(SegmentError::Stopped) => return Err(Stopped),
        Err(_) => return Ok(Vec::new()),
    };
    let mut outlined = Vec::with_capacity(looks.len());
    for look in &looks {
        match outline::outline(&embedding, look, sights, &stopped) {
            Ok(found) => outlined.extend(found),
            Err(SegmentError::Stopped) => return Err(Stopped),
            Err(_) => return Ok(Vec::new()),
        }
    }
    let mut things = match regions.map(|regions| wholes::find(&embedding, regions, &outlined, &evidence, &stopped)) {
        Some(Ok(things)) => things,
        Some(Err(SegmentError::Stopped)) => return Err(Stopped),
        Some(Err(_)) | None => Vec::new(),
    };
    let taken = things.iter().fold(evidence.same_size(false), |taken, thing| taken.or(&thing.mask));
    let new = |thing: &Thing| thing.mask.and(&taken).count() as f32 <= TAKEN_SHARE * thing.mask.count() as f32;
    things.extend(arrange::arranged(outlined, &evidence).into_iter().filter(new));
    Ok(things)
}

impl Default for Sights {
    fn default() -> Self {
        Self { sightings: Vec::new(), people: Gray::new(1, 1, 0.0), salient: None, picture: (1.0, 1.0) }
    }
}

impl Sights {
    /// Whether the detector is sure of something.
    pub(crate) fn show_something(&self) -> bool {
        self.sightings.iter().any(|sighting| sighting.score >= NAMED)
    }

    /// Whether the detector is sure of people.
    pub(crate) fn show_people(&self) -> bool {
        self.sightings.iter().any(|sighting| sighting.score >= NAMED && sighting.class == PERSON)
    }

    /// Whether a line of text lay on or beside what is salient.
    pub(crate) fn salient_beside(&self, lines: &[TextLine]) -> bool {
        let Some(map) = &self.salient else { return false };
        let Some(bounds) = map.map(|v| v > LIKELY).bounds() else { return false };
        let scale = [map.width as f32 / self.picture.0, map.height as f32 / self.picture.1];
        lines.iter().any(|line| {
            let [x, y] = scale;
            let near = line.size * x;
            let (left, right) = (line.rect.x0 as f32 * x - near, line.rect.x1 as f32 * x + near);
            let (top, bottom) = (line.rect.y0 as f32 * y - near, line.rect.y1 as f32 * y + near);
            left < bounds.x1 as f32 && right > bounds.x0 as f32 && top < bounds.y1 as f32 && bottom > bounds.y0 as f32
        })
    }

    /// Replaces the map of what is salient.
    pub(crate) fn set_salient(&mut self, map: &Gray) {
        self.salient = Some(resize_gray(map, self.people.width, self.people.height));
    }

    /// The larger of both maps.
    pub(crate) fn evidence(&self) -> Gray {
        match &self.salient {
            Some(salient) => salient.zip(&self.people, f32::max),
            None => self.people.clone(),
        }
    }
}

/// The detector's boxes, surest first, then components of the maps, largest first.
fn looks(sights: &Sights) -> Vec<Look> {
    let (width, height) = sights.picture;
    let seen = sights.sightings.iter().take(MOST_SIGHTINGS).map(|sighting| {
        let [x0, y0, x1, y1] = sighting.bounds;
        Look {
            source: Source::Detector { class: sighting.class, score: sighting.score },
            bounds: [x0 * width, y0 * height, x1 * width, y1 * height],
        }
    });
    let mut looks: Vec<Look> = seen.collect();
    for (source, map) in [(Source::People, Some(&sights.people)), (Source::Saliency, sights.salient.as_ref())] {
        let Some(map) = map else { continue };
        let scale = [width / map.width as f32, height / map.height as f32];
        looks.extend(patches(map).into_iter().map(|rect| Look {
            source,
            bounds: [
                rect.x0 as f32 * scale[0],
                rect.y0 as f32 * scale[1],
                rect.x1 as f32 * scale[0],
                rect.y1 as f32 * scale[1],
            ],
        }));
    }
    looks
}

/// Boxes of the largest components of a map.
fn patches(map: &Gray) -> Vec<Rect> {
    let parts = components(&map.map(|v| v > LIKELY));
    let least = PATCH_SHARE * map.data.len() as f32;
    let mut large: Vec<usize> = (1..=parts.len()).filter(|&k| parts.areas[k] as f32 > least).collect();
    large.sort_by_key(|&k| std::cmp::Reverse(parts.areas[k]));
    large.into_iter().take(MOST_PATCHES).map(|k| parts.boxes[k]).collect()
}

/// The mean of a map under a mask; 0 under an empty one.
fn mean_under(map: &Gray, mask: &Mask) -> f32 {
    let values = map.data.iter().zip(&mask.data).filter(|(_, inside)| **inside).map(|(value, _)| f64::from(*value));
    (values.sum::<f64>() / mask.count().max(1) as f64) as f32
}

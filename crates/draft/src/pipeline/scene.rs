//! Pictures without a flat background: things that the networks outline, or the salient figure, and what else stands on
//! the smooth background around them.

use std::ops::Range;

use layers::Kind;

use super::{SMOOTH_AREA, Work, opacity};
use crate::colour::{bytes_plane, distance_squared, oklab};
use crate::filter::resize_gray;
use crate::layer::{Group, Part, TextLine};
use crate::matte::{ExtractOptions, Shape};
use crate::monitor::{Stage, Stopped};
use crate::morphology::{NOWHERE, clean, close, components, dilate, erode, nearest};
use crate::plane::{Gray, Mask, Plane};
use crate::refine::refine;
use crate::regions::Regions;
use crate::subject;

/// Share of the picture that the salient figure of a scene may have,
const FIGURE_SHARE: Range<f32> = 0.004..0.8;
/// and that the other objects in it may.
const SCENERY_SHARE: Range<f32> = 0.004..0.85;
/// Least and largest saliency from which a segment counts as subject where the map is ambiguous.
const OUTLINE_LIMITS: (f32, f32) = (0.18, 0.45);
/// Distance in pixels at which a piece of scenery is compared with what is around it, the Oklab distance from which its
/// edge is sharp there, and the least share of the edge that is: shades of a sky end softly.
const SURROUNDINGS: usize = 4;
const SHARP_DISTANCE: f32 = 0.06;
const SHARP_SHARE: f32 = 0.6;
/// What is likelier than not speaks for a thing.
const LIKELY: f32 = 0.5;
/// Share of its edge with which a piece touches the figure that it belongs to.
const TOUCHING_SHARE: f32 = 0.12;
/// Share of a thing that drawn pieces may hide.
const HIDDEN_SHARE: f32 = 0.6;

/// Share of the picture up to which things are kept out of the completion of others, and how many pixels around them.
const OTHERS_SHARE: f32 = 0.5;
const BESIDE_OTHERS: usize = 3;

/// Things, and how salient or like a person each place is, at working size.
pub(super) type Found = (Vec<Figure>, Option<Gray>);

/// A thing at full size.
pub(super) struct Figure {
    pub mask: Mask,
    pub part: Part,
}

impl Figure {
    pub(super) fn is_person(&self) -> bool {
        self.part.group == Some(Group::People)
    }

    /// Whether it is drawn.
    pub(super) fn is_whole(&self) -> bool {
        self.part.whole
    }
}

#[cfg(feature = "networks")]
pub(super) use crate::objects::Sights;

/// Without networks nothing is seen.
#[cfg(not(feature = "networks"))]
#[derive(Default)]
pub(super) struct Sights;

#[cfg(not(feature = "networks"))]
impl Sights {
    pub(super) fn show_something(&self) -> bool {
        false
    }

    pub(super) fn show_people(&self) -> bool {
        false
    }
}

impl Work<'_> {
    /// What the fast networks see in the rest.
    #[cfg(feature = "networks")]
    pub(super) fn look(&self, saliency: Option<&(Gray, f32)>) -> Result<Sights, Stopped> {
        let salient = saliency.filter(|(_, sure)| *sure >= super::SALIENT_PEAK).map(|(map, _)| map);
        match saliency {
            Some(_) => Ok(crate::objects::look(&self.rest, salient, self.monitor)?.unwrap_or_default()),
            None => Ok(Sights::default()),
        }
    }

    #[cfg(not(feature = "networks"))]
    #[allow(clippy::unnecessary_wraps, reason = "the networks can be stopped")]
    pub(super) fn look(&self, _: Option<&(Gray, f32)>) -> Result<Sights, Stopped> {
        Ok(Sights)
    }

    /// The things of the rest, most important first, and what speaks for them; unless it is a `scene`, only those with
    /// a name, or made of `regions`. `lines` are those of the text that was on it.
    #[cfg(feature = "networks")]
    pub(super) fn things(
        &self,
        mut sights: Sights,
        regions: Option<&Regions>,
        lines: &[TextLine],
        scene: bool,
    ) -> Result<Found, Stopped> {
        // The map of the picture with its text says nothing of what the text hid.
        if scene
            && sights.salient_beside(lines)
            && let Some((map, sure)) = crate::perceive::saliency(&self.rest, self.monitor)?
            && sure >= super::SALIENT_PEAK
        {
            sights.set_salient(&map);
        }
        let found = crate::objects::find(&self.rest, &sights, regions, self.monitor)?;
        let figures = found.into_iter().filter(|thing| scene || thing.class.is_some() || thing.whole).map(|thing| {
            let (kind, group) = match thing.is_person() {
                true => (Kind::Subject, Group::People),
                false => (Kind::Object, Group::Objects),
            };
            let (thing_class, importance) = (thing.class, thing.importance());
            let whole = thing.whole;
            let part = Part { thing: thing_class, whole, group: Some(group), importance, ..Part::new(kind) };
            Figure { mask: self.at_full_size(&thing.mask), part }
        });
        Ok((figures.filter(|figure| figure.mask.any()).collect(), Some(sights.evidence())))
    }

    #[cfg(not(feature = "networks"))]
    #[allow(clippy::unnecessary_wraps, reason = "the networks can be stopped")]
    pub(super) fn things(&self, _: Sights, _: Option<&Regions>, _: &[TextLine], _: bool) -> Result<Found, Stopped> {
        Ok((Vec::new(), None))
    }

    /// The salient figure, from the map alone.
    pub(super) fn salient_figure(&self, (map, _): &(Gray, f32)) -> Result<Vec<Figure>, Stopped> {
        let mask = self.at_full_size(&subject::outline(&self.rest, map, OUTLINE_LIMITS, self.monitor)?);
        let fits = FIGURE_SHARE.contains(&mask.share());
        Ok(if fits { vec![Figure { mask, part: Part::new(Kind::Subject) }] } else { Vec::new() })
    }

    /// A mask of working size at full size.
    fn at_full_size(&self, outline: &Mask) -> Mask {
        // Small things are no specks.
        let least = self.speck.min((0.3 * outline.share() * self.rest.data.len() as f32) as usize + 1);
        clean(&refine(&self.rest, outline), least, (0.4 * self.speck as f32) as usize)
    }

    /// People first, then things, then what else stands on the smooth background around them. `background` is the share
    /// of the picture that is smooth background.
    pub(super) fn extract_from_scene(
        &mut self,
        figures: Vec<Figure>,
        standing: &Mask,
        background: f32,
    ) -> Result<(), Stopped> {
        let (people, mut things): (Vec<Figure>, Vec<Figure>) = figures.into_iter().partition(Figure::is_person);
        if people.is_empty()
            && let Some(first) = things.first_mut()
        {
            // The most important thing is the subject, with what is attached to it.
            first.part.kind = Kind::Subject;
            first.part.group = None;
            first.mask = with_attached(&first.mask, standing, self.speck);
        }
        self.monitor.step(Stage::Objects, 1, 2, 0.78)?;
        let all = people.iter().chain(&things).fold(standing.same_size(false), |all, figure| all.or(&figure.mask));
        // Nothing that stands elsewhere is copied into the places of figures.
        let mut others = all.or(&self.scenery(standing, &all));
        for figures in [people, things] {
            others = figures.iter().fold(others, |others, figure| others.minus(&figure.mask));
            self.extract_figures(figures, &others)?;
        }
        self.monitor.step(Stage::Objects, 2, 2, 0.93)?;
        let scenery = self.scenery(standing, &all);
        if background > SMOOTH_AREA * (1.0 - all.share()) && SCENERY_SHARE.contains(&scenery.share()) {
            let shape = Shape::Piece { crumb: self.speck / 4 };
            let how = ExtractOptions { band: 3, grow: 7, halo: 2, shape, excluded: None, sure: None };
            if let Some((_, extracted)) = self.extract(&scenery, how)? {
                self.push(Part::new(Kind::Object), opacity(&extracted.alpha), bytes_plane(&extracted.below));
            }
        }
        Ok(())
    }

    /// What stands on the background beside the figures.
    fn scenery(&self, standing: &Mask, figures: &Mask) -> Mask {
        // Seams of the inpainting behind the figures are not scenery, and neither are hairlines.
        let open = dilate(&erode(&standing.minus(&dilate(figures, 7)), 2), 3).and(standing);
        let pieces = clean(&open, self.speck * 3 / 2, self.speck / 2);
        let parts = components(&pieces);
        let (mut edge, mut sharp) = (vec![0usize; parts.areas.len()], vec![0usize; parts.areas.len()]);
        let beside = dilate(&pieces, SURROUNDINGS).minus(&dilate(&pieces, SURROUNDINGS - 1));
        let inner = erode(&pieces, 2);
        let places = nearest(if inner.any() { &inner } else { &pieces });
        for index in (0..beside.data.len()).filter(|&index| beside.data[index] && !figures.data[index]) {
            let place = places.data[index];
            if place == NOWHERE {
                continue;
            }
            let piece = parts.labels.data[place as usize] as usize;
            let distance = distance_squared(oklab(self.rest.data[index]), oklab(self.rest.data[place as usize]));
            edge[piece] += 1;
            sharp[piece] += usize::from(distance > SHARP_DISTANCE * SHARP_DISTANCE);
        }
        let keep: Vec<bool> =
            (0..parts.areas.len()).map(|k| sharp[k] as f32 >= SHARP_SHARE * edge[k].max(1) as f32).collect();
        parts.select(&keep)
    }

    /// Things of the picture below drawn pieces that have been extracted.
    pub(super) fn extract_below(&mut self, figures: Vec<Figure>, drawn: &Mask) -> Result<(), Stopped> {
        let visible = |mut figure: Figure| {
            let all = figure.mask.count();
            figure.mask = figure.mask.minus(drawn);
            let seen = figure.mask.count() as f32 >= (1.0 - HIDDEN_SHARE) * all as f32;
            seen.then_some(figure)
        };
        let figures = figures.into_iter().filter_map(visible);
        let (people, things): (Vec<Figure>, Vec<Figure>) = figures.partition(Figure::is_person);
        let others = things.iter().fold(drawn.same_size(false), |others, figure| others.or(&figure.mask));
        self.extract_figures(people, &others)?;
        self.extract_figures(things, &drawn.same_size(false))
    }

    /// Extracts figures at once, each as a part. What is behind them is not completed from `others`.
    fn extract_figures(&mut self, figures: Vec<Figure>, others: &Mask) -> Result<(), Stopped> {
        if figures.is_empty() {
            return Ok(());
        }
        let known = figures.iter().any(|figure| figure.part.thing.is_some());
        let crumb = self.speck / 4;
        let shape = if known { Shape::Figure { crumb } } else { Shape::Piece { crumb } };
        // Where most of the picture is others, there is too little left to complete from.
        let others = Some(dilate(others, BESIDE_OTHERS)).filter(|others| others.any() && others.share() < OTHERS_SHARE);
        let how = ExtractOptions { band: 3, grow: 7, halo: 3, shape, excluded: others.as_ref(), sure: None };
        let claims = claims(&figures[0].mask, &figures);
        let mask = claims.map(|claim| claim != 0);
        let Some((_, extracted)) = self.extract(&mask, how)? else { return Ok(()) };
        // What is around them belongs to the nearest.
        let owner = nearest(&mask).map(|place| if place == NOWHERE { 0 } else { claims.data[place as usize] });
        let parts: Vec<Part> = figures.into_iter().map(|figure| figure.part).collect();
        let kind = parts[0].kind;
        self.push_parts(kind, parts, (opacity(&extracted.alpha), owner), bytes_plane(&extracted.below));
        Ok(())
    }
}

/// The number of the figure that each pixel belongs to, from 1; 0 is none. What two of them claim goes to the first.
pub(super) fn claims(size: &Mask, figures: &[Figure]) -> Plane<u8> {
    figures.iter().zip(1..=u8::MAX).fold(size.same_size(0), |claims, (figure, number)| {
        claims.zip(&figure.mask, |claim, here| if claim == 0 && here { number } else { claim })
    })
}

/// Gives each figure what stands on the background beside it, is salient like the figure, and touches it along some of
/// its edge: the tip of a hat, a scarf.
pub(super) fn attach(figures: &mut [Figure], standing: &Mask, evidence: &Gray, speck: usize) {
    let all = figures.iter().fold(standing.same_size(false), |all, figure| all.or(&figure.mask));
    let likely = resize_gray(evidence, standing.width, standing.height).map(|v| v > LIKELY);
    let beside = dilate(&erode(&standing.minus(&all), 2), 2).and(standing).minus(&all);
    let parts = components(&beside);
    let edge = beside.minus(&erode(&beside, 1));
    let (edges, salient) = (parts.count_in(&edge), parts.count_in(&likely));
    let mut taken = vec![false; parts.areas.len()];
    for figure in figures.iter_mut() {
        let touching = parts.count_in(&edge.and(&dilate(&figure.mask, 5)));
        let most = figure.mask.count() / 4;
        let keep: Vec<bool> = (0..parts.areas.len())
            .map(|k| {
                !taken[k]
                    && (speck / 8..most).contains(&parts.areas[k])
                    && salient[k] * 2 > parts.areas[k]
                    && touching[k] as f32 > TOUCHING_SHARE * edges[k] as f32
            })
            .collect();
        if keep.iter().any(|&keep| keep) {
            taken.iter_mut().zip(&keep).for_each(|(taken, &keep)| *taken |= keep);
            figure.mask = close(&figure.mask.or(&parts.select(&keep)), 3).minus(&all).or(&figure.mask);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_figures_claim_goes_to_the_first() {
        let figure = |left: usize| Figure {
            mask: Plane::from_fn(30, 10, |x, _| (left..left + 15).contains(&x)),
            part: Part::new(Kind::Object),
        };
        let figures = [figure(0), figure(10)];
        let claims = claims(&figures[0].mask, &figures);
        assert_eq!([0, 12, 20, 27].map(|x| claims.at(x, 5)), [1, 1, 2, 0]);
    }
}

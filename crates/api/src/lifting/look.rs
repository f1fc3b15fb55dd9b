//! What a document looks like: for the network that outlines things, and which element is seen where.

use std::cell::RefCell;

use draft::{Embedding, Prompt, Segment, SegmentError, Segmenter};
use image::{GrayImage, Rgb, RgbImage, RgbaImage};
use layers::{ComposeError, Document, DocumentLayer, Node, PixelSource, SourceError};
use tokio_util::sync::CancellationToken;

use super::stopped;
use crate::export::OpenLeaves;
use crate::http::error::Error;

/// Memory of the network while it looks at a picture, in bytes.
pub(super) const NETWORK_BYTES: u64 = 300 << 20;

/// Longest side of the map of what is seen where, in cells.
const MAP_SIDE: u32 = 2048;

/// Opacity, 0 to 255, from which an element is what is seen.
const SEEN: f32 = 127.5;

/// Share of the picture up to which a mask is a thing in it, and how much less likely that may be than all of the picture.
const MOST: f32 = 0.6;
const LESS_LIKELY: f32 = 0.35;

/// Pieces of a mask that are smaller than this share of its largest are no part of it.
const CRUMB: f32 = 0.02;

/// How much steeper the edge of a mask is than the network's certainty.
const SURE: i32 = 4;

/// Mask value from which a pixel belongs to a thing.
pub(super) const INSIDE: u8 = 128;

/// What is seen of a document.
pub(crate) struct Look {
    embedding: Option<Embedding>,
    owners: OwnerMap,
    /// The element of each leaf.
    elements: Vec<u64>,
}

impl Look {
    /// Composes the document. Blocks.
    pub(super) fn take(
        leaves: &OpenLeaves,
        document: &Document,
        elements: Vec<u64>,
        for_prompts: bool,
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        let recorder = Recorder {
            leaves,
            layers: drawn(&document.nodes, 1.0),
            owners: RefCell::new(OwnerMap::new(document.width, document.height)),
        };
        let composed = document.compose(&recorder);
        if stop.is_cancelled() {
            return Err(stopped());
        }
        let picture = composed.map_err(|error: ComposeError| Error::from(layers::ExportError::from(error)))?;
        let embedding = if for_prompts {
            let embedding = Segmenter::default().embed(&on_white(&picture), &|| stop.is_cancelled());
            Some(embedding.map_err(segment_error)?)
        } else {
            None
        };
        Ok(Self { embedding, owners: recorder.owners.into_inner(), elements })
    }

    pub(super) fn answers_prompts(&self) -> bool {
        self.embedding.is_some()
    }

    /// The most likely thing that a prompt means. Blocks.
    ///
    /// # Errors
    /// 422 for a prompt without a point to include and without a box.
    pub(crate) fn segment(&self, prompt: &Prompt, stop: &CancellationToken) -> Result<Segment, Error> {
        let embedding = self.embedding.as_ref().ok_or_else(|| Error::internal("a look that is not for prompts"))?;
        let is_point = prompt.boxes.is_empty() && prompt.points.len() == 1;
        let mut segment = if is_point {
            let offers = embedding.offers(prompt, &|| stop.is_cancelled()).map_err(segment_error)?;
            meant(offers).ok_or_else(|| Error::internal("the network offers no mask"))?
        } else {
            embedding.segment(prompt, &|| stop.is_cancelled()).map_err(segment_error)?
        };
        // How likely a pixel belongs to a thing says little of how much of it does.
        for value in segment.mask.pixels_mut() {
            let sure = i32::from(INSIDE) + SURE * (i32::from(value[0]) - i32::from(INSIDE));
            value[0] = sure.clamp(0, 255) as u8;
        }
        drop_crumbs(&mut segment.mask);
        Ok(segment)
    }

    /// The element that is seen in most of a mask; `None` where nothing is.
    pub(crate) fn owner(&self, mask: &GrayImage) -> Option<u64> {
        self.elements.get(self.owners.most(mask, None)?).copied()
    }

    /// The same of all elements but one.
    pub(crate) fn owner_but(&self, mask: &GrayImage, other: u64) -> Option<u64> {
        let other = self.elements.iter().position(|element| *element == other);
        self.elements.get(self.owners.most(mask, other)?).copied()
    }
}

/// What a single point means: the likeliest mask, but rather a thing than all of the picture, which the network likes to
/// see wherever something is drawn in the colours of what is around it.
fn meant(mut offers: Vec<Segment>) -> Option<Segment> {
    let best = offers.first()?.score;
    let share = |offer: &Segment| {
        let inside = offer.mask.pixels().filter(|value| value[0] >= INSIDE).count();
        inside as f32 / offer.mask.len().max(1) as f32
    };
    let is_thing = |offer: &Segment| offer.score >= best - LESS_LIKELY && (f32::EPSILON..MOST).contains(&share(offer));
    let at = offers.iter().position(is_thing).unwrap_or(0);
    Some(offers.swap_remove(at))
}

/// Empties what of a mask lies apart from its largest piece and is far smaller: the network sees spots where there is nothing.
fn drop_crumbs(mask: &mut GrayImage) {
    let (width, height) = (mask.width() as usize, mask.height() as usize);
    // The piece of each pixel: 0 for none.
    let mut pieces = vec![0_usize; width * height];
    let mut areas = vec![0_usize];
    let mut open = Vec::new();
    for start in 0..pieces.len() {
        if pieces[start] > 0 || mask.as_raw()[start] == 0 {
            continue;
        }
        let piece = areas.len();
        areas.push(0);
        pieces[start] = piece;
        open.push(start);
        while let Some(at) = open.pop() {
            areas[piece] += 1;
            let (x, y) = (at % width, at / width);
            let beside = [
                (x > 0).then(|| at - 1),
                (x + 1 < width).then(|| at + 1),
                (y > 0).then(|| at - width),
                (y + 1 < height).then(|| at + width),
            ];
            for next in beside.into_iter().flatten() {
                if pieces[next] == 0 && mask.as_raw()[next] > 0 {
                    pieces[next] = piece;
                    open.push(next);
                }
            }
        }
    }
    let least = areas.iter().max().copied().unwrap_or(0) as f32 * CRUMB;
    for (value, piece) in mask.pixels_mut().zip(pieces) {
        if (areas[piece] as f32) < least {
            value[0] = 0;
        }
    }
}

fn segment_error(error: SegmentError) -> Error {
    match error {
        SegmentError::Stopped => stopped(),
        SegmentError::NoPrompt | SegmentError::Empty => {
            Error::unprocessable("prompt_missing", "send a point to include, a box or a mask")
        }
        SegmentError::Network(problem) => Error::internal(problem),
    }
}

/// What is transparent is white, as on paper.
fn on_white(picture: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let pixel = layers::over(*picture.get_pixel(x, y), image::Rgba([255; 4]));
        Rgb([pixel[0], pixel[1], pixel[2]])
    })
}

/// The layers of a document in the order of their sources, each with the opacity of the groups around it and its own.
fn drawn(nodes: &[Node], around: f32) -> Vec<(DocumentLayer, f32)> {
    let mut found = Vec::new();
    for node in nodes {
        match node {
            Node::Layer(layer) => found.push((layer.clone(), around * layer.opacity)),
            Node::Group(group) => found.extend(drawn(&group.children, around * group.opacity)),
        }
    }
    found
}

/// Notes where layers are as they are loaded, the lowest first.
struct Recorder<'a> {
    leaves: &'a OpenLeaves,
    layers: Vec<(DocumentLayer, f32)>,
    owners: RefCell<OwnerMap>,
}

impl PixelSource for Recorder<'_> {
    fn load(&self, source: usize) -> Result<RgbaImage, SourceError> {
        let pixels = self.leaves.load(source)?;
        if let Some((layer, opacity)) = self.layers.iter().find(|(layer, _)| layer.source == source) {
            self.owners.borrow_mut().put(source, &pixels, (layer.x, layer.y), *opacity);
        }
        Ok(pixels)
    }
}

/// The highest layer that is seen at each of some places.
struct OwnerMap {
    canvas: (u32, u32),
    width: u32,
    height: u32,
    /// 0 for none, otherwise the source and one.
    cells: Vec<u16>,
}

impl OwnerMap {
    fn new(width: u32, height: u32) -> Self {
        let scale = f64::from(MAP_SIDE) / f64::from(width.max(height).max(1));
        let side = |length: u32| ((f64::from(length) * scale.min(1.0)).round() as u32).clamp(1, MAP_SIDE);
        let (columns, rows) = (side(width), side(height));
        Self { canvas: (width, height), width: columns, height: rows, cells: vec![0; (columns * rows) as usize] }
    }

    /// The pixel of the canvas in the middle of each cell, row by row.
    fn places(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let ((width, height), (columns, rows)) = (self.canvas, (self.width, self.height));
        let middle = |cell: u32, length: u32, cells: u32| {
            let at = (u64::from(2 * cell + 1) * u64::from(length)) / u64::from(2 * cells);
            // Less than the length, which is a u32.
            at as u32
        };
        (0..rows).flat_map(move |row| {
            (0..columns).map(move |column| (middle(column, width, columns), middle(row, height, rows)))
        })
    }

    fn put(&mut self, source: usize, pixels: &RgbaImage, (x, y): (i32, i32), opacity: f32) {
        let Ok(number) = u16::try_from(source + 1) else { return };
        for (cell, (u, v)) in self.places().enumerate() {
            let inside = |at: u32, origin: i32| u32::try_from(i64::from(at) - i64::from(origin)).ok();
            let (Some(left), Some(top)) = (inside(u, x), inside(v, y)) else { continue };
            let alpha = pixels.get_pixel_checked(left, top).map_or(0, |pixel| pixel[3]);
            if f32::from(alpha) * opacity >= SEEN {
                self.cells[cell] = number;
            }
        }
    }

    /// The source that is seen in most of a mask, of all but `other`.
    fn most(&self, mask: &GrayImage, other: Option<usize>) -> Option<usize> {
        let mut counts = std::collections::BTreeMap::<u16, usize>::new();
        for ((x, y), owner) in self.places().zip(&self.cells) {
            if mask.get_pixel(x, y)[0] >= INSIDE {
                *counts.entry(*owner).or_default() += 1;
            }
        }
        if counts.is_empty() {
            // Too thin for any cell: what is seen at its first pixel.
            let (x, y, _) = mask.enumerate_pixels().find(|(.., value)| value[0] >= INSIDE)?;
            let cell = |at: u32, length: u32, cells: u32| u64::from(at) * u64::from(cells) / u64::from(length);
            let (column, row) = (cell(x, self.canvas.0, self.width), cell(y, self.canvas.1, self.height));
            let at = usize::try_from(row * u64::from(self.width) + column).ok()?;
            counts.insert(*self.cells.get(at)?, 1);
        }
        let owners = counts.into_iter().filter_map(|(owner, count)| Some((usize::from(owner).checked_sub(1)?, count)));
        owners.filter(|(owner, _)| Some(*owner) != other).max_by_key(|(_, count)| *count).map(|(owner, _)| owner)
    }
}

#[cfg(test)]
mod tests {
    use image::{Luma, Rgba};

    use super::*;

    fn mask(inside: impl Fn(u32, u32) -> bool) -> GrayImage {
        GrayImage::from_fn(3000, 1500, |x, y| Luma([if inside(x, y) { 255 } else { 0 }]))
    }

    #[test]
    fn crumbs_of_a_mask_go_and_pieces_stay() {
        let large = |x: u32, y: u32| (10..60).contains(&x) && (10..60).contains(&y);
        let second = |x: u32, y: u32| (70..80).contains(&x) && (10..30).contains(&y);
        let crumb = |x: u32, y: u32| (90..95).contains(&x) && (90..95).contains(&y);
        let of = |inside: &dyn Fn(u32, u32) -> bool| {
            GrayImage::from_fn(100, 100, |x, y| Luma([if inside(x, y) { 200 } else { 0 }]))
        };
        let mut mask = of(&|x, y| large(x, y) || second(x, y) || crumb(x, y));
        drop_crumbs(&mut mask);
        assert_eq!(mask, of(&|x, y| large(x, y) || second(x, y)));
        let mut empty = GrayImage::new(3, 2);
        drop_crumbs(&mut empty);
        assert_eq!(empty, GrayImage::new(3, 2));
    }

    #[test]
    fn a_point_means_a_thing_rather_than_the_whole_picture() {
        let offer = |score: f32, rows: u32| {
            let mask = GrayImage::from_fn(10, 10, |_, y| Luma([if y < rows { 255 } else { 0 }]));
            Segment { mask, score }
        };
        let rows = |offers: Vec<Segment>| {
            meant(offers).map(|one| one.mask.pixels().filter(|value| value[0] >= INSIDE).count() / 10)
        };
        assert_eq!(rows(vec![offer(0.97, 10), offer(0.8, 3), offer(0.7, 1)]), Some(3));
        assert_eq!(rows(vec![offer(0.97, 10), offer(0.5, 3)]), Some(10), "far less likely");
        assert_eq!(rows(vec![offer(0.97, 10), offer(0.9, 0)]), Some(10), "nothing is not a thing");
        assert_eq!(rows(vec![offer(0.9, 4), offer(0.8, 3)]), Some(4));
        assert_eq!(rows(Vec::new()), None);
    }

    #[test]
    fn what_is_seen_in_most_of_a_mask_owns_it() {
        let mut map = OwnerMap::new(3000, 1500);
        assert_eq!((map.width, map.height), (2048, 1024));
        map.put(0, &RgbaImage::from_pixel(3000, 1500, Rgba([9, 9, 9, 255])), (0, 0), 1.0);
        let square = RgbaImage::from_pixel(400, 400, Rgba([9, 9, 9, 200]));
        map.put(1, &square, (100, -100), 1.0);
        map.put(2, &square, (120, -100), 0.5);
        assert_eq!(
            map.most(&mask(|x, y| x < 300 && y < 290), None),
            Some(1),
            "what is fainter than half is not what is seen"
        );
        assert_eq!(map.most(&mask(|x, y| x < 600 && y < 1000), None), Some(0));
        assert_eq!(map.most(&mask(|x, y| (x, y) == (101, 0)), None), Some(1));
        assert_eq!(map.most(&mask(|x, y| x < 300 && y < 290), Some(1)), Some(0));
        assert_eq!(map.most(&mask(|_, _| false), None), None);
        assert_eq!(OwnerMap::new(3000, 1500).most(&mask(|_, _| true), None), None);
    }
}

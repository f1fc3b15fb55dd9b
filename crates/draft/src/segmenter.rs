//! Outlines of what a point or a box shows.

use std::path::Path;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use ::networks::{Network, NetworkError, Values};
use image::{GrayImage, Luma, RgbImage};

use crate::filter::resize_rgb;
use crate::numeric::exp;
use crate::plane::{Gray, Plane, Rgb8, for_rows};

static ENCODER: LazyLock<Arc<Network>> =
    LazyLock::new(|| Arc::new(Network::new(include_bytes!("../models/segment-encoder.onnx"))));
static DECODER: LazyLock<Arc<Network>> =
    LazyLock::new(|| Arc::new(Network::new(include_bytes!("../models/segment-decoder.onnx"))));

/// What [`Segmenter::make_default`] was called with.
static DEFAULT: RwLock<Option<Segmenter>> = RwLock::new(None);

/// Long side in pixels to which the encoder takes pictures, padded to a square.
const ENCODER_SIDE: usize = 1024;
/// Mean and deviation of the pictures that it was trained on, 0 to 255, red, green, blue.
const MEAN: [f32; 3] = [123.675, 116.28, 103.53];
const DEVIATION: [f32; 3] = [58.395, 57.12, 57.375];
/// Shape of what it makes of a picture.
const EMBEDDING: [usize; 4] = [1, 256, 64, 64];
/// Side of the decoder's masks.
const MASK_SIDE: usize = 256;
/// What the decoder takes a point for.
const OUTSIDE: f32 = 0.0;
const INSIDE: f32 = 1.0;
const TOP_LEFT: f32 = 2.0;
const BOTTOM_RIGHT: f32 = 3.0;
/// Stands where a prompt has no box.
const NOTHING: f32 = -1.0;
/// Grid of the masks' values before the logistic function: processors differ in their last bits.
const STEADY: f32 = 64.0;

/// Why a picture or a prompt gave no mask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
    /// The picture has no pixels.
    #[error("an empty picture shows nothing: give one with at least one pixel")]
    Empty,
    /// The prompt has neither a point to include nor a box.
    #[error("a prompt needs a point to include, or a box")]
    NoPrompt,
    /// A network cannot be loaded or run.
    #[error("{0}")]
    Network(String),
}

impl From<NetworkError> for SegmentError {
    fn from(error: NetworkError) -> Self {
        match error {
            NetworkError::Stopped => Self::Stopped,
            NetworkError::Failed(why) => Self::Network(why),
        }
    }
}

/// Points and boxes, in pixels of the picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prompt {
    /// x, y, and whether what is there belongs to the mask (true) or must not (false).
    pub points: Vec<(f32, f32, bool)>,
    /// Left, top, right, bottom of boxes around what is wanted. Each box gives a mask of its own, with the points to
    /// include that lie in it and all points to leave out; the masks are united.
    pub boxes: Vec<[f32; 4]>,
}

/// What a prompt shows.
#[derive(Debug, Clone)]
pub struct Segment {
    /// How likely each pixel belongs to it, 0 to 255, at the picture's size; from 128 on it does.
    pub mask: GrayImage,
    /// The overlap (intersection over union) with the right mask that the network expects, 0 to about 1.
    pub score: f32,
}

/// Outlines what a point or a box shows: MobileSAM (Zhang et al. 2023), a small Segment Anything.
///
/// ```no_run
/// let picture = image::open("poster.png").expect("a picture").to_rgb8();
/// let go_on = || false;
/// let embedding = draft::Segmenter::new().embed(&picture, &go_on).expect("an embedding"); // about a second
/// let prompt = draft::Prompt { points: vec![(400.0, 300.0, true)], ..Default::default() };
/// let segment = embedding.segment(&prompt, &go_on).expect("a mask"); // about a tenth of a second
/// segment.mask.save("mask.png").expect("written");
/// ```
#[derive(Clone)]
pub struct Segmenter {
    encoder: Arc<Network>,
    decoder: Arc<Network>,
    ends: Arc<Ends>,
}

/// What the networks call their inputs and outputs.
struct Ends {
    picture: String,
    embedding: String,
    /// The encoder takes pictures as they are, not normalised ones.
    raw: bool,
    decoder_inputs: Vec<String>,
}

/// What the network sees in a picture; prompts are answered from it. It takes 4 MB.
#[derive(Clone)]
pub struct Embedding {
    segmenter: Segmenter,
    values: Vec<f32>,
    /// Size of the picture.
    size: (usize, usize),
    /// Pixels of the encoder's picture for each of the picture, across and down.
    scale: [f32; 2],
}

/// A mask of the decoder: the square that holds the padded picture.
pub(crate) struct Candidate {
    pub logits: Gray,
    /// Cells of `logits` for each pixel of the picture, across and down.
    scale: [f32; 2],
    size: (usize, usize),
    pub score: f32,
}

impl Default for Segmenter {
    fn default() -> Self {
        DEFAULT.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_else(Self::new)
    }
}

impl Segmenter {
    /// The networks that ship with the crate, with weights of 8 bits. They are read at the first run.
    pub fn new() -> Self {
        let ends = Ends {
            picture: "input_image".to_owned(),
            embedding: "image_embeddings".to_owned(),
            raw: false,
            decoder_inputs: ["image_embeddings", "point_coords", "point_labels"].map(str::to_owned).to_vec(),
        };
        Self { encoder: ENCODER.clone(), decoder: DECODER.clone(), ends: Arc::new(ends) }
    }

    /// Networks in ONNX as their authors export them: an encoder that takes normalised pictures of 1024 x 1024
    /// (batch, channels, height, width) or pictures of any size (height, width, channels, 0 to 255), and a decoder with
    /// `low_res_masks` and `iou_predictions`.
    ///
    /// # Errors
    /// [`SegmentError::Network`] when a file cannot be read or is another network.
    pub fn from_files(encoder: &Path, decoder: &Path) -> Result<Self, SegmentError> {
        let unfit = |path: &Path, what: &str| SegmentError::Network(format!("{} is no {what}", path.display()));
        let (encoder_path, decoder_path) = (encoder, decoder);
        let (encoder, decoder) = (Network::open(encoder)?, Network::open(decoder)?);
        let (inputs, outputs) = (encoder.inputs()?, encoder.outputs()?);
        let ([(picture, axes)], Some(embedding)) = (inputs.as_slice(), outputs.first()) else {
            return Err(unfit(encoder_path, "encoder of pictures: it has more than one input"));
        };
        let ends = Ends {
            picture: picture.clone(),
            embedding: embedding.clone(),
            raw: *axes == Some(3),
            decoder_inputs: decoder.inputs()?.into_iter().map(|(name, _)| name).collect(),
        };
        let (inputs, outputs) = (&ends.decoder_inputs, decoder.outputs()?);
        let has = |names: &[String], wanted: &str| names.iter().any(|name| name == wanted);
        let fits = ["image_embeddings", "point_coords", "point_labels"].iter().all(|name| has(inputs, name))
            && ["low_res_masks", "iou_predictions"].iter().all(|name| has(&outputs, name));
        if !fits {
            return Err(unfit(decoder_path, "decoder of prompts"));
        }
        Ok(Self { encoder: Arc::new(encoder), decoder: Arc::new(decoder), ends: Arc::new(ends) })
    }

    /// Makes this segmenter the one that [`Segmenter::default`] gives and that [`decompose`](crate::decompose) uses in
    /// this process from now on.
    pub fn make_default(self) {
        *DEFAULT.write().unwrap_or_else(PoisonError::into_inner) = Some(self);
    }

    /// Reads the networks ahead of the first run, about 50 ms.
    pub fn prepare(&self) {
        self.encoder.prepare();
        self.decoder.prepare();
    }

    /// Looks at a picture, once for all prompts. `stopped` is asked every 20 ms; the threads of an abandoned run finish
    /// within about a second.
    ///
    /// # Errors
    /// [`SegmentError::Stopped`] if `stopped` returned true; [`SegmentError::Empty`] for a picture without pixels;
    /// [`SegmentError::Network`] if the network cannot be run.
    pub fn embed(&self, picture: &RgbImage, stopped: &dyn Fn() -> bool) -> Result<Embedding, SegmentError> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let data = picture.pixels().map(|pixel| pixel.0).collect();
        self.embed_plane(&Plane { width, height, data }, stopped)
    }

    pub(crate) fn embed_plane(&self, picture: &Rgb8, stopped: &dyn Fn() -> bool) -> Result<Embedding, SegmentError> {
        let size = (picture.width, picture.height);
        if size.0 == 0 || size.1 == 0 {
            return Err(SegmentError::Empty);
        }
        let scale = ENCODER_SIDE as f32 / size.0.max(size.1) as f32;
        let side = |length: usize| ((length as f32 * scale).round() as usize).clamp(1, ENCODER_SIDE);
        let small = resize_rgb(picture, side(size.0), side(size.1));
        let scale = [small.width as f32 / size.0 as f32, small.height as f32 / size.1 as f32];
        let values = if self.ends.raw { raw(&small) } else { normalised(&small) };
        let inputs = vec![(self.ends.picture.clone(), values)];
        let found = self.encoder.run_named(inputs, &[&self.ends.embedding], stopped)?;
        match found.into_iter().next() {
            Some((shape, values)) if shape == EMBEDDING => {
                Ok(Embedding { segmenter: self.clone(), values, size, scale })
            }
            _ => Err(SegmentError::Network("the encoder gives an embedding of another shape".to_owned())),
        }
    }
}

/// Height, width, channels; 0 to 255.
fn raw(picture: &Rgb8) -> Values {
    let values = picture.data.iter().flatten().map(|&value| f32::from(value)).collect();
    (vec![picture.height, picture.width, 3], values)
}

/// One picture, channels, height, width: normalised, and padded with zeros to a square.
fn normalised(picture: &Rgb8) -> Values {
    let mut values = vec![0.0; 3 * ENCODER_SIDE * ENCODER_SIDE];
    for (c, channel) in values.chunks_exact_mut(ENCODER_SIDE * ENCODER_SIDE).enumerate() {
        for (y, row) in channel.chunks_exact_mut(ENCODER_SIDE).take(picture.height).enumerate() {
            for (value, pixel) in row.iter_mut().zip(picture.row(y)) {
                *value = (f32::from(pixel[c]) - MEAN[c]) / DEVIATION[c];
            }
        }
    }
    (vec![1, 3, ENCODER_SIDE, ENCODER_SIDE], values)
}

impl Embedding {
    /// The most likely mask for a prompt.
    ///
    /// # Errors
    /// [`SegmentError::Stopped`] if `stopped` returned true; [`SegmentError::NoPrompt`] without a point to include and
    /// without a box; [`SegmentError::Network`] if the network cannot be run.
    pub fn segment(&self, prompt: &Prompt, stopped: &dyn Fn() -> bool) -> Result<Segment, SegmentError> {
        let (width, height) = self.size;
        let mut united: Option<(Gray, f32)> = None;
        for prompt in one_by_one(prompt)? {
            let best = best(self.candidates(&prompt, stopped)?)?;
            let mask = best.probability(width, height);
            united = Some(match united {
                None => (mask, best.score),
                Some((other, score)) => (other.zip(&mask, f32::max), score.min(best.score)),
            });
        }
        let (mask, score) = united.ok_or(SegmentError::NoPrompt)?;
        Ok(Segment { mask: picture_of(&mask), score })
    }

    /// All masks that the network offers for a prompt with at most one box, likeliest first: of a point on a face, the
    /// face, the person, the group.
    ///
    /// # Errors
    /// Those of [`Self::segment`].
    pub fn offers(&self, prompt: &Prompt, stopped: &dyn Fn() -> bool) -> Result<Vec<Segment>, SegmentError> {
        let (width, height) = self.size;
        let prompt = one_by_one(prompt)?.swap_remove(0);
        let mut offers = self.candidates(&prompt, stopped)?;
        // Stable: of equals, the first.
        offers.sort_by(|a, b| b.score.total_cmp(&a.score));
        let segment =
            |offer: &Candidate| Segment { mask: picture_of(&offer.probability(width, height)), score: offer.score };
        Ok(offers.iter().map(segment).collect())
    }

    /// Width and height of the picture.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.size
    }

    /// The decoder's masks for a prompt with at most one box.
    pub(crate) fn candidates(
        &self,
        prompt: &Prompt,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<Candidate>, SegmentError> {
        let mut points: Vec<([f32; 2], f32)> = Vec::with_capacity(prompt.points.len() + 2);
        points.extend(prompt.points.iter().map(|&(x, y, inside)| ([x, y], if inside { INSIDE } else { OUTSIDE })));
        match prompt.boxes.first() {
            Some(&[x0, y0, x1, y1]) => points.extend([([x0, y0], TOP_LEFT), ([x1, y1], BOTTOM_RIGHT)]),
            None => points.push(([0.0; 2], NOTHING)),
        }
        let count = points.len();
        let places = points.iter().flat_map(|([x, y], _)| [x * self.scale[0], y * self.scale[1]]).collect();
        let labels = points.iter().map(|&(_, label)| label).collect();
        let decoder = &self.segmenter.decoder;
        let given = |name: &str| match name {
            "image_embeddings" => (EMBEDDING.to_vec(), self.values.clone()),
            "point_coords" => (vec![1, count, 2], Vec::clone(&places)),
            "point_labels" => (vec![1, count], Vec::clone(&labels)),
            "mask_input" => (vec![1, 1, MASK_SIDE, MASK_SIDE], vec![0.0; MASK_SIDE * MASK_SIDE]),
            "has_mask_input" => (vec![1], vec![0.0]),
            _ => (vec![2], vec![MASK_SIDE as f32; 2]),
        };
        let inputs = self.segmenter.ends.decoder_inputs.iter().map(|name| (name.clone(), given(name))).collect();
        let outputs = decoder.run_named(inputs, &["low_res_masks", "iou_predictions"], stopped)?;
        let [(_, masks), (_, scores)] = outputs.as_slice() else {
            return Err(SegmentError::Network("the decoder has two outputs".to_owned()));
        };
        let cells = MASK_SIDE * MASK_SIDE;
        if scores.is_empty() || masks.len() != scores.len() * cells {
            return Err(SegmentError::Network("the decoder gives masks of another size".to_owned()));
        }
        // The first of several is for prompts that leave no doubt; the others answer all that a prompt may mean.
        let first = usize::from(scores.len() > 1 && count <= 2);
        let scale = self.scale.map(|scale| scale * MASK_SIDE as f32 / ENCODER_SIDE as f32);
        let candidate = |(mask, &score): (&[f32], &f32)| Candidate {
            logits: Plane {
                width: MASK_SIDE,
                height: MASK_SIDE,
                data: mask.iter().map(|v| (v * STEADY).round() / STEADY).collect(),
            },
            scale,
            size: self.size,
            score: (score * STEADY).round() / STEADY,
        };
        Ok(masks.chunks_exact(cells).zip(scores).skip(first).map(candidate).collect())
    }
}

/// A prompt for each box, or the points alone.
fn one_by_one(prompt: &Prompt) -> Result<Vec<Prompt>, SegmentError> {
    if prompt.boxes.is_empty() {
        let any = prompt.points.iter().any(|point| point.2);
        return if any { Ok(vec![prompt.clone()]) } else { Err(SegmentError::NoPrompt) };
    }
    let part = |&rect: &[f32; 4]| {
        let [x0, y0, x1, y1] = rect;
        let in_box = |x: f32, y: f32| (x0..=x1).contains(&x) && (y0..=y1).contains(&y);
        let points = prompt.points.iter().copied().filter(|&(x, y, inside)| !inside || in_box(x, y)).collect();
        Prompt { points, boxes: vec![rect] }
    };
    Ok(prompt.boxes.iter().map(part).collect())
}

/// The likeliest; of equals, the first.
pub(crate) fn best(candidates: Vec<Candidate>) -> Result<Candidate, SegmentError> {
    let better = |best: Candidate, other: Candidate| if other.score > best.score { other } else { best };
    candidates.into_iter().reduce(better).ok_or_else(|| SegmentError::Network("no masks".to_owned()))
}

impl Candidate {
    /// The mask at another size of the picture, before the logistic function: from 0 on a pixel belongs to it.
    pub(crate) fn at_size(&self, width: usize, height: usize) -> Gray {
        let axis = |length: usize, whole: usize, scale: f32| -> Vec<(usize, f32)> {
            let step = whole as f32 / length as f32 * scale;
            let place = |k: usize| ((k as f32 + 0.5) * step - 0.5).clamp(0.0, (MASK_SIDE - 1) as f32);
            (0..length).map(place).map(|p| ((p as usize).min(MASK_SIDE - 2), p)).collect()
        };
        let (columns, rows) = (axis(width, self.size.0, self.scale[0]), axis(height, self.size.1, self.scale[1]));
        let mut out = Plane::new(width, height, 0.0);
        for_rows(&mut out.data, width, |y, target| {
            let (top, v) = rows[y];
            let (above, below, v) = (self.logits.row(top), self.logits.row(top + 1), v - top as f32);
            for (value, &(left, u)) in target.iter_mut().zip(&columns) {
                let u = u - left as f32;
                let across = |row: &[f32]| row[left] + (row[left + 1] - row[left]) * u;
                *value = across(above) + (across(below) - across(above)) * v;
            }
        });
        out
    }

    /// The probability that a pixel belongs to the mask, 0 to 1.
    fn probability(&self, width: usize, height: usize) -> Gray {
        self.at_size(width, height).map(|logit| 1.0 / (1.0 + exp(-logit)))
    }
}

fn picture_of(mask: &Gray) -> GrayImage {
    let value = |x: u32, y: u32| (mask.at(x as usize, y as usize) * 255.0 + 0.5) as u8;
    GrayImage::from_fn(mask.width as u32, mask.height as u32, |x, y| Luma([value(x, y)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A red disk and a blue square on sand.
    fn scene() -> RgbImage {
        RgbImage::from_fn(300, 200, |x, y| {
            let grain = ((x * 31 + y * 17) % 7) as u8;
            if x.abs_diff(90).pow(2) + y.abs_diff(100).pow(2) < 45 * 45 {
                image::Rgb([200 + grain, 40, 30])
            } else if (190..260).contains(&x) && (60..140).contains(&y) {
                image::Rgb([30, 60, 170 + grain])
            } else {
                image::Rgb([225 + grain, 205 + grain, 160])
            }
        })
    }

    fn overlap(mask: &GrayImage, inside: impl Fn(u32, u32) -> bool) -> f32 {
        let (mut both, mut either) = (0, 0);
        for (x, y, value) in mask.enumerate_pixels() {
            let (a, b) = (value[0] >= 128, inside(x, y));
            both += u32::from(a && b);
            either += u32::from(a || b);
        }
        both as f32 / either as f32
    }

    fn disk(x: u32, y: u32) -> bool {
        x.abs_diff(90).pow(2) + y.abs_diff(100).pow(2) < 45 * 45
    }

    fn square(x: u32, y: u32) -> bool {
        (190..260).contains(&x) && (60..140).contains(&y)
    }

    #[test]
    fn points_and_boxes_outline_what_they_show() {
        let embedding = Segmenter::new().embed(&scene(), &|| false).expect("an embedding");
        let point = Prompt { points: vec![(90.0, 100.0, true)], ..Default::default() };
        let found = embedding.segment(&point, &|| false).expect("a mask");
        assert_eq!((found.mask.width(), found.mask.height()), (300, 200));
        assert!(overlap(&found.mask, disk) > 0.93, "{}", overlap(&found.mask, disk));
        let both = Prompt { points: Vec::new(), boxes: vec![[43.0, 53.0, 137.0, 147.0], [186.0, 56.0, 264.0, 144.0]] };
        let found = embedding.segment(&both, &|| false).expect("a mask");
        let overlap = overlap(&found.mask, |x, y| disk(x, y) || square(x, y));
        assert!(overlap > 0.93 && found.score > 0.7, "{overlap}, {}", found.score);
        let again = embedding.segment(&both, &|| false).expect("a mask");
        assert!(again.mask == found.mask, "the same prompt gives the same mask");
        assert_eq!(embedding.offers(&point, &|| false).expect("masks").len(), 3);
        let nothing = Prompt { points: vec![(90.0, 100.0, false)], ..Default::default() };
        assert_eq!(embedding.segment(&nothing, &|| false).err(), Some(SegmentError::NoPrompt));
        assert_eq!(embedding.segment(&point, &|| true).err(), Some(SegmentError::Stopped));
    }

    #[test]
    fn pictures_of_any_size_can_be_looked_at() {
        let segmenter = Segmenter::new();
        assert_eq!(segmenter.embed(&RgbImage::new(0, 3), &|| false).err(), Some(SegmentError::Empty));
        let embedding = segmenter.embed(&RgbImage::new(1, 3), &|| false).expect("an embedding");
        let prompt = Prompt { points: vec![(0.0, 1.0, true)], ..Default::default() };
        let found = embedding.segment(&prompt, &|| false).expect("a mask");
        assert_eq!((found.mask.width(), found.mask.height()), (1, 3));
    }

    #[test]
    fn files_that_are_no_networks_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("encoder.onnx");
        std::fs::write(&file, b"no network").expect("written");
        assert!(matches!(Segmenter::from_files(&file, &file), Err(SegmentError::Network(_))));
    }

    #[test]
    fn the_files_of_the_crate_can_be_loaded_from_disk() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let (encoder, decoder) = (models.join("segment-encoder.onnx"), models.join("segment-decoder.onnx"));
        assert!(Segmenter::from_files(&encoder, &decoder).is_ok());
        assert!(matches!(Segmenter::from_files(&decoder, &encoder), Err(SegmentError::Network(_))));
    }
}

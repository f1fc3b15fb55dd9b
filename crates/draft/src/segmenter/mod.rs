//! Outlines of what a point or a box shows.

mod embedding;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use ::networks::{Network, NetworkError, Values};
use image::{GrayImage, RgbImage};

use crate::filter::resize_rgb;
use crate::plane::{Plane, Rgb8};
pub use embedding::Embedding;

static ENCODER: LazyLock<Arc<Network>> =
    LazyLock::new(|| Arc::new(Network::new(include_bytes!("../../models/segment-encoder.onnx"))));
static DECODER: LazyLock<Arc<Network>> =
    LazyLock::new(|| Arc::new(Network::new(include_bytes!("../../models/segment-decoder.onnx"))));

/// What [`Segmenter::make_default`] was called with.
static DEFAULT: RwLock<Option<Segmenter>> = RwLock::new(None);

/// Long side in pixels to which the encoder takes pictures, padded to a square.
const ENCODER_SIDE: usize = 1024;
/// Mean and deviation of the pictures that it was trained on, 0 to 255, red, green, blue.
const MEAN: [f32; 3] = [123.675, 116.28, 103.53];
const DEVIATION: [f32; 3] = [58.395, 57.12, 57.375];
/// Shape of what it makes of a picture.
const EMBEDDING: [usize; 4] = [1, 256, 64, 64];

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
/// let embedding = draft::Segmenter::built_in().embed(&picture, &go_on).expect("an embedding"); // about a second
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

impl Default for Segmenter {
    fn default() -> Self {
        DEFAULT.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_else(Self::built_in)
    }
}

impl Segmenter {
    /// The networks that ship with the crate, with weights of 8 bits. They are read at the first run.
    pub fn built_in() -> Self {
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

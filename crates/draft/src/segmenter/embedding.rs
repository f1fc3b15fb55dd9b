//! Answers to prompts from what the encoder has seen in a picture.

use image::{GrayImage, Luma};

use super::{EMBEDDING, ENCODER_SIDE, Prompt, Segment, SegmentError, Segmenter};
use crate::numeric::exp;
use crate::plane::{Gray, Plane, for_rows};

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

/// What the network sees in a picture; prompts are answered from it. It takes 4 MB.
#[derive(Clone)]
pub struct Embedding {
    pub(super) segmenter: Segmenter,
    pub(super) values: Vec<f32>,
    /// Size of the picture.
    pub(super) size: (usize, usize),
    /// Pixels of the encoder's picture for each of the picture, across and down.
    pub(super) scale: [f32; 2],
}

/// A mask of the decoder: the square that holds the padded picture.
pub(crate) struct Candidate {
    pub logits: Gray,
    /// Cells of `logits` for each pixel of the picture, across and down.
    scale: [f32; 2],
    size: (usize, usize),
    pub score: f32,
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
fn best(candidates: Vec<Candidate>) -> Result<Candidate, SegmentError> {
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

//! The networks that find objects and people.

use std::sync::{Arc, LazyLock};

use ::networks::{Network, NetworkError};

use super::steady;
use crate::filter::resize_rgb;
use crate::monitor::Monitor;
use crate::numeric::exp;
use crate::plane::{Gray, Plane, Rgb8};

static DETECTOR: LazyLock<Arc<Network>> =
    LazyLock::new(|| Arc::new(Network::new(include_bytes!("../../models/object-detection.onnx"))));
static PEOPLE: Network = Network::new(include_bytes!("../../models/people.onnx"));

/// Sides in pixels of the networks' inputs.
const DETECTOR_SIDE: usize = 320;
const PEOPLE_SIDE: usize = 256;
/// Size of the smallest anchors, in cells of their level.
const ANCHOR_SCALE: f32 = 3.0;
/// Least score of a box, and the overlap (intersection over union) from which two boxes show the same thing.
const LEAST_SCORE: f32 = 0.3;
const SAME_BOX: f32 = 0.5;
/// Most boxes of a picture.
const MOST_BOXES: usize = 24;

/// COCO's classes by their number; empty where the data set has none.
const CLASSES: [&str; 90] = [
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic_light",
    "fire_hydrant",
    "",
    "stop_sign",
    "parking_meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "",
    "backpack",
    "umbrella",
    "",
    "",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports_ball",
    "kite",
    "baseball_bat",
    "baseball_glove",
    "skateboard",
    "surfboard",
    "tennis_racket",
    "bottle",
    "",
    "wine_glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot_dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted_plant",
    "bed",
    "",
    "dining_table",
    "",
    "",
    "toilet",
    "",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell_phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy_bear",
    "hair_drier",
    "toothbrush",
];

/// The class of people.
pub(crate) const PERSON: &str = "person";

/// Something that the detector sees.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sighting {
    /// Left, top, right, bottom as shares of the picture, 0 to 1.
    pub bounds: [f32; 4],
    /// One of COCO's classes in snake case.
    pub class: &'static str,
    /// How sure the detector is, 0 to 1.
    pub score: f32,
}

/// What EfficientDet-Lite0 sees in a picture, surest first.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn detect(image: &Rgb8, monitor: &Monitor) -> Result<Vec<Sighting>, NetworkError> {
    let values = planar(image, DETECTOR_SIDE, |value| (f32::from(value) - 127.0) / 128.0);
    let input = vec![("picture".to_owned(), (vec![1, 3, DETECTOR_SIDE, DETECTOR_SIDE], values))];
    let outputs = DETECTOR.run_named(input, &["scores", "boxes"], &|| monitor.check().is_err())?;
    let [(shape, scores), (_, offsets)] = outputs.as_slice() else {
        return Err(NetworkError::Failed("the detector has two outputs".to_owned()));
    };
    let anchors = anchors();
    let classes = shape.last().copied().unwrap_or(0);
    if classes != CLASSES.len() || scores.len() != anchors.len() * classes || offsets.len() != anchors.len() * 4 {
        return Err(NetworkError::Failed("the detector has other classes or anchors".to_owned()));
    }
    let mut found = Vec::new();
    for ((anchor, scores), offset) in anchors.iter().zip(scores.chunks_exact(classes)).zip(offsets.chunks_exact(4)) {
        let best = (0..classes).fold(0, |best, k| if scores[k] > scores[best] { k } else { best });
        let score = steady(scores[best]);
        if score > LEAST_SCORE && !CLASSES[best].is_empty() {
            found.push(Sighting { bounds: anchor.moved(offset), class: CLASSES[best], score });
        }
    }
    Ok(distinct(found))
}

/// Where people are (MediaPipe's selfie segmenter), 0 to 1, as a square map.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn people(image: &Rgb8, monitor: &Monitor) -> Result<Gray, NetworkError> {
    let values = planar(image, PEOPLE_SIDE, |value| f32::from(value) / 255.0);
    let (_, data) = PEOPLE.run(&[1, 3, PEOPLE_SIDE, PEOPLE_SIDE], values, &|| monitor.check().is_err())?;
    if data.len() != PEOPLE_SIDE * PEOPLE_SIDE {
        return Err(NetworkError::Failed("the map of people has another size".to_owned()));
    }
    Ok(Plane { width: PEOPLE_SIDE, height: PEOPLE_SIDE, data: data.into_iter().map(steady).collect() })
}

/// The picture as a square, channel after channel.
fn planar(image: &Rgb8, side: usize, normalise: impl Fn(u8) -> f32) -> Vec<f32> {
    let small = resize_rgb(image, side, side);
    (0..3).flat_map(|c| small.data.iter().map(move |pixel| pixel[c])).map(normalise).collect()
}

/// A box that the detector moves: centre and size in pixels of its input.
struct Anchor {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
}

/// The anchors of EfficientDet (Tan, Pang, Le 2020): five levels, three sizes, three proportions.
fn anchors() -> Vec<Anchor> {
    let mut all = Vec::with_capacity(19_206);
    for level in 3..8 {
        let stride = 1 << level;
        let cells = DETECTOR_SIDE.div_ceil(stride);
        for cell in 0..cells * cells {
            let place = |index: usize| (index as f32 + 0.5) * stride as f32;
            for octave in 0..3 {
                for proportion in [1.0f32, 2.0, 0.5] {
                    let size = ANCHOR_SCALE * stride as f32 * exp(octave as f32 / 3.0 * std::f32::consts::LN_2);
                    let root = proportion.sqrt();
                    all.push(Anchor {
                        x: place(cell % cells),
                        y: place(cell / cells),
                        width: size * root,
                        height: size / root,
                    });
                }
            }
        }
    }
    all
}

impl Anchor {
    /// Moved and stretched by the network's four numbers; as shares of the picture.
    fn moved(&self, offset: &[f32]) -> [f32; 4] {
        let (y, x) = (offset[0] * self.height + self.y, offset[1] * self.width + self.x);
        let (height, width) = (exp(offset[2].min(8.0)) * self.height, exp(offset[3].min(8.0)) * self.width);
        let share = |v: f32| steady(v / DETECTOR_SIDE as f32).clamp(0.0, 1.0);
        [share(x - width / 2.0), share(y - height / 2.0), share(x + width / 2.0), share(y + height / 2.0)]
    }
}

/// Intersection over union of two boxes.
pub(crate) fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |r: [f32; 4]| (r[2] - r[0]).max(0.0) * (r[3] - r[1]).max(0.0);
    let common = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    common / (area(a) + area(b) - common).max(1e-9)
}

/// Surest first, without what a surer one shows already.
fn distinct(mut found: Vec<Sighting>) -> Vec<Sighting> {
    // Stable: of equals, the first anchor.
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Sighting> = Vec::new();
    for sighting in found {
        if kept.len() < MOST_BOXES && kept.iter().all(|other| overlap(other.bounds, sighting.bounds) <= SAME_BOX) {
            kept.push(sighting);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::monitor;

    #[test]
    fn there_is_an_anchor_for_each_row_of_the_network() {
        let anchors = anchors();
        assert_eq!(anchors.len(), 19_206);
        let still = anchors[0].moved(&[0.0; 4]);
        let half = 12.0 / 320.0;
        let middle = 4.0 / 320.0;
        assert!((still[2] - (middle + half)).abs() < 1e-3 && still[0] == 0.0, "{still:?}");
    }

    #[test]
    fn every_class_is_a_code_of_a_label() {
        // The last eighty codes, in the order of the data set.
        let classes: Vec<&str> = CLASSES.iter().copied().filter(|class| !class.is_empty()).collect();
        let things = layers::Label::THINGS;
        let coco = things.iter().position(|&thing| thing == PERSON).map(|first| &things[first..]);
        assert_eq!(coco.map(<[_]>::to_vec), Some(classes));
    }

    #[test]
    fn of_two_boxes_on_one_thing_the_surer_stays() {
        let sighting = |left: f32, score: f32| Sighting { bounds: [left, 0.0, left + 0.4, 0.5], class: "cat", score };
        let kept = distinct(vec![sighting(0.1, 0.5), sighting(0.12, 0.8), sighting(0.6, 0.4)]);
        assert_eq!(kept, [sighting(0.12, 0.8), sighting(0.6, 0.4)]);
    }

    #[test]
    fn a_plain_picture_shows_nothing() {
        let plain = Plane::new(200, 150, [120, 160, 90]);
        let (monitor, _reporter) = monitor();
        assert!(detect(&plain, &monitor).expect("nobody stops it").is_empty());
        let people = people(&plain, &monitor).expect("nobody stops it");
        assert!(people.data.iter().all(|&p| p < 0.5));
    }
}

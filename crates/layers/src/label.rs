use std::fmt;

use serde::{Deserialize, Serialize};

/// What a layer shows, in codes, so that a program can name it in its reader's language: "Yellow circle 2".
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Label {
    /// One of [`Label::THINGS`]. Newer versions may know more.
    pub thing: String,
    /// One of [`Label::COLOURS`]; absent for what has many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<String>,
    /// Tells it from others of the same thing and colour, from 1; absent for the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
}

impl Label {
    /// Every code of a thing: parts of a poster, shapes, and the eighty things of the COCO data set.
    pub const THINGS: &'static [&'static str] = &[
        "background",
        "subject",
        "people",
        "text",
        "headline",
        "small_print",
        "logo",
        "object",
        "objects",
        "ornament",
        "shadow",
        "circle",
        "ellipse",
        "ring",
        "square",
        "rectangle",
        "triangle",
        "star",
        "heart",
        "arrow",
        "line",
        "frame",
        "shape",
        "shapes",
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
        "backpack",
        "umbrella",
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
        "dining_table",
        "toilet",
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
        "book",
        "clock",
        "vase",
        "scissors",
        "teddy_bear",
        "hair_drier",
        "toothbrush",
    ];

    /// Every code of a colour: the eleven basic ones of Berlin and Kay (1969), and those that posters are full of beside.
    pub const COLOURS: &'static [&'static str] = &[
        "black",
        "white",
        "grey",
        "beige",
        "brown",
        "red",
        "orange",
        "yellow",
        "green",
        "cyan",
        "turquoise",
        "blue",
        "purple",
        "pink",
    ];

    /// A label without colour and number.
    pub fn new(thing: impl Into<String>) -> Self {
        Self { thing: thing.into(), colour: None, number: None }
    }
}

/// In English: "Yellow circle 2".
impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match &self.colour {
            Some(colour) => format!("{colour} {}", self.thing),
            None => self.thing.clone(),
        };
        let words = words.replace('_', " ");
        let mut letters = words.chars();
        letters.next().map_or(Ok(()), |first| write!(f, "{}{}", first.to_uppercase(), letters.as_str()))?;
        self.number.map_or(Ok(()), |number| write!(f, " {number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_as_people_write() {
        let label = |thing: &str, colour: Option<&str>, number| Label {
            thing: thing.to_owned(),
            colour: colour.map(str::to_owned),
            number,
        };
        assert_eq!(label("circle", Some("yellow"), Some(2)).to_string(), "Yellow circle 2");
        assert_eq!(Label::new("traffic_light").to_string(), "Traffic light");
        assert_eq!(label("", None, None).to_string(), "");
    }

    #[test]
    fn a_label_is_stored_without_what_it_lacks() {
        let json = serde_json::to_string(&Label::new("bus")).unwrap();
        assert_eq!(json, r#"{"thing":"bus"}"#);
        assert_eq!(serde_json::from_str::<Label>(&json).unwrap(), Label::new("bus"));
    }

    #[test]
    fn every_code_is_there_once() {
        for codes in [Label::THINGS, Label::COLOURS] {
            let mut sorted = codes.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), codes.len());
            assert!(codes.iter().all(|code| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
        }
    }
}

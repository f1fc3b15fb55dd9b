//! The words for colours.

use crate::colour::{WIDER, distance_squared, oklab};

/// A layer is named after a colour that more than this share of its pixels has.
const MAIN_COLOUR_SHARE: f32 = 0.6;

/// Otherwise it is named after its mean colour, if pixels closer to the mean than this, in the units of [`oklab`],
const SHADE_DISTANCE: f32 = 0.22;
/// are more than this share of it.
const SHADES_SHARE: f32 = 0.9;

/// It is painted in one colour if pixels closer to the mean than this
const FLAT_DISTANCE: f32 = 0.1;
/// are more than this share of it.
const FLAT_SHARE: f32 = 0.75;

/// The colour of most pixels, or their mean if they are shades of it; `None` for several colours.
pub(crate) fn main_colour(colours: &[[u8; 3]]) -> Option<&'static str> {
    let words: Vec<_> = colours.iter().map(|colour| colour_word(*colour)).collect();
    let count = |word: &str| words.iter().filter(|one| **one == word).count();
    let most = WORDS.into_iter().max_by_key(|word| count(word))?;
    if count(most) as f32 > MAIN_COLOUR_SHARE * words.len() as f32 {
        return Some(most);
    }
    let shades = share_near_mean(colours, SHADE_DISTANCE);
    (shades > SHADES_SHARE).then(|| colour_word(mean(colours)))
}

/// Whether these are the pixels of something painted in one colour rather than photographed.
pub(crate) fn is_flat(colours: &[[u8; 3]]) -> bool {
    share_near_mean(colours, FLAT_DISTANCE) > FLAT_SHARE
}

fn mean(colours: &[[u8; 3]]) -> [u8; 3] {
    let sum = |channel: usize| colours.iter().map(|colour| u64::from(colour[channel])).sum::<u64>();
    [0, 1, 2].map(|channel| (sum(channel) / colours.len().max(1) as u64) as u8)
}

/// Share of the colours that are closer to their mean than `distance`.
fn share_near_mean(colours: &[[u8; 3]], distance: f32) -> f32 {
    let middle = oklab(mean(colours));
    let near = |colour: &&[u8; 3]| distance_squared(oklab(**colour), middle) < distance * distance;
    colours.iter().filter(near).count() as f32 / colours.len().max(1) as f32
}

const WORDS: [&str; 13] = [
    "black",
    "white",
    "grey",
    "beige",
    "brown",
    "red",
    "orange",
    "yellow",
    "green",
    "turquoise",
    "blue",
    "purple",
    "pink",
];

/// One of [`WORDS`] for an sRGB colour: the eleven basic ones of Berlin and Kay (1969), with beige and turquoise, which
/// posters are full of. The bounds are in Oklab's lightness, chroma and hue, set by eye.
fn colour_word(rgb: [u8; 3]) -> &'static str {
    let [lightness, a, b] = oklab(rgb);
    let chroma = (a * a + b * b).sqrt() / WIDER;
    if chroma < 0.03 {
        return match lightness {
            dark if dark < 0.3 => "black",
            light if light > 0.93 => "white",
            _ => "grey",
        };
    }
    if lightness < 0.2 {
        return "black";
    }
    let hue = libm::atan2f(b, a).to_degrees().rem_euclid(360.0);
    match hue {
        hue if hue < 15.0 => "pink",
        hue if hue < 42.0 && lightness > 0.72 => "pink",
        hue if hue < 42.0 && lightness > 0.4 && chroma > 0.1 => "red",
        hue if hue < 100.0 && lightness < 0.55 => "brown",
        hue if (42.0..105.0).contains(&hue) && chroma < 0.09 && lightness > 0.7 => "beige",
        hue if hue < 42.0 => "red",
        hue if hue < 80.0 => "orange",
        hue if hue < 115.0 => "yellow",
        hue if hue < 172.0 => "green",
        hue if hue < 220.0 => "turquoise",
        hue if hue < 290.0 => "blue",
        hue if hue < 328.0 => "purple",
        _ => "pink",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_have_the_words_that_people_use() {
        for (word, examples) in [
            ("black", &[[0, 0, 0], [20, 24, 30], [10, 10, 40]][..]),
            ("white", &[[255, 255, 255], [250, 248, 244]]),
            ("grey", &[[128, 128, 128], [200, 202, 198]]),
            ("beige", &[[230, 205, 170], [235, 220, 190], [226, 180, 150]]),
            ("brown", &[[110, 70, 40], [92, 51, 23], [120, 90, 40]]),
            ("red", &[[255, 0, 0], [214, 40, 40], [160, 20, 30]]),
            ("orange", &[[255, 140, 0], [240, 120, 40]]),
            ("yellow", &[[255, 230, 0], [250, 210, 60]]),
            ("green", &[[0, 160, 60], [60, 120, 50], [120, 200, 80]]),
            ("turquoise", &[[0, 170, 170], [64, 224, 208]]),
            ("blue", &[[24, 70, 170], [0, 0, 255], [90, 160, 230]]),
            ("purple", &[[120, 40, 160], [150, 90, 200]]),
            ("pink", &[[255, 105, 180], [250, 170, 180], [230, 30, 120]]),
        ] {
            assert!(WORDS.contains(&word) && layers::Label::COLOURS.contains(&word));
            for example in examples {
                assert_eq!(colour_word(*example), word, "{example:?}");
            }
        }
    }

    #[test]
    fn shades_of_one_colour_are_that_colour_but_not_flat() {
        let sun: Vec<[u8; 3]> = (0..90).map(|k| [[240, 100, 72], [245, 138, 92], [252, 184, 120]][k / 30]).collect();
        assert_eq!((main_colour(&sun), is_flat(&sun)), (Some("orange"), false));
        let flat: Vec<[u8; 3]> = (0..90).map(|k| [240, 130, 40 + k % 7]).collect();
        assert_eq!((main_colour(&flat), is_flat(&flat)), (Some("orange"), true));
        let both: Vec<[u8; 3]> = (0..90).map(|k| if k < 45 { [0, 160, 60] } else { [24, 70, 170] }).collect();
        assert_eq!((main_colour(&both), is_flat(&both)), (None, false));
        assert_eq!(main_colour(&[]), None);
    }
}

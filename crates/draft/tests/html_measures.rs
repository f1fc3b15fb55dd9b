//! The measures of the benchmark on HTML posters (`benches/draft/html`), which has no test harness of its own.

#![allow(dead_code, reason = "the benchmark uses more of these modules than their tests")]

#[path = "../benches/draft/html/canvas.rs"]
mod canvas;
#[path = "../benches/draft/html/measures.rs"]
mod measures;
#[path = "../benches/draft/html/names.rs"]
mod names;
#[path = "../benches/draft/html/truth.rs"]
mod truth;

use image::{Rgba, RgbaImage};
use layers::{Kind, Layer, LayerStack};
use measures::{Fate, measure};
use names::{Errors, names};
use truth::{Description, Mask, Thing, Truth};

const PAPER: Rgba<u8> = Rgba([250, 250, 240, 255]);
const INK: Rgba<u8> = Rgba([20, 20, 60, 255]);
const RED: Rgba<u8> = Rgba([200, 30, 30, 255]);
const CLEAR: Rgba<u8> = Rgba([0; 4]);
const WIDTH: u32 = 8;

/// Eight pixels: four of a word, one of paper, and three of a red thing.
fn row(word: Rgba<u8>, paper: Rgba<u8>, thing: Rgba<u8>) -> RgbaImage {
    let colours = [word, word, word, word, paper, thing, thing, thing];
    RgbaImage::from_fn(WIDTH, 1, |x, _| colours[x as usize])
}

fn truth() -> Truth {
    let thing = Thing { layer: "subject".into(), name: "ball".into(), behind: "known".into(), inside: -1 };
    let description = Description {
        key: String::new(),
        kind: "flat".into(),
        script: "english".into(),
        width: WIDTH,
        height: 1,
        lines: vec!["Word".into()],
        set: Vec::new(),
        things: vec![thing],
    };
    Truth {
        name: "row".into(),
        description,
        poster: row(INK, PAPER, RED),
        without_text: row(PAPER, PAPER, RED),
        bare: row(PAPER, PAPER, PAPER),
        masks: vec![Mask::new(WIDTH, &[0, 0, 0, 0, 0, 255, 255, 255])],
    }
}

fn stack(background: RgbaImage, thing: RgbaImage, text: RgbaImage) -> LayerStack {
    let mut words = Layer::new("Word", Kind::Text, text);
    words.text = Some("Word".to_owned());
    let layers =
        vec![Layer::new("Background", Kind::Background, background), Layer::new("Ball", Kind::Subject, thing), words];
    LayerStack::new(WIDTH, 1, layers).expect("layers of one size")
}

#[test]
fn the_truth_has_no_errors() {
    let found = stack(row(PAPER, PAPER, PAPER), row(CLEAR, CLEAR, RED), row(INK, CLEAR, CLEAR));
    let (measures, fates) = measure(&found, &truth(), 0.0);
    assert_eq!((measures.left, measures.ghost, measures.wrong), (0.0, 0.0, 0.0));
    assert_eq!((measures.subject, measures.object, measures.hidden), (Some(1.0), None, Some(0.0)));
    assert_eq!(measures.names.other, Errors { edits: 0, characters: 4 });
    assert!(fates.fates.iter().all(|&fate| fate == Fate::Right));
}

#[test]
fn text_is_left_or_a_ghost_and_a_thing_is_no_text() {
    let mut background = row(PAPER, PAPER, PAPER);
    background.put_pixel(0, 0, INK);
    background.put_pixel(1, 0, Rgba([200, 200, 200, 255]));
    let mut text = row(INK, CLEAR, CLEAR);
    text.put_pixel(0, 0, CLEAR);
    text.put_pixel(5, 0, RED);
    let (measures, fates) = measure(&stack(background, row(CLEAR, CLEAR, RED), text), &truth(), 0.0);
    assert_eq!(fates.fates[..6], [Fate::Left, Fate::Ghost, Fate::Right, Fate::Right, Fate::Right, Fate::Wrong]);
    assert_eq!((measures.left, measures.ghost, measures.wrong), (0.25, 0.25, 0.25));
    assert!(measures.hidden.is_some_and(|hidden| hidden > 0.05), "the background has ink in it");
}

#[test]
fn a_thing_in_two_layers_of_one_group_is_one_thing() {
    let part = |columns: std::ops::Range<u32>| {
        RgbaImage::from_fn(WIDTH, 1, |x, _| if columns.contains(&x) { RED } else { CLEAR })
    };
    let paper = Layer::new("Background", Kind::Background, row(PAPER, PAPER, PAPER));
    let of = |kinds: [Kind; 2]| {
        let layers = vec![paper.clone(), Layer::new("a", kinds[0], part(5..6)), Layer::new("b", kinds[1], part(6..8))];
        measure(&LayerStack::new(WIDTH, 1, layers).expect("layers of one size"), &truth(), 0.0).0.subject
    };
    assert_eq!(of([Kind::Object, Kind::Object]), Some(1.0));
    assert_eq!(of([Kind::Object, Kind::Subject]), Some(2.0 / 3.0));
}

#[test]
fn a_pane_of_glass_is_a_whole_thing() {
    let (glass, stone) = (Mask::new(3, &[0, 80, 80]), Mask::new(3, &[0, 255, 100]));
    assert_eq!((glass.count, stone.count), (2, 1));
    assert!((glass.iou(&stone) - 0.5).abs() < 1e-9);
    assert!(!Mask::new(3, &[0, 0, 0]).overlaps(&glass));
}

#[test]
fn lines_are_matched_whatever_their_order_and_joined_where_they_were_read_as_one() {
    let lines = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let of = |truth: &[&str], found: &[&str]| names(&lines(truth), found);
    let exact = of(&["가을밤", "2,500원", "Open 9–5"], &["Open  9-5", "가을밤 2,500원"]);
    assert_eq!((exact.korean.edits, exact.other.edits), (0, 0));
    assert_eq!((exact.korean.characters, exact.other.characters), (10, 8));
    let halves = of(&["the whole line"], &["the whole\nline"]);
    assert_eq!(halves.other, Errors { edits: 0, characters: 14 });
    let missing = of(&["가을밤", "Sale"], &["Sole"]);
    assert_eq!((missing.korean, missing.other.edits), (Errors { edits: 3, characters: 3 }, 1));
    let made_up = of(&["Sale"], &["Sale", "#%&!~"]);
    assert_eq!(made_up.other, Errors { edits: 5, characters: 4 });
    assert_eq!(of(&[], &[]).other.rate(), None);
}

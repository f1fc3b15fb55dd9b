//! Posters are drawn, taken apart by the draft engine, and their words are drawn again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::sync::OnceLock;

use engine::{LineInfo, LiveText, PixelReason, TextBlock};
use image::{Rgba, RgbaImage};
use layers::{Kind, Layer, LayerStack, ReadLine, Rect};
use live_text::{is_text, live_text};
use typeset::{Align, Bounds, Colour, Fill, Fonts, Line, Outline, Position, Run, Sources, Style, Text, render};

fn fonts() -> &'static Fonts {
    static FONTS: OnceLock<Fonts> = OnceLock::new();
    FONTS.get_or_init(|| Fonts::load(&Sources::default()))
}

fn text(words: &[&str], style: &Style, align: Align, position: (f32, f32), angle: f32) -> Text {
    let line = |words: &&str| Line { runs: vec![Run { text: (*words).to_owned(), style: style.clone() }] };
    let position = Position { x: position.0, y: position.1 };
    Text { lines: words.iter().map(line).collect(), align, angle, position }
}

fn bold(family: &str, weight: u16, size: f32, colour: Colour) -> Style {
    Style { weight, line_height: 1.4 * size, ..Style::new(family, size, colour) }
}

/// What a text looks like on its own canvas.
fn drawn(text: &Text, width: u32, height: u32) -> RgbaImage {
    let found = render(text, fonts(), Bounds { x: 0, y: 0, width, height }).unwrap();
    let mut canvas = RgbaImage::new(width, height);
    image::imageops::replace(&mut canvas, &found.picture, found.x.into(), found.y.into());
    canvas
}

const SIZE: (u32, u32) = (760, 620);
const RED: Colour = Colour::rgb(190, 30, 60);
const BLUE: Colour = Colour::rgb(25, 50, 130);
const GREEN: Colour = Colour::rgb(20, 100, 70);

/// A Korean title of two lines in the middle, Latin small print on the left, a tilted line.
fn texts() -> [Text; 3] {
    [
        text(
            &["여름 바다 축제", "신규 모집"],
            &bold("Noto Sans KR", 700, 58.0, RED),
            Align::Centre,
            (380.0, 110.0),
            0.0,
        ),
        text(
            &["Doors open at seven", "Free admission for all", "Live music and food"],
            &bold("Noto Serif KR", 400, 26.0, BLUE),
            Align::Left,
            (70.0, 300.0),
            0.0,
        ),
        text(&["Spring Festival"], &bold("Do Hyeon", 400, 44.0, GREEN), Align::Left, (330.0, 540.0), -9.0),
    ]
}

fn poster(texts: &[Text]) -> RgbaImage {
    let mut poster = RgbaImage::from_fn(SIZE.0, SIZE.1, |_, y| Rgba([250, 240, (200 + y / 20) as u8, 255]));
    for text in texts {
        image::imageops::overlay(&mut poster, &drawn(text, SIZE.0, SIZE.1), 0, 0);
    }
    poster
}

fn decomposed(poster: &RgbaImage) -> LayerStack {
    draft::decompose(poster, &draft::Options::default(), &mut |_| ControlFlow::Continue(())).unwrap().stack
}

fn live(layer: &Layer) -> Option<LiveText> {
    live_text(layer, fonts(), &|| false)
}

/// The block that says something, ignoring spaces.
fn block<'a>(all: &'a [LiveText], words: &str) -> &'a TextBlock {
    let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let mut blocks = all.iter().flat_map(|text| &text.blocks);
    let found = blocks.find(|block| plain(&block.words()) == plain(words));
    found.unwrap_or_else(|| {
        panic!("{words}: {:?}", all.iter().flat_map(|t| &t.blocks).map(TextBlock::words).collect::<Vec<_>>())
    })
}

fn colour(style: &Style) -> Colour {
    match &style.fill {
        Fill::Colour(colour) => *colour,
        Fill::Gradient(_) => panic!("{style:?}"),
    }
}

fn assert_drawn_as(found: &TextBlock, truth: &Text) {
    let (sin, cos) = (truth.angle.to_radians().sin(), truth.angle.to_radians().cos());
    assert!((found.text.angle - truth.angle).abs() < 0.3, "{found:?}");
    let boxes = typeset::line_boxes(truth, fonts()).unwrap();
    for ((line, info), (true_line, place)) in
        found.text.lines.iter().zip(&found.lines).zip(truth.lines.iter().zip(&boxes))
    {
        let (style, wanted) = (&line.runs[0].style, &true_line.runs[0].style);
        assert_eq!((&style.family, style.weight), (&wanted.family, wanted.weight), "{}", info.words);
        assert!((style.size / wanted.size - 1.0).abs() < 0.03, "{}: {} px", info.words, style.size);
        let x = truth.position.x + place.x * cos - place.baseline * sin;
        let y = truth.position.y + place.x * sin + place.baseline * cos;
        let (dx, dy) = (info.origin.x - x, info.origin.y - y);
        assert!((dy * cos - dx * sin).abs() < 2.0 && dx.hypot(dy) < 4.0, "{}: {dx} {dy}", info.words);
        let (own, real) = (colour(style), colour(wanted));
        let apart = [own.red.abs_diff(real.red), own.green.abs_diff(real.green), own.blue.abs_diff(real.blue)];
        assert!(apart.into_iter().all(|by| by <= 6), "{own} is not {real}");
        assert!(!info.font.approximate && info.similarity >= 0.85, "{info:?}");
    }
}

#[test]
fn words_come_back_as_they_were_set() {
    let truth = texts();
    let stack = decomposed(&poster(&truth));
    let found: Vec<LiveText> = stack.iter().filter(|layer| layer.kind == Kind::Text).filter_map(live).collect();
    for truth in &truth {
        let words: Vec<&str> = truth.lines.iter().map(|line| line.runs[0].text.as_str()).collect();
        let block = block(&found, &words.join("\n"));
        assert_eq!(block.text.align, truth.align, "{words:?}");
        assert_drawn_as(block, truth);
    }
    for text in &found {
        assert!(text.overlap >= 0.8, "{} of {:?}", text.overlap, text.blocks);
        assert!(text.pixel_lines.is_empty(), "{:?}", text.pixel_lines);
    }
    let scripts = |words: &str| {
        let line = &block(&found, words).lines[0];
        (line.script.clone(), line.language.clone())
    };
    assert_eq!(scripts("여름 바다 축제\n신규 모집"), ("Hang".to_owned(), Some("ko".to_owned())));
    assert_eq!(scripts("Spring Festival"), ("Latn".to_owned(), None));
    // What is stored can be read again and is the same.
    let json = serde_json::to_string(&found[0]).unwrap();
    assert_eq!(serde_json::from_str::<LiveText>(&json).unwrap(), found[0]);
}

/// Everything that is not the background in one layer, as the diffusion model makes it.
#[test]
fn a_layer_of_an_engine_that_does_not_read_is_read() {
    let truth = texts();
    let mut layer = RgbaImage::new(SIZE.0, SIZE.1);
    truth[..2].iter().for_each(|text| image::imageops::overlay(&mut layer, &drawn(text, SIZE.0, SIZE.1), 0, 0));
    let lines = draft::read_layer(&layer, &mut |_| ControlFlow::Continue(())).unwrap();
    let layer = Layer { lines: lines.clone(), ..Layer::new("Layer 1", Kind::Unknown, layer) };
    assert!(is_text(&layer, &lines));
    let found = [live(&layer).unwrap()];
    for truth in &truth[..2] {
        let words: Vec<&str> = truth.lines.iter().map(|line| line.runs[0].text.as_str()).collect();
        assert_drawn_as(block(&found, &words.join("\n")), truth);
    }
    assert!(found[0].overlap >= 0.8, "{}", found[0].overlap);
}

#[test]
fn a_layer_that_shows_something_else_is_no_text() {
    let photo = RgbaImage::from_fn(300, 300, |x, y| {
        let inside = x.abs_diff(150).pow(2) + y.abs_diff(150).pow(2) < 19_000;
        let grain = (x * 31 + y * 57 + x * y % 97) % 90;
        Rgba([(90 + grain) as u8, (60 + x / 3) as u8, (40 + y / 2) as u8, if inside { 255 } else { 0 }])
    });
    let lines = draft::read_layer(&photo, &mut |_| ControlFlow::Continue(())).unwrap();
    let layer = Layer::new("Layer 2", Kind::Unknown, photo);
    assert!(!is_text(&layer, &lines), "{lines:?}");
    assert_eq!(live(&layer), None, "it has no lines");
    // A word on a large thing does not make it text either.
    let rect = Rect { x: 100, y: 140, width: 90, height: 20 };
    let word = ReadLine { words: "SALE".to_owned(), rect, angle: 0.0, confidence: 0.99, bent: false };
    assert!(!is_text(&layer, &[word]));
}

/// A line and what the reader would say of it.
fn read(truth: &Text, words: &str, bent: bool) -> Layer {
    let pixels = drawn(truth, SIZE.0, SIZE.1);
    let rect = layers::bounding_box(&pixels).unwrap();
    let line = ReadLine { words: words.to_owned(), rect, angle: truth.angle, confidence: 0.9, bent };
    Layer { lines: vec![line], ..Layer::new("", Kind::Text, pixels) }
}

fn single(words: &str, angle: f32) -> Text {
    text(&[words], &bold("Noto Sans KR", 700, 40.0, RED), Align::Left, (200.0, 300.0), angle)
}

/// The same along a parabola.
fn curved(layer: &Layer) -> Layer {
    let pixels = RgbaImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let sag = x.abs_diff(370).pow(2) / 900;
        layer.pixels.get_pixel_checked(x, y.wrapping_sub(sag)).copied().unwrap_or(Rgba([0; 4]))
    });
    let rect = layers::bounding_box(&pixels).unwrap();
    let lines = layer.lines.iter().map(|line| ReadLine { rect, ..line.clone() }).collect();
    Layer { lines, ..Layer::new("", Kind::Text, pixels) }
}

#[test]
fn lines_that_no_text_can_stand_for_stay_pixels() {
    let curved = curved(&read(&single("around the world", 0.0), "around the world", true));
    let misread = read(&single("around the world", 0.0), "봄날의 음악회에 오세요", false);
    for layer in [&curved, &misread] {
        assert_eq!(live(layer), None);
    }
    // Beside a line that is live they are named.
    let good = read(&single("Doors open", 0.0), "Doors open", false);
    let mut both = good.pixels.clone();
    let below = text(&["around the world"], &bold("Noto Sans KR", 700, 40.0, RED), Align::Left, (200.0, 420.0), 0.0);
    let other = self::curved(&read(&below, "around the world", true));
    image::imageops::overlay(&mut both, &other.pixels, 0, 0);
    let lines = [good.lines, other.lines].concat();
    let found = live(&Layer { lines, ..Layer::new("", Kind::Text, both) }).unwrap();
    assert_eq!(found.blocks.iter().map(TextBlock::words).collect::<Vec<_>>(), ["Doors open"]);
    let stay: Vec<_> = found.pixel_lines.iter().map(|line| (line.words.as_str(), line.reason)).collect();
    assert_eq!(stay, [("around the world", PixelReason::Curved)]);
    assert!(found.overlap > 0.85, "the curved line does not count: {}", found.overlap);
}

#[test]
fn lines_run_at_any_angle() {
    for angle in [-90.0_f32, -30.0, 1.4, 17.0, 90.0] {
        let truth = single("봄날의 Jazz", angle);
        let mut layer = read(&truth, "봄날의 Jazz", false);
        // The reader is off by a degree, and has no word for lines that run down or up.
        layer.lines[0].angle = if angle.abs() == 90.0 { 0.0 } else { angle.round() + 0.8 };
        let found = live(&layer).unwrap();
        assert_drawn_as(&found.blocks[0], &truth);
        assert!(found.overlap >= 0.8, "{angle}: {}", found.overlap);
    }
}

#[test]
fn outlines_are_kept_and_unknown_fonts_are_said_to_be_approximate() {
    let outline = Outline { width: 4.0, colour: Colour::rgb(250, 220, 90) };
    let style = Style { outline: Some(outline), ..bold("Jua", 400, 70.0, BLUE) };
    let found =
        live(&read(&text(&["신규 회원"], &style, Align::Left, (100.0, 200.0), 0.0), "신규 회원", false)).unwrap();
    let drawn = found.blocks[0].text.lines[0].runs[0].style.outline.unwrap();
    assert!((drawn.width - 4.0).abs() < 1.0, "{drawn:?}");
    assert!(found.overlap > 0.8, "{}", found.overlap);
    // Letters that are leaned over are in no font that ships.
    let upright = self::drawn(&single("Spring 봄날", 0.0), SIZE.0, SIZE.1);
    let leaning = RgbaImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let from = i64::from(x) + (i64::from(y) - 300) * 2 / 10;
        *upright.get_pixel(u32::try_from(from).unwrap_or(0).min(SIZE.0 - 1), y)
    });
    let rect = layers::bounding_box(&leaning).unwrap();
    let line = ReadLine { words: "Spring 봄날".to_owned(), rect, angle: 0.0, confidence: 0.9, bent: false };
    let found = live(&Layer { lines: vec![line], ..Layer::new("", Kind::Text, leaning) }).unwrap();
    let LineInfo { font, similarity, .. } = &found.blocks[0].lines[0];
    assert!(font.approximate && *similarity < 0.85, "{font:?}");
    assert!(font.generic.is_some());
}

#[test]
fn a_stop_ends_the_search() {
    let layer = read(&single("Doors open", 0.0), "Doors open", false);
    assert_eq!(live_text(&layer, fonts(), &|| true), None);
}

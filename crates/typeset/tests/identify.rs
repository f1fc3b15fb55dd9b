//! Lines drawn in the faces that ship, damaged, and found again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{alpha, black, draw, line, on_canvas, text};
use image::{GrayImage, Luma};
use typeset::{
    Error, FaceId, Fonts, Generic, Match, Options, Sources, Style, identify, match_coverage, nearest_generic,
};

const LINES: &[&str] =
    &["가을 음악회", "오늘의 특별한 커피", "Grand opening", "SUMMER SALE 50%", "2026 서울 Jazz 축제"];

struct Truth {
    face: FaceId,
    words: &'static str,
    size: f32,
    spacing: f32,
    baseline: f32,
    mask: GrayImage,
}

/// Every face with every line, over sizes from 12 to 200 px and letter spacings from -2 to +10 px.
fn truths(fonts: &Fonts) -> Vec<Truth> {
    let sizes = [12.0, 17.5, 24.0, 36.0, 57.0, 90.0, 140.0, 200.0];
    let spacings = [0.0, 0.0, -2.0, 4.0, 10.0];
    let mut truths = Vec::new();
    for (f, face) in fonts.faces().iter().filter(|face| face.scripts().hangul).enumerate() {
        for (l, words) in LINES.iter().enumerate() {
            let size: f32 = sizes[(3 * f + 5 * l) % sizes.len()];
            let spacing = f32::clamp(spacings[(f + 2 * l) % spacings.len()], -0.08 * size, 0.4 * size);
            let style = Style { weight: face.weight(), letter_spacing: spacing, ..black(face.family(), size) };
            let (x, y) = (20.3 + 0.1 * f as f32, (1.4 * size).ceil() + 12.0 + 0.17 * l as f32);
            let drawn = draw(&text(vec![line(words, &style)], x, y), fonts);
            assert_eq!(drawn.faces, [face.id()]);
            let (width, height) = (drawn.picture.width() + 40, (2.2 * size) as u32 + 40);
            let mask = alpha(&on_canvas(&drawn, width, height));
            truths.push(Truth { face: face.id(), words, size, spacing, baseline: y, mask });
        }
    }
    truths
}

#[derive(Default)]
struct Score {
    lines: usize,
    family: usize,
    face: usize,
    size: usize,
    baseline: usize,
    overlap: usize,
    confident: usize,
}

fn score(fonts: &Fonts, truths: &[Truth], damage: impl Fn(&GrayImage) -> GrayImage) -> Score {
    let mut score = Score::default();
    for truth in truths {
        let found = identify(&damage(&truth.mask), truth.words, fonts, &Options::default()).unwrap();
        let best: &Match = &found[0];
        let family = |id: FaceId| fonts.face(id).unwrap().family();
        let right = family(best.face) == family(truth.face);
        score.lines += 1;
        score.family += usize::from(right);
        score.face += usize::from(best.face == truth.face);
        score.size += usize::from((best.size / truth.size - 1.0).abs() <= 0.03);
        score.baseline += usize::from((best.baseline - truth.baseline).abs() <= 2.0);
        score.overlap += usize::from(best.overlap >= 0.8);
        score.confident += usize::from(!best.is_approximate());
        assert!(!right || (best.letter_spacing - truth.spacing).abs() <= 0.06 * truth.size, "{} {best:?}", truth.words);
    }
    score
}

fn share(count: usize, score: &Score) -> f32 {
    count as f32 / score.lines as f32
}

#[test]
fn clean_lines_are_found_exactly() {
    let fonts = Fonts::load(&Sources::default());
    let truths = truths(&fonts);
    let score = score(&fonts, &truths, GrayImage::clone);
    assert_eq!(score.lines, 50);
    assert_eq!((score.family, score.face), (50, 50));
    assert_eq!((score.size, score.baseline, score.overlap, score.confident), (50, 50, 50, 50));
}

#[test]
fn blurred_noisy_and_compressed_lines_are_found() {
    let fonts = Fonts::load(&Sources::default());
    let truths = truths(&fonts);
    for (name, damage) in [
        ("blur", (|mask: &GrayImage| image::imageops::blur(mask, 0.7)) as fn(&GrayImage) -> GrayImage),
        ("noise", noisy),
        ("JPEG", compressed),
    ] {
        let score = score(&fonts, &truths, damage);
        assert!(share(score.family, &score) >= 0.98, "{name}: family {}", score.family);
        assert!(share(score.face, &score) >= 0.94, "{name}: face {}", score.face);
        assert!(share(score.size, &score) >= 0.98, "{name}: size {}", score.size);
        assert!(share(score.baseline, &score) >= 0.98, "{name}: baseline {}", score.baseline);
        assert!(share(score.confident, &score) >= 0.98, "{name}: similarity {}", score.confident);
    }
}

#[test]
fn eroded_lines_keep_family_and_size() {
    let fonts = Fonts::load(&Sources::default());
    let mut truths = truths(&fonts);
    truths.retain(|truth| truth.size >= 50.0);
    let score = score(&fonts, &truths, eroded);
    assert!(share(score.family, &score) >= 0.95, "family {} of {}", score.family, score.lines);
    assert!(share(score.size, &score) >= 0.95, "size {} of {}", score.size, score.lines);
    assert!(share(score.baseline, &score) >= 0.98, "baseline {} of {}", score.baseline, score.lines);
}

#[test]
fn a_face_that_is_no_candidate_is_approximate() {
    let fonts = Fonts::load(&Sources::default());
    let mut approximate = 0;
    let truths = truths(&fonts);
    for truth in &truths {
        let family = fonts.face(truth.face).unwrap().family();
        let others = fonts.faces().iter().filter(|face| face.family() != family).map(|face| face.id()).collect();
        let options = Options { faces: Some(others), ..Options::default() };
        let found = identify(&truth.mask, truth.words, &fonts, &options).unwrap();
        approximate += usize::from(found[0].is_approximate());
        let kind = nearest_generic(&truth.mask, truth.words, &fonts).unwrap();
        assert_eq!(kind, Generic::of_family(family), "{family}");
    }
    assert!(approximate * 100 >= truths.len() * 96, "{approximate} of {}", truths.len());
}

#[test]
fn a_line_may_have_a_letter_that_its_face_lacks() {
    let fonts = Fonts::load(&Sources::default());
    let drawn = draw(&text(vec![line("오늘만 15€ – 봄날", &black("Jua", 64.0))], 20.0, 90.0), &fonts);
    let mask = alpha(&on_canvas(&drawn, 700, 140));
    let found = identify(&mask, "오늘만 15€ – 봄날", &fonts, &Options::default()).unwrap();
    assert_eq!(fonts.face(found[0].face).unwrap().family(), "Jua");
    assert!((found[0].size - 64.0).abs() < 1.0 && found[0].similarity > 0.95, "{:?}", found[0]);
}

#[test]
fn right_to_left_lines_are_found() {
    let fonts = Fonts::load(&Sources::default());
    for (family, weight, words) in [("Noto Sans Hebrew", 700, "שלום עולם"), ("Noto Sans Arabic", 400, "مرحبا بالعالم")]
    {
        let style = Style { weight, ..black(family, 56.0) };
        let drawn = draw(&text(vec![line(words, &style)], 20.0, 90.0), &fonts);
        let found = identify(&alpha(&on_canvas(&drawn, 600, 140)), words, &fonts, &Options::default()).unwrap()[0];
        let face = fonts.face(found.face).unwrap();
        assert_eq!((face.family(), face.weight()), (family, weight));
        assert!((found.size - 56.0).abs() < 0.5 && (found.baseline - 90.0).abs() < 0.5, "{found:?}");
    }
}

#[test]
fn the_match_draws_the_line() {
    let fonts = Fonts::load(&Sources::default());
    let truth = &truths(&fonts)[7];
    let found = identify(&truth.mask, truth.words, &fonts, &Options::default()).unwrap();
    let (width, height) = truth.mask.dimensions();
    let drawn = match_coverage(&found[0], truth.words, &fonts, width, height).unwrap();
    let worst = drawn.pixels().zip(truth.mask.pixels()).map(|(a, b)| a.0[0].abs_diff(b.0[0])).max().unwrap();
    assert!(worst <= 40, "{worst}");
}

#[test]
fn what_cannot_be_found_is_an_error_or_empty() {
    let fonts = Fonts::load(&Sources::default());
    let options = Options::default();
    let mask = GrayImage::from_pixel(60, 30, Luma([255]));
    assert_eq!(identify(&GrayImage::new(60, 30), "A", &fonts, &options), Err(Error::NoInk));
    assert_eq!(identify(&GrayImage::new(0, 0), "A", &fonts, &options), Err(Error::NoInk));
    assert_eq!(identify(&mask, " \u{200b}", &fonts, &options), Err(Error::NoWords));
    assert_eq!(identify(&mask, "กขค", &fonts, &options), Ok(Vec::new()), "no face has Thai");
    assert!(matches!(identify(&mask, &"a".repeat(501), &fonts, &options), Err(Error::TooMany { .. })));
    // A full mask is no letter, but it is no reason to fail either.
    assert!(identify(&mask, "가", &fonts, &options).unwrap().iter().all(Match::is_approximate));
    let dot = GrayImage::from_fn(9, 9, |x, y| Luma([if (x, y) == (4, 4) { 255 } else { 0 }]));
    assert!(identify(&dot, "A long line for one pixel", &fonts, &options).is_ok());
}

fn noisy(mask: &GrayImage) -> GrayImage {
    let mut state = 3_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as i32 % 41 - 20
    };
    let near = image::imageops::blur(mask, 1.5);
    GrayImage::from_fn(mask.width(), mask.height(), |x, y| {
        let by = if near.get_pixel(x, y).0[0] > 4 { noise() } else { 0 };
        Luma([(i32::from(mask.get_pixel(x, y).0[0]) + by).clamp(0, 255) as u8])
    })
}

fn compressed(mask: &GrayImage) -> GrayImage {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 60).encode_image(mask).unwrap();
    image::load_from_memory(&bytes).unwrap().into_luma8()
}

/// The smallest of each pixel and its eight neighbours: one px less on each side.
fn eroded(mask: &GrayImage) -> GrayImage {
    GrayImage::from_fn(mask.width(), mask.height(), |x, y| {
        let at = |dx: i64, dy: i64| {
            let (x, y) = (i64::from(x) + dx, i64::from(y) + dy);
            let inside = x >= 0 && y >= 0 && x < i64::from(mask.width()) && y < i64::from(mask.height());
            if inside { mask.get_pixel(x as u32, y as u32).0[0] } else { 0 }
        };
        Luma([(-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy))).map(|(dx, dy)| at(dx, dy)).min().unwrap()])
    })
}

//! What is refused, and that nothing that can be written or read is fatal.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{black, bounds, line, text};
use image::{GrayImage, Luma};
use proptest::prelude::*;
use typeset::{
    Align, Colour, Error, Fill, Fonts, Gradient, Line, Options, Outline, Position, Run, Shadow, Sources, Stop, Style,
    Text, identify, measure, render,
};

fn fonts() -> Fonts {
    Fonts::load(&Sources::default())
}

#[test]
fn what_is_too_much_is_refused_with_what_is_allowed() {
    let fonts = fonts();
    let refuse = |text: &Text| render(text, &fonts, bounds(100, 100)).unwrap_err().to_string();
    let huge = text(vec![line("A", &black("Jua", 1e9))], 0.0, 0.0);
    assert_eq!(refuse(&huge), "lines[0].runs[0].style.size is 1000000000; it must be from 1 to 4000 px");
    let nan = text(vec![line("A", &black("Jua", f32::NAN))], 0.0, 0.0);
    assert_eq!(refuse(&nan), "lines[0].runs[0].style.size is NaN; it must be from 1 to 4000 px");
    let far = text(vec![line("A", &black("Jua", 10.0))], f32::INFINITY, 0.0);
    assert_eq!(refuse(&far), "position.x is inf; it must be from -1000000 to 1000000 px");
    let long = text(vec![line(&"가".repeat(1_000_000), &black("Jua", 10.0))], 0.0, 0.0);
    assert_eq!(refuse(&long), "there are 1000000 characters; at most 20000 are allowed");
    let broken = text(vec![line("a\nb", &black("Jua", 10.0))], 0.0, 0.0);
    assert!(refuse(&broken).contains("U+000A; a line break is a new line in `lines`"));
    let many = text(vec![Line::default(); 1001], 0.0, 0.0);
    assert_eq!(refuse(&many), "there are 1001 lines; at most 1000 are allowed");
    let fine = text(vec![line("A", &black("Jua", 10.0))], 0.0, 0.0);
    let error = render(&fine, &fonts, bounds(100_000, 100_000)).unwrap_err();
    assert!(matches!(error, Error::TooMany { what: "pixels in the bounds", .. }));
    let none = Fonts::load(&Sources { shipped: false, folders: Vec::new(), system: false });
    assert_eq!(render(&fine, &none, bounds(10, 10)).unwrap_err(), Error::NoFonts);
}

/// Numbers of every kind, also those that are refused.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -300.0_f32..300.0,
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::MAX), Just(f32::MIN_POSITIVE), Just(-0.0)],
    ]
}

prop_compose! {
    fn any_style()(
        family in prop_oneof![Just("Jua"), Just("serif"), Just(""), Just("no such")],
        weight in 0_u16..1200, size in number(), line_height in number(), letter_spacing in number(),
        outline in proptest::option::of(number()), shadow in proptest::option::of((number(), number(), number(), number())),
        gradient in proptest::option::of((number(), number(), number())),
    ) -> Style {
        let colour = Colour { red: 9, green: 80, blue: 200, alpha: 200 };
        let mut style = Style { weight, line_height, letter_spacing, ..Style::new(family, size, colour) };
        style.outline = outline.map(|width| Outline { width, colour });
        style.shadow = shadow.map(|(dx, dy, blur, opacity)| Shadow { dx, dy, blur, colour, opacity: opacity / 300.0 });
        if let Some((x, y, offset)) = gradient {
            let stop = |offset| Stop { offset, colour };
            let (start, end) = (Position { x, y: 0.0 }, Position { x: 0.0, y });
            style.fill = Fill::Gradient(Gradient { start, end, stops: vec![stop(0.0), stop(offset / 300.0)] });
        }
        style
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn nothing_that_can_be_written_breaks_it(
        runs in proptest::collection::vec(("\\PC{0,12}|[가-힣 A-z\u{590}-\u{6ff}\u{200d}\u{fe0f}😀]{0,8}", any_style()), 0..4),
        angle in number(), x in number(), y in number(),
    ) {
        let fonts = fonts();
        let line = Line { runs: runs.into_iter().map(|(text, style)| Run { text, style }).collect() };
        let text = Text { lines: vec![line.clone(), line], align: Align::Right, angle, position: Position { x, y } };
        if let Ok(drawn) = render(&text, &fonts, bounds(300, 300)) {
            prop_assert!(drawn.picture.width() <= 300 && drawn.picture.height() <= 300);
            prop_assert_eq!(drawn.picture.pixels().any(|pixel| pixel.0[3] == 0 && pixel.0 != [0; 4]), false);
        }
    }

    #[test]
    fn any_mask_is_compared_or_refused(
        width in 0_u32..70, height in 0_u32..50, words in "\\PC{0,12}", values in proptest::collection::vec(any::<u8>(), 1..200),
    ) {
        let at = |x: u32, y: u32| values[(x as usize / 3 + 23 * (y as usize / 4)) % values.len()];
        let mask = GrayImage::from_fn(width, height, |x, y| Luma([at(x, y)]));
        if let Ok(found) = identify(&mask, &words, &fonts(), &Options::default()) {
            for one in found {
                prop_assert!((0.0..=1.0).contains(&one.similarity) && one.size.is_finite() && one.x.is_finite());
            }
        }
        let pixels = image::RgbaImage::from_fn(width, height, |x, y| image::Rgba([at(x, y), at(y, x), 7, at(x + 5, y)]));
        let _ = measure(&pixels, &mask);
    }

    #[test]
    fn colours_come_back_as_written(red: u8, green: u8, blue: u8, alpha: u8) {
        let colour = Colour { red, green, blue, alpha };
        prop_assert_eq!(colour.to_string().parse::<Colour>(), Ok(colour));
    }
}

#[test]
fn damaged_fonts_are_skipped_or_drawn_but_never_fatal() {
    let sound = Fonts::shipped_file("DoHyeon-400Regular.woff").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    // WOFF's own tables and, in a copy that is not compressed, those of the font.
    let raw = unpacked(sound);
    for n in 0..40 {
        let mut bytes = if n % 4 == 0 { sound.to_vec() } else { raw.clone() };
        for _ in 0..=n {
            let header = next(2) == 0;
            let at = next(if header { 400 } else { bytes.len() });
            bytes[at] = u8::try_from(next(256)).unwrap();
        }
        std::fs::write(folder.path().join(format!("{n}.{}", if n % 4 == 0 { "woff" } else { "ttf" })), bytes).unwrap();
    }
    let fonts = Fonts::load(&Sources { shipped: false, folders: vec![folder.path().to_owned()], system: false });
    for face in fonts.faces() {
        let text = text(vec![line("한글 Text 123", &black(face.postscript(), 30.0))], 0.0, 40.0);
        render(&text, &fonts, bounds(400, 60)).unwrap();
    }
    assert!(!fonts.faces().is_empty());
}

/// The tables of a WOFF file as a font without compression, by way of a second, plain WOFF reader.
fn unpacked(woff: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let u32_at = |at: usize| u32::from_be_bytes(woff[at..at + 4].try_into().unwrap()) as usize;
    let count = usize::from(u16::from_be_bytes(woff[12..14].try_into().unwrap()));
    let mut head = [&woff[4..8], &woff[12..14], &[0; 6]].concat();
    let mut body = Vec::new();
    for entry in (0..count).map(|n| 44 + 20 * n) {
        let (offset, packed, size) = (u32_at(entry + 4), u32_at(entry + 8), u32_at(entry + 12));
        let start = 12 + 16 * count + body.len();
        head.extend_from_slice(&woff[entry..entry + 4]);
        head.extend_from_slice(&woff[entry + 16..entry + 20]);
        head.extend_from_slice(&u32::try_from(start).unwrap().to_be_bytes());
        head.extend_from_slice(&u32::try_from(size).unwrap().to_be_bytes());
        let data = &woff[offset..offset + packed];
        if packed < size {
            flate2::read::ZlibDecoder::new(data).read_to_end(&mut body).unwrap();
        } else {
            body.extend_from_slice(data);
        }
        body.resize(body.len().next_multiple_of(4), 0);
    }
    head.extend(body);
    head
}

//! Text to pixels: what is drawn where, in which face, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{alpha, black, bounds, draw, ink, line, on_canvas, text};
use typeset::{
    Align, Bounds, Colour, Fill, Fonts, Gradient, Outline, Position, Replaced, Shadow, Sources, Stop, Style, Text,
    line_boxes, render,
};

fn fonts() -> Fonts {
    Fonts::load(&Sources::default())
}

#[test]
fn the_same_text_gives_the_same_bytes() {
    let mut style = black("Jua", 48.0);
    style.outline = Some(Outline { width: 3.0, colour: Colour::rgb(255, 0, 0) });
    style.shadow = Some(Shadow { dx: 2.5, dy: 3.0, blur: 4.0, colour: Colour::rgb(0, 0, 90), opacity: 0.6 });
    let text = Text { angle: 12.0, ..text(vec![line("안녕 Hello", &style)], 40.0, 100.0) };
    let (one, two) = (draw(&text, &fonts()), draw(&text, &fonts()));
    assert_eq!((one.x, one.y, one.picture), (two.x, two.y, two.picture));
}

#[test]
fn letters_stand_on_the_baseline_at_their_size() {
    let fonts = fonts();
    // An H of Noto Sans KR is 733 units of 1000 high, its left side bearing 101.
    let drawn = draw(&text(vec![line("H", &black("Noto Sans KR", 200.0))], 50.0, 300.0), &fonts);
    let bottom = drawn.y + drawn.picture.height() as i32;
    assert!((bottom - 300).abs() <= 1, "the bottom is at {bottom}");
    let rows = (0..drawn.picture.height())
        .filter(|y| (0..drawn.picture.width()).any(|x| drawn.picture.get_pixel(x, *y).0[3] > 127));
    assert!((rows.count() as f32 - 146.6).abs() <= 1.0);
    let first = (0..drawn.picture.width()).find(|x| drawn.picture.get_pixel(*x, 60).0[3] > 127).unwrap();
    assert!((drawn.x as f32 + first as f32 - 50.0 - 20.2).abs() <= 1.0, "{} {first}", drawn.x);
}

#[test]
fn letter_spacing_goes_between_letters() {
    let fonts = fonts();
    let width = |spacing: f32| {
        let style = Style { letter_spacing: spacing, ..black("Noto Sans KR", 40.0) };
        line_boxes(&text(vec![line("가나다라", &style)], 0.0, 0.0), &fonts).unwrap()[0].width
    };
    assert!((width(10.0) - width(0.0) - 30.0).abs() < 1e-3);
    assert!((width(0.0) - width(-2.0) - 6.0).abs() < 1e-3);
}

#[test]
fn lines_are_aligned_and_apart() {
    let fonts = fonts();
    let style = Style { line_height: 70.0, ..black("Noto Sans KR", 40.0) };
    let lines = vec![line("짧다", &style), line("이 줄은 더 길다", &style)];
    for (align, share) in [(Align::Left, 0.0), (Align::Centre, 0.5), (Align::Right, 1.0)] {
        let boxes = line_boxes(&Text { align, ..text(lines.clone(), 500.0, 100.0) }, &fonts).unwrap();
        assert_eq!(boxes[1].baseline - boxes[0].baseline, 70.0);
        for line in &boxes {
            assert!((line.x + share * line.width).abs() < 1e-3, "{align:?}");
        }
    }
}

#[test]
fn right_to_left_text_is_ordered_and_joined() {
    let fonts = fonts();
    let ink_of = |words: &str| {
        let drawn = draw(&text(vec![line(words, &black("Noto Sans KR", 40.0))], 0.0, 60.0), &fonts);
        assert!(drawn.replaced.iter().all(|one| matches!(one, Replaced::Letter { by: Some(_), .. })), "{words}");
        on_canvas(&drawn, 400, 100)
    };
    // Stored first is drawn rightmost: the last letter alone lies at the left end, as wide as it is.
    let (whole, last) = (ink_of("שלום"), ink_of("ם"));
    let rows = |picture: &image::RgbaImage| alpha(&image::imageops::crop_imm(picture, 0, 0, 20, 100).to_image());
    assert_eq!(rows(&whole), rows(&last));
    // Arabic letters take the forms that join: not the ink of the letters apart.
    assert_ne!(ink(&ink_of("سلام")), ink(&ink_of("س\u{200c}ل\u{200c}ا\u{200c}م")));
    // Within a right-to-left line, Korean keeps its own direction: the same ink as on its own.
    assert_eq!(ink(&ink_of("\u{200f}가나")), ink(&ink_of("가나")));
}

#[test]
fn what_no_face_has_is_a_box_and_reported() {
    let drawn = draw(&text(vec![line("ก ข ก", &black("Noto Sans KR", 40.0))], 0.0, 60.0), &fonts());
    let missing = |letter: &str| Replaced::Letter { wanted: letter.into(), by: None };
    assert_eq!(drawn.replaced, [missing("ก"), missing("ข")]);
    assert!(ink(&drawn.picture) > 0);
}

#[test]
fn what_a_face_lacks_comes_from_another_and_is_reported() {
    let fonts = fonts();
    let drawn = draw(&text(vec![line("똠 😀 A", &black("Black Han Sans", 40.0))], 0.0, 60.0), &fonts);
    let by = |letter: &str| {
        drawn.replaced.iter().find_map(|one| match one {
            Replaced::Letter { wanted, by } if wanted == letter => fonts.face((*by)?),
            _ => None,
        })
    };
    assert_eq!(by("똠").unwrap().family(), "Noto Sans KR");
    assert_eq!(by("😀").unwrap().family(), "Noto Emoji");
    assert_eq!((drawn.replaced.len(), drawn.faces.len()), (2, 3));
    let drawn = draw(&text(vec![line("가", &black("Some Corporate Face", 40.0))], 0.0, 60.0), &fonts);
    assert!(matches!(&drawn.replaced[..], [Replaced::Family { wanted, .. }] if wanted == "Some Corporate Face"));
}

#[test]
fn a_turn_of_a_right_angle_turns_the_pixels() {
    let fonts = fonts();
    let upright = text(vec![line("Rㄱ", &black("Do Hyeon", 100.0))], 200.0, 200.0);
    let turned = Text { angle: 90.0, ..upright.clone() };
    let (one, two) = (draw(&upright, &fonts), draw(&turned, &fonts));
    let expected = image::imageops::rotate90(&on_canvas(&one, 400, 400));
    let difference =
        expected.pixels().zip(on_canvas(&two, 400, 400).pixels()).map(|(a, b)| a.0[3].abs_diff(b.0[3])).max();
    assert!(difference.unwrap() <= 3, "{difference:?}");
}

#[test]
fn outline_lies_around_and_behind_the_fill() {
    let fonts = fonts();
    let plain = black("Black Han Sans", 120.0);
    let outlined = Style { outline: Some(Outline { width: 5.0, colour: Colour::rgb(255, 0, 0) }), ..plain.clone() };
    let letters = on_canvas(&draw(&text(vec![line("한", &plain)], 50.0, 150.0), &fonts), 250, 250);
    let both = on_canvas(&draw(&text(vec![line("한", &outlined)], 50.0, 150.0), &fonts), 250, 250);
    for (letter, pixel) in letters.pixels().zip(both.pixels()) {
        if letter.0[3] == 255 {
            assert_eq!(pixel.0, [0, 0, 0, 255]);
        }
    }
    let (left, _, width) = extent(&alpha(&letters));
    let (outer, _, outer_width) = extent(&alpha(&both));
    assert!(left.abs_diff(outer + 5) <= 1 && (width + 10).abs_diff(outer_width) <= 1);
}

/// Left, right and width of what is more than half opaque.
fn extent(mask: &image::GrayImage) -> (u32, u32, u32) {
    let columns: Vec<u32> = mask.enumerate_pixels().filter(|(_, _, value)| value.0[0] > 127).map(|(x, ..)| x).collect();
    let (left, right) = (*columns.iter().min().unwrap(), *columns.iter().max().unwrap());
    (left, right, right - left + 1)
}

#[test]
fn gradients_run_between_their_ends() {
    let gradient = Gradient {
        start: Position { x: 0.0, y: 0.0 },
        end: Position { x: 400.0, y: 0.0 },
        stops: vec![
            Stop { offset: 0.0, colour: Colour::rgb(0, 0, 0) },
            Stop { offset: 1.0, colour: Colour::rgb(200, 100, 0) },
        ],
    };
    let style = Style { fill: Fill::Gradient(gradient), ..black("Noto Sans KR", 100.0) };
    let drawn = draw(&text(vec![line("ㅡㅡㅡㅡ", &style)], 30.0, 150.0), &fonts());
    let canvas = on_canvas(&drawn, 460, 200);
    let mut seen = 0;
    for (x, _, pixel) in canvas.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[3] == 255) {
        let way = (x as f32 + 0.5 - 30.0) / 400.0;
        assert!(
            (f32::from(pixel.0[0]) - 200.0 * way).abs() <= 1.0 && (f32::from(pixel.0[1]) - 100.0 * way).abs() <= 1.0
        );
        seen += 1;
    }
    assert!(seen > 500);
}

#[test]
fn bounds_cut_and_do_not_change_what_is_within() {
    let fonts = fonts();
    let mut style = black("Jua", 90.0);
    style.shadow = Some(Shadow { dx: 6.0, dy: 6.0, blur: 8.0, colour: Colour::rgb(0, 0, 0), opacity: 1.0 });
    let text = text(vec![line("구름 Cloud", &style)], 20.0, 120.0);
    let whole = on_canvas(&render(&text, &fonts, bounds(600, 200)).unwrap(), 600, 200);
    let part = render(&text, &fonts, Bounds { x: 100, y: 70, width: 120, height: 40 }).unwrap();
    let part = on_canvas(&part, 600, 200);
    for y in 70..110 {
        for x in 100..220 {
            let [one, two] = [&whole, &part].map(|canvas| canvas.get_pixel(x, y).0[3]);
            assert!(one.abs_diff(two) <= 1, "{x} {y}: {one} {two}"); // coordinates are rounded from another origin
        }
    }
    assert_eq!(
        render(&text, &fonts, Bounds { x: 5000, y: 0, width: 10, height: 10 }).unwrap().picture.dimensions(),
        (0, 0)
    );
}

#[test]
fn where_a_shadow_fades_to_nothing_there_is_no_colour() {
    let mut style = Style::new("Jua", 73.4, Colour { red: 9, green: 80, blue: 200, alpha: 200 });
    let colour = Colour { red: 9, green: 80, blue: 200, alpha: 200 };
    style.shadow = Some(Shadow { dx: 0.0, dy: 0.0, blur: 164.0, colour, opacity: 0.2 });
    let drawn = render(&text(vec![line("A", &style)], 100.0, 150.0), &fonts(), bounds(300, 300)).unwrap();
    let clear: Vec<_> = drawn.picture.pixels().filter(|pixel| pixel.0[3] == 0).collect();
    assert!(clear.len() > 100, "the shadow ends within the picture: {}", clear.len());
    assert!(clear.iter().all(|pixel| pixel.0 == [0; 4]));
}

#[test]
fn text_is_data() {
    let json = r##"{
        "lines": [{"runs": [{"text": "봄날", "style": {"family": "Jua", "size": 64.0, "line_height": 80.0,
            "fill": {"colour": "#e63c5a"}, "outline": {"width": 2.0, "colour": "#ffffff80"}}}]}],
        "align": "centre", "position": {"x": 10.0, "y": 90.0}
    }"##;
    let text: Text = serde_json::from_str(json).unwrap();
    assert_eq!(text.lines[0].runs[0].style.weight, 400);
    assert_eq!(serde_json::from_str::<Text>(&serde_json::to_string(&text).unwrap()).unwrap(), text);
    let wrong = json.replace("#e63c5a", "red");
    let error = serde_json::from_str::<Text>(&wrong).unwrap_err().to_string();
    assert!(error.contains("\"red\" is not a colour; write #rrggbb or #rrggbbaa"), "{error}");
}

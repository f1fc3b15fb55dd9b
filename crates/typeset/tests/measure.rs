//! Drawn styles are measured as they were asked for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{alpha, black, draw, line, on_canvas, text};
use typeset::{
    Align, Colour, Error, Fill, Fonts, Gradient, MeasuredLine, Options, Outline, Position, Shadow, Sources, Stop,
    Style, identify, ink, line_text, match_coverage, measure, measure_block,
};

/// The paint measured on a line that was drawn in a style, its letters known.
fn measured(style: &Style) -> typeset::Paint {
    let fonts = Fonts::load(&Sources::default());
    let on = |style: &Style| on_canvas(&draw(&text(vec![line("봄날 Sale", style)], 60.0, 150.0), &fonts), 700, 240);
    let letters = Style { outline: None, shadow: None, fill: Fill::Colour(Colour::rgb(0, 0, 0)), ..style.clone() };
    measure(&on(style), &alpha(&on(&letters))).unwrap()
}

fn assert_near(one: Colour, two: Colour, by: u8) {
    let [a, b] = [one, two].map(|colour| [colour.red, colour.green, colour.blue, colour.alpha]);
    assert!(a.into_iter().zip(b).all(|(a, b)| a.abs_diff(b) <= by), "{one} is not {two}");
}

#[test]
fn plain_letters_have_a_colour_and_nothing_else() {
    for (size, family) in [(14.0, "Noto Sans KR"), (30.0, "Noto Serif KR"), (120.0, "Black Han Sans")] {
        let paint = measured(&Style::new(family, size, Colour::rgb(20, 120, 210)));
        let Fill::Colour(colour) = paint.fill else { panic!("{paint:?}") };
        assert_near(colour, Colour::rgb(20, 120, 210), 2);
        assert_eq!((paint.outline, paint.shadow), (None, None), "{family} {size}");
    }
}

#[test]
fn outlines_have_their_width_and_colour() {
    for width in [2.0, 4.0, 7.5] {
        let mut style = Style::new("Jua", 110.0, Colour::rgb(250, 210, 40));
        style.outline = Some(Outline { width, colour: Colour::rgb(30, 10, 90) });
        let paint = measured(&style);
        let outline = paint.outline.unwrap();
        assert!((outline.width - width).abs() <= 0.15 * width + 0.3, "{width}: {outline:?}");
        assert_near(outline.colour, Colour::rgb(30, 10, 90), 4);
        assert_eq!(paint.shadow, None);
        assert_eq!(paint.fill, Fill::Colour(Colour::rgb(250, 210, 40)));
    }
}

#[test]
fn gradients_have_their_ends_and_colours() {
    let (top, bottom) = (Colour::rgb(255, 230, 60), Colour::rgb(220, 40, 90));
    let mut style = black("Black Han Sans", 120.0);
    style.fill = Fill::Gradient(Gradient {
        start: Position { x: 0.0, y: -100.0 },
        end: Position { x: 0.0, y: 20.0 },
        stops: vec![Stop { offset: 0.0, colour: top }, Stop { offset: 1.0, colour: bottom }],
    });
    let Fill::Gradient(found) = measured(&style).fill else { panic!("no gradient") };
    assert!((found.start.x - found.end.x).abs() < 1.0, "it runs down: {found:?}");
    // From the corner of the pixels: the block's position was at 150 px.
    for stop in 0..2 {
        let at = [found.start, found.end][stop];
        let share = (at.y - 150.0 + 100.0) / 120.0;
        let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * share).round() as u8;
        let colour = Colour::rgb(mix(255, 220), mix(230, 40), mix(60, 90));
        assert_near(found.stops[stop].colour, colour, 6);
    }
}

#[test]
fn shadows_have_their_place_blur_and_opacity() {
    for (dx, dy, blur, opacity) in [(6.0, 8.0, 6.0, 0.6), (-5.0, 4.0, 0.0, 1.0), (0.0, 10.0, 13.0, 0.8)] {
        let mut style = Style::new("Black Han Sans", 110.0, Colour::rgb(240, 60, 60));
        style.shadow = Some(Shadow { dx, dy, blur, colour: Colour::rgb(10, 20, 40), opacity });
        let found = measured(&style).shadow.unwrap();
        assert!((found.dx - dx).abs() <= 1.0 && (found.dy - dy).abs() <= 1.0, "{found:?}");
        assert!((found.blur - blur).abs() <= 3.0 && (found.opacity - opacity).abs() <= 0.12, "{found:?}");
        assert_near(found.colour, Colour::rgb(10, 20, 40), 6);
    }
}

#[test]
fn outline_and_shadow_are_told_apart() {
    let mut style = Style::new("Jua", 120.0, Colour::rgb(255, 255, 255));
    style.outline = Some(Outline { width: 5.0, colour: Colour::rgb(200, 30, 60) });
    style.shadow = Some(Shadow { dx: 8.0, dy: 8.0, blur: 6.0, colour: Colour::rgb(0, 0, 0), opacity: 0.5 });
    let paint = measured(&style);
    let (outline, shadow) = (paint.outline.unwrap(), paint.shadow.unwrap());
    assert!((outline.width - 5.0).abs() <= 1.0, "{outline:?}");
    assert!((shadow.dx - 8.0).abs() <= 1.5 && (shadow.dy - 8.0).abs() <= 1.5, "{shadow:?}");
    assert!((shadow.opacity - 0.5).abs() <= 0.12, "{shadow:?}");
}

#[test]
fn letters_are_told_from_what_lies_around_them() {
    let fonts = Fonts::load(&Sources::default());
    let outline = |width| Some(Outline { width, colour: Colour::rgb(40, 20, 90) });
    let shadow = |blur, opacity| Some(Shadow { dx: 5.0, dy: 6.0, blur, colour: Colour::rgb(0, 0, 0), opacity });
    for (family, outline, shadow) in [
        ("Noto Sans KR", None, None),
        ("Jua", outline(4.0), None),
        ("Black Han Sans", outline(6.0), shadow(8.0, 0.5)),
        ("Noto Serif KR", outline(2.0), None),
        ("Do Hyeon", None, shadow(10.0, 0.6)),
        ("Black Han Sans", None, shadow(0.0, 1.0)),
    ] {
        let style = Style { outline, shadow, weight: 700, ..Style::new(family, 90.0, Colour::rgb(250, 230, 120)) };
        let pixels = on_canvas(&draw(&text(vec![line("봄날 Sale", &style)], 60.0, 150.0), &fonts), 600, 240);
        let found = identify(&ink(&pixels), "봄날 Sale", &fonts, &Options::default()).unwrap()[0];
        assert_eq!(fonts.face(found.face).unwrap().family(), family, "{outline:?} {shadow:?}");
        assert!((found.size / 90.0 - 1.0).abs() <= 0.03, "{family} {outline:?} {shadow:?}: {found:?}");
        assert!((found.baseline - 150.0).abs() <= 2.0 && found.similarity > 0.85, "{family}: {found:?}");
    }
}

/// A lifted line becomes text, and the text is drawn where the line was and as it looked.
#[test]
fn a_line_is_read_and_drawn_again() {
    let fonts = Fonts::load(&Sources::default());
    let gradient = Fill::Gradient(Gradient {
        start: Position { x: 0.0, y: -70.0 },
        end: Position { x: 0.0, y: 10.0 },
        stops: vec![
            Stop { offset: 0.0, colour: Colour::rgb(255, 240, 120) },
            Stop { offset: 1.0, colour: Colour::rgb(250, 110, 60) },
        ],
    });
    let outline = Some(Outline { width: 4.0, colour: Colour::rgb(40, 20, 90) });
    let shadow = Some(Shadow { dx: 5.0, dy: 6.0, blur: 8.0, colour: Colour::rgb(0, 0, 0), opacity: 0.5 });
    for (family, fill, outline, shadow, spacing) in [
        ("Noto Sans KR", Fill::Colour(Colour::rgb(20, 90, 200)), None, None, 0.0),
        ("Jua", Fill::Colour(Colour::rgb(255, 255, 255)), outline, None, 3.0),
        ("Black Han Sans", gradient, outline, shadow, 0.0),
    ] {
        let style = Style { fill, outline, shadow, letter_spacing: spacing, ..black(family, 80.0) };
        let pixels = on_canvas(&draw(&text(vec![line("여름 Festa", &style)], 60.4, 150.7), &fonts), 600, 240);
        let found = identify(&ink(&pixels), "여름 Festa", &fonts, &Options::default()).unwrap()[0];
        let letters = match_coverage(&found, "여름 Festa", &fonts, 600, 240).unwrap();
        let again = line_text("여름 Festa", &found, &measure(&pixels, &letters).unwrap(), &fonts).unwrap();
        assert_eq!(again.lines[0].runs[0].style.family, family);
        let drawn = on_canvas(&draw(&again, &fonts), 600, 240);
        // Over grey, as a poster would show it.
        let over = |pixel: &image::Rgba<u8>, n: usize| {
            let alpha = f32::from(pixel.0[3]) / 255.0;
            f32::from(pixel.0[n]) * alpha + 128.0 * (1.0 - alpha)
        };
        let inked = pixels.pixels().zip(drawn.pixels()).filter(|(one, two)| one.0[3] > 8 || two.0[3] > 8);
        let differences: Vec<f32> =
            inked.flat_map(|(one, two)| (0..3).map(move |n| (over(one, n) - over(two, n)).abs())).collect();
        let mean = differences.iter().sum::<f32>() / differences.len() as f32;
        assert!(mean <= 6.0, "{family}: {mean}");
    }
}

#[test]
fn large_lines_are_measured_in_time() {
    let fonts = Fonts::load(&Sources::default());
    let mut style = Style::new("Jua", 300.0, Colour::rgb(250, 230, 120));
    style.shadow = Some(Shadow { dx: 18.0, dy: -14.0, blur: 20.0, colour: Colour::rgb(0, 0, 60), opacity: 0.7 });
    let plain = Style { shadow: None, ..style.clone() };
    let on = |style: &Style| on_canvas(&draw(&text(vec![line("여름 SALE", style)], 60.0, 350.0), &fonts), 1800, 480);
    let (pixels, letters) = (on(&style), alpha(&on(&plain)));
    let started = std::time::Instant::now();
    let shadow = measure(&pixels, &letters).unwrap().shadow.unwrap();
    assert!((shadow.dx - 18.0).abs() <= 1.0 && (shadow.dy + 14.0).abs() <= 1.0, "{shadow:?}");
    assert!((shadow.blur - 20.0).abs() <= 3.0 && (shadow.opacity - 0.7).abs() <= 0.08, "{shadow:?}");
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn pictures_that_do_not_belong_together_are_refused() {
    let error = measure(&image::RgbaImage::new(4, 4), &image::GrayImage::new(4, 5)).unwrap_err();
    assert_eq!(error, Error::SizeMismatch { first: (4, 4), second: (4, 5) });
    assert_eq!(measure(&image::RgbaImage::new(4, 4), &image::GrayImage::new(4, 4)), Err(Error::NoInk));
    assert_eq!(measure(&image::RgbaImage::new(0, 0), &image::GrayImage::new(0, 0)), Err(Error::NoInk));
}

#[test]
fn blocks_tell_alignment_and_line_height() {
    let block = |ends: &[(f32, f32)]| {
        let lines: Vec<MeasuredLine> = ends
            .iter()
            .enumerate()
            .map(|(n, &(left, right))| MeasuredLine { left, right, baseline: 100.0 + 58.0 * n as f32, size: 40.0 })
            .collect();
        measure_block(&lines)
    };
    let left = block(&[(10.4, 300.0), (9.6, 250.0), (11.0, 410.0)]).unwrap();
    assert_eq!((left.align, left.line_height), (Align::Left, 58.0));
    let centre = block(&[(100.0, 301.0), (50.0, 350.0), (150.0, 251.0)]).unwrap();
    assert_eq!(centre.align, Align::Centre);
    assert!((centre.x - 200.5).abs() < 1.0);
    let right = block(&[(100.0, 401.0), (50.0, 400.0), (150.0, 399.0)]).unwrap();
    assert_eq!(right.align, Align::Right);
    assert_eq!(block(&[(10.0, 50.0)]).map(|one| (one.align, one.line_height)), Some((Align::Left, 48.0)));
    assert_eq!(block(&[]), None);
}

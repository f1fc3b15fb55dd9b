use std::f64::consts::PI;

use image::{Rgba, RgbaImage};

use super::*;

const COLOUR: [u8; 3] = [30, 140, 220];

/// A picture of what `is_in` holds, with 16 x 16 samples in each pixel.
fn drawn((width, height): (u32, u32), alpha: u8, is_in: impl Fn(f64, f64) -> bool) -> RgbaImage {
    const SAMPLES: u32 = 16;
    let [red, green, blue] = COLOUR;
    RgbaImage::from_fn(width, height, |x, y| {
        let at = |pixel: u32, sample: u32| f64::from(pixel) + (f64::from(sample) + 0.5) / f64::from(SAMPLES);
        let samples = (0..SAMPLES).flat_map(|v| (0..SAMPLES).map(move |u| (u, v)));
        let covered = samples.filter(|(u, v)| is_in(at(x, *u), at(y, *v))).count() as f64;
        let alpha = (covered / f64::from(SAMPLES * SAMPLES) * f64::from(alpha)).round() as u8;
        if alpha == 0 { Rgba([0; 4]) } else { Rgba([red, green, blue, alpha]) }
    })
}

/// In the frame of something that lies at a place, turned by an angle in degrees.
fn local((x, y): (f64, f64), (cx, cy): (f64, f64), degrees: f64) -> (f64, f64) {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (x, y) = (x - cx, y - cy);
    (x * cos + y * sin, y * cos - x * sin)
}

fn rounded(centre: (f64, f64), (width, height): (f64, f64), radius: f64, degrees: f64) -> impl Fn(f64, f64) -> bool {
    move |x, y| {
        let (u, v) = local((x, y), centre, degrees);
        let (u, v) = (u.abs() - width / 2.0 + radius, v.abs() - height / 2.0 + radius);
        if u > 0.0 && v > 0.0 { u.hypot(v) <= radius } else { u.max(v) <= radius }
    }
}

fn ellipse((cx, cy): (f64, f64), (a, b): (f64, f64), degrees: f64) -> impl Fn(f64, f64) -> bool {
    move |x, y| {
        let (u, v) = local((x, y), (cx, cy), degrees);
        (u / a).hypot(v / b) <= 1.0
    }
}

fn star((cx, cy): (f64, f64), points: f64, outer: f64, inner: f64) -> impl Fn(f64, f64) -> bool {
    move |x, y| {
        let (x, y) = (x - cx, y - cy);
        let part = PI / points;
        // The angle from the nearest tip; the edge is the line from there to the nearest dent.
        let angle = (y.atan2(x).rem_euclid(2.0 * part) - part).abs();
        let angle = part - angle;
        let (dent, radius) = ((inner * part.cos(), inner * part.sin()), x.hypot(y));
        let (px, py) = (radius * angle.cos(), radius * angle.sin());
        (dent.0 - outer) * py - dent.1 * (px - outer) >= 0.0 || radius == 0.0
    }
}

fn found(picture: &RgbaImage) -> FlatShape {
    let shape = FlatShape::find(picture).expect("it is a shape");
    assert_eq!(shape.colour, COLOUR);
    shape
}

fn assert_near(found: f64, wanted: f64, most: f64) {
    assert!((found - wanted).abs() <= most, "{found} instead of {wanted}");
}

#[test]
fn ellipses_are_found_to_a_tenth_of_a_pixel() {
    for (centre, radii, degrees) in [
        ((50.3, 41.8), (30.0, 30.0), 0.0),
        ((50.3, 41.8), (6.4, 6.4), 0.0),
        ((10.5, 12.25), (2.7, 2.7), 0.0),
        ((60.1, 50.7), (55.2, 20.3), 0.0),
        ((60.1, 50.7), (20.3, 45.2), 0.0),
        ((60.1, 50.7), (50.2, 20.3), 30.0),
    ] {
        for alpha in [255, 128] {
            let shape = found(&drawn((120, 100), alpha, ellipse(centre, radii, degrees)));
            let Geometry::Ellipse { centre: at, radii: r, angle } = shape.geometry else { panic!("{shape:?}") };
            assert_eq!(shape.alpha, alpha);
            assert_near(at.x, centre.0, 0.1);
            assert_near(at.y, centre.1, 0.1);
            assert_near(r.x, radii.0, 0.1);
            assert_near(r.y, radii.1, 0.1);
            assert_near(angle.to_degrees(), degrees, 0.3);
        }
    }
}

#[test]
fn rectangles_are_found_with_their_corners_and_turn() {
    for (centre, size, radius, degrees) in [
        ((60.0, 50.0), (100.0, 60.0), 0.0, 0.0),
        ((60.3, 50.6), (99.5, 61.25), 0.0, 0.0),
        ((60.3, 50.6), (99.5, 61.25), 12.0, 0.0),
        ((60.3, 50.6), (99.5, 61.25), 3.0, 0.0),
        ((60.3, 50.6), (99.5, 61.25), 2.0, 0.0),
        ((60.5, 50.5), (99.0, 61.0), 5.0, 0.0),
        ((60.3, 50.6), (90.0, 40.0), 20.0, 0.0),
        ((60.3, 50.6), (40.0, 90.0), 8.0, 0.0),
        ((60.3, 50.6), (80.0, 40.0), 0.0, 20.0),
        ((60.3, 50.6), (60.0, 60.0), 0.0, -30.0),
        ((60.3, 50.6), (80.0, 50.0), 10.0, -17.0),
    ] {
        let shape = found(&drawn((120, 100), 255, rounded(centre, size, radius, degrees)));
        let Geometry::Rectangle { centre: at, size: s, radius: r, angle } = shape.geometry else { panic!("{shape:?}") };
        println!("{size:?} {radius} {degrees}: {at:?} {s:?} {r} {}", angle.to_degrees());
        assert_near(at.x, centre.0, 0.15);
        assert_near(at.y, centre.1, 0.15);
        // A turn by more than 45 degrees is a smaller one with the sides changed.
        assert_near(s.x, size.0, 0.2);
        assert_near(s.y, size.1, 0.2);
        assert_near(r, radius, 0.4);
        assert_near(angle.to_degrees(), degrees, 0.3);
    }
}

#[test]
fn long_thin_rectangles_are_lines() {
    for (width, round, degrees) in [
        (1.0, false, 0.0),
        (1.0, false, 24.0),
        (2.0, false, 10.0),
        (5.0, false, -33.0),
        (6.0, true, 12.0),
        (3.0, false, 90.0),
    ] {
        let radius = if round { width / 2.0 } else { 0.0 };
        let shape = found(&drawn((120, 100), 255, rounded((60.0, 50.5), (90.0, width), radius, degrees)));
        let Geometry::Line { from, to, width: w, is_round } = shape.geometry else { panic!("{shape:?}") };
        println!("{width} {round} {degrees}: {from:?} {to:?} {w}");
        assert_eq!(is_round, round);
        assert_near(w, width, 0.15);
        assert_near(from.distance(to), 90.0 - 2.0 * radius, 0.6);
        let angle = (to - from).atan2().to_degrees();
        assert_near((angle - degrees + 90.0).rem_euclid(180.0) - 90.0, 0.0, 0.5);
    }
}

/// As many lines and curves as a path should have at most, by what it draws.
#[test]
fn other_contours_are_traced_with_few_segments() {
    let ring = |x: f64, y: f64| (20.0..=40.0).contains(&(x - 60.2).hypot(y - 50.4));
    let bubble = {
        let (body, tail) = (rounded((60.0, 40.0), (100.0, 60.0), 15.0, 0.0), |x: f64, y: f64| {
            (65.0..=95.0).contains(&y) && (x - 40.0).abs() <= (95.0 - y) / 2.0
        });
        move |x: f64, y: f64| body(x, y) || tail(x, y)
    };
    let heart = |x: f64, y: f64| {
        let (u, v) = ((x - 60.0) / 36.0, (45.0 - y) / 36.0);
        (u * u + v * v - 1.0).powi(3) - u * u * v * v * v <= 0.0
    };
    let dots = |x: f64, y: f64| [20.0, 60.0, 100.0].into_iter().any(|cx| (x - cx).hypot(y - 50.0) <= 12.5);
    type Is<'a> = &'a dyn Fn(f64, f64) -> bool;
    let star = star((60.0, 50.0), 5.0, 48.0, 20.0);
    let window = |x: f64, y: f64| {
        (10.0..110.0).contains(&x)
            && (10.0..90.0).contains(&y)
            && !((30.5..90.5).contains(&x) && (30.0..70.0).contains(&y))
    };
    let cases: [(&str, Is<'_>, usize, usize); 6] = [
        ("ring", &ring, 2, 16),
        ("star", &star, 1, 10),
        ("bubble", &bubble, 1, 16),
        ("heart", &heart, 1, 12),
        ("dots", &dots, 3, 24),
        ("window", &window, 2, 8),
    ];
    for (name, is_in, contours, most) in cases {
        for alpha in [255, 140] {
            let shape = found(&drawn((120, 100), alpha, is_in));
            let Geometry::Path(path) = &shape.geometry else { panic!("{name}: {shape:?}") };
            println!("{name}: {}", path.to_svg());
            assert_eq!(path.subpaths().count(), contours, "{name}");
            let segments = path.segments().count();
            assert!(segments <= most, "{name}: {segments} segments");
        }
    }
}

#[test]
fn pictures_stay_pictures() {
    let disc = drawn((120, 100), 255, ellipse((60.0, 50.0), (40.0, 40.0), 0.0));
    let changed = |change: &dyn Fn(u32, u32, &mut Rgba<u8>)| {
        let mut picture = disc.clone();
        picture
            .enumerate_pixels_mut()
            .filter(|(_, _, pixel)| pixel[3] > 0)
            .for_each(|(x, y, pixel)| change(x, y, pixel));
        picture
    };
    let noise = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(97) >> 7;
    let shadow = RgbaImage::from_fn(120, 100, |x, y| {
        let distance = (f64::from(x) - 60.0).hypot(f64::from(y) - 50.0);
        Rgba([0, 0, 0, ((45.0 - distance) * 12.0).clamp(0.0, 255.0) as u8])
    });
    let blurred = RgbaImage::from_fn(120, 100, |x, y| {
        let distance = (f64::from(x) - 60.0).hypot(f64::from(y) - 50.0);
        Rgba([0, 0, 0, ((40.0 - distance) * 40.0 + 127.0).clamp(0.0, 255.0) as u8])
    });
    for (name, picture) in [
        ("gradient", changed(&|x, _, pixel| pixel[0] = x as u8)),
        ("photo", changed(&|x, y, pixel| pixel[1] = noise(x, y) as u8)),
        (
            "one dark pixel inside",
            changed(&|x, y, pixel| {
                if (x, y) == (60, 50) {
                    pixel[2] -= 9
                }
            }),
        ),
        (
            "a hole of one pixel's half",
            changed(&|x, y, pixel| {
                if (x, y) == (60, 50) {
                    pixel[3] = 130
                }
            }),
        ),
        (
            "a dark edge",
            changed(&|_, _, pixel| {
                if pixel[3] < 200 {
                    *pixel = Rgba([0, 0, 0, pixel[3]])
                }
            }),
        ),
        ("shadow", shadow),
        ("blurred", blurred),
        (
            "noise in alpha",
            RgbaImage::from_fn(120, 100, |x, y| Rgba([9, 9, 9, if noise(x, y) & 8 == 0 { 255 } else { 0 }])),
        ),
        ("faint", drawn((120, 100), 20, ellipse((60.0, 50.0), (40.0, 40.0), 0.0))),
        ("a dot", RgbaImage::from_pixel(2, 3, Rgba([9, 9, 9, 255]))),
        ("empty", RgbaImage::new(1, 1)),
        ("nothing", RgbaImage::new(0, 0)),
    ] {
        assert_eq!(FlatShape::find(&picture), None, "{name}");
    }
}

#[test]
fn differences_within_the_tolerance_are_ignored() {
    let mut picture = drawn((120, 100), 255, ellipse((60.0, 50.0), (40.0, 40.0), 0.0));
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let by = ((x * 7 + y * 13) % 9) as u8;
        if pixel[3] > 0 {
            (pixel[0], pixel[1]) = (COLOUR[0] - 4 + by, COLOUR[1] + 4 - by);
        }
    }
    let shape = found(&picture);
    assert!(matches!(shape.geometry, Geometry::Ellipse { .. }));
}

/// What fills a picture, or ends at its border, has its edges there.
#[test]
fn a_full_picture_is_a_rectangle() {
    for size in [(120, 100), (8, 8), (3, 50), (100, 1)] {
        let shape = found(&drawn(size, 255, |_, _| true));
        let bounds = shape.geometry.path(ACCURACY).bounding_box();
        for (found, wanted) in
            [(bounds.x0, 0.0), (bounds.y0, 0.0), (bounds.x1, f64::from(size.0)), (bounds.y1, f64::from(size.1))]
        {
            assert_near(found, wanted, 0.05);
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    /// Whatever a picture has, nothing panics, and a shape lies where its pixels are.
    #[test]
    fn any_blobs_are_a_shape_or_none(
        (width, height) in (1_u32..60, 1_u32..60),
        alpha in 1.0_f64..256.0,
        soft in 0.2_f64..3.0,
        blobs in proptest::collection::vec((0.0_f64..60.0, 0.0_f64..60.0, 0.0_f64..30.0, 0.0_f64..9.0), 1..5),
    ) {
        let picture = RgbaImage::from_fn(width, height, |x, y| {
            let covered = blobs.iter().enumerate().fold(0.0, |sum: f64, (n, (cx, cy, radius, waves))| {
                let (u, v) = (f64::from(x) + 0.5 - cx, f64::from(y) + 0.5 - cy);
                let distance = if n % 2 == 0 { u.hypot(v) } else { u.abs().max(v.abs()) };
                let edge = radius + 3.0 * (v.atan2(u) * waves.floor()).sin() - distance;
                let covered = (edge / soft + 0.5).clamp(0.0, 1.0);
                if *waves < 1.0 { sum.min(1.0 - covered) } else { sum.max(covered) }
            });
            Rgba([COLOUR[0], COLOUR[1], COLOUR[2], (covered * alpha) as u8])
        });
        if let Some(shape) = FlatShape::find(&picture) {
            let bounds = shape.geometry.path(ACCURACY).bounding_box();
            proptest::prop_assert!(bounds.x0 >= -1.5 && bounds.x1 <= f64::from(width) + 1.5, "{:?}", bounds);
            proptest::prop_assert!(bounds.y0 >= -1.5 && bounds.y1 <= f64::from(height) + 1.5, "{:?}", bounds);
        }
    }
}

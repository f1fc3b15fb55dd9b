//! A part of a layer over the rest of it is the layer, whatever is lifted.

use draft::{Edge, LiftError, Lifted, lift, worst_difference};
use image::{GrayImage, Luma, Rgba, RgbaImage};

fn go_on() -> bool {
    false
}

/// What is lifted, after a look at whether the two give the layer.
fn lifted(layer: &RgbaImage, mask: &GrayImage, edge: Edge) -> Lifted {
    let lifted = lift(layer, mask, edge, &go_on).expect("something is lifted");
    assert_eq!(lifted.rest.dimensions(), layer.dimensions());
    let mut part = RgbaImage::new(layer.width(), layer.height());
    image::imageops::replace(&mut part, &lifted.part, lifted.rect.x.into(), lifted.rect.y.into());
    assert_eq!(worst_difference(layer, &[lifted.rest.clone(), part]), 0);
    lifted
}

fn disk_at(x: u32, y: u32, (cx, cy): (u32, u32), radius: u32) -> bool {
    x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2) <= radius * radius
}

fn mask_of(width: u32, height: u32, inside: impl Fn(u32, u32) -> bool) -> GrayImage {
    GrayImage::from_fn(width, height, |x, y| Luma([if inside(x, y) { 255 } else { 0 }]))
}

#[test]
fn what_is_behind_a_thing_is_completed_with_what_is_around_it() {
    // A disk with a soft edge on stripes.
    let stripe = |x: u32| if (x / 12).is_multiple_of(2) { [40, 90, 160] } else { [240, 220, 90] };
    let layer = RgbaImage::from_fn(260, 200, |x, y| {
        let distance = ((f64::from(x) - 130.0).powi(2) + (f64::from(y) - 100.0).powi(2)).sqrt();
        let share = (40.5 - distance).clamp(0.0, 1.0);
        let below = stripe(x);
        let mixed = |c: usize| ([200.0, 30.0, 40.0][c] * share + f64::from(below[c]) * (1.0 - share)).round() as u8;
        Rgba([mixed(0), mixed(1), mixed(2), 255])
    });
    // Two pixels too small, as masks of networks are.
    let mask = mask_of(260, 200, |x, y| disk_at(x, y, (130, 100), 38));
    let lifted = lifted(&layer, &mask, Edge::Found);
    assert!(lifted.completed);
    assert_eq!(lifted.part.get_pixel(130 - lifted.rect.x, 100 - lifted.rect.y).0, [200, 30, 40, 255]);
    let wrong = |x: u32, y: u32| {
        let Rgba([r, g, b, _]) = *lifted.rest.get_pixel(x, y);
        let [r0, g0, b0] = stripe(x);
        r.abs_diff(r0).max(g.abs_diff(g0)).max(b.abs_diff(b0)) > 40
    };
    // Not beside the edge of a stripe, which may be a pixel off.
    let looked_at = |x: u32, y: u32| disk_at(x, y, (130, 100), 40) && (2..10).contains(&(x % 12));
    let inside = (60..140).flat_map(|y| (90..170).map(move |x| (x, y))).filter(|&(x, y)| looked_at(x, y));
    let (count, bad) = inside.fold((0, 0), |(count, bad), (x, y)| (count + 1, bad + u32::from(wrong(x, y))));
    assert!(bad * 10 < count, "{bad} of {count} pixels are no stripes");
    // Far from it nothing changed.
    assert!(
        layer
            .enumerate_pixels()
            .filter(|(x, y, _)| !disk_at(*x, *y, (130, 100), 52))
            .all(|(x, y, p)| lifted.rest.get_pixel(x, y) == p)
    );
    assert_eq!(lifted.label.colour.as_deref(), Some("red"));
}

#[test]
fn a_layer_that_does_not_go_on_is_divided() {
    let layer = RgbaImage::from_fn(120, 80, |x, y| {
        let inside = disk_at(x, y, (40, 40), 25) || disk_at(x, y, (80, 40), 25);
        Rgba([x as u8, y as u8, 99, if inside { 255 } else { 0 }])
    });
    let mask = mask_of(120, 80, |x, _| x >= 60);
    let lifted = lifted(&layer, &mask, Edge::Found);
    assert!(!lifted.completed);
    assert_eq!((lifted.rest.get_pixel(59, 40)[3], lifted.rest.get_pixel(60, 40)[3]), (255, 0));
    assert_eq!(lifted.rect, layers::Rect { x: 60, y: 15, width: 46, height: 51 });
}

#[test]
fn a_drawn_edge_is_the_opacity() {
    let layer = RgbaImage::from_pixel(100, 100, Rgba([90, 120, 60, 255]));
    let mask = GrayImage::from_fn(100, 100, |x, y| {
        let distance = f64::from(x.abs_diff(50).pow(2) + y.abs_diff(50).pow(2)).sqrt();
        Luma([(255.0 * (1.0 - distance / 30.0)).clamp(0.0, 255.0) as u8])
    });
    let lifted = lifted(&layer, &mask, Edge::Drawn);
    for (x, y, pixel) in lifted.part.enumerate_pixels() {
        let wanted = mask.get_pixel(x + lifted.rect.x, y + lifted.rect.y)[0];
        assert!(pixel[3] == wanted, "{} instead of {wanted}", pixel[3]);
    }
    assert!(lifted.rest.pixels().all(|pixel| pixel.0 == [90, 120, 60, 255]));
}

#[test]
fn noise_is_lifted_exactly() {
    for seed in 0..60_u64 {
        let mut state = seed * 0x9e37_79b9 + 1;
        let mut byte = move || {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        let (width, height) = (1 + u32::from(byte()) % 70, 1 + u32::from(byte()) % 70);
        let layer = RgbaImage::from_fn(width, height, |_, _| {
            let alpha = if seed % 2 == 0 { 255 } else { [0, 255, 255, byte()][byte() as usize % 4] };
            Rgba([byte(), byte(), byte(), alpha])
        });
        let centre = (u32::from(byte()) % width, u32::from(byte()) % height);
        let radius = 1 + u32::from(byte()) % 30;
        let soft = seed % 3 == 0;
        let mask = GrayImage::from_fn(width, height, |x, y| {
            let inside = disk_at(x, y, centre, radius);
            Luma([if !inside {
                0
            } else if soft {
                byte()
            } else {
                255
            }])
        });
        for edge in [Edge::Found, Edge::Drawn] {
            if let Ok(found) = lift(&layer, &mask, edge, &go_on) {
                assert!(found.part.pixels().any(|pixel| pixel[3] > 0));
                lifted(&layer, &mask, edge);
            }
        }
    }
}

#[test]
fn a_large_layer_is_lifted_exactly_too() {
    let layer = RgbaImage::from_fn(3200, 2400, |x, y| {
        if disk_at(x, y, (1600, 1200), 1000) {
            Rgba([220, 40, 60, 255])
        } else {
            Rgba([(x / 16) as u8, (y / 16) as u8, 150, 255])
        }
    });
    // A drawn edge has to be outside, or the disk is what is around it.
    for (edge, radius) in [(Edge::Found, 996), (Edge::Drawn, 1004)] {
        let mask = mask_of(3200, 2400, |x, y| disk_at(x, y, (1600, 1200), radius));
        let lifted = lifted(&layer, &mask, edge);
        assert!(lifted.completed);
        let Rgba([r, g, b, _]) = *lifted.rest.get_pixel(1600, 1200);
        assert!(r.abs_diff(100) < 40 && g.abs_diff(75) < 40 && b.abs_diff(150) < 30, "{r} {g} {b}");
    }
}

#[test]
fn what_cannot_be_lifted_is_told() {
    let layer = RgbaImage::from_pixel(30, 20, Rgba([1, 2, 3, 255]));
    let error = |mask: &GrayImage, stopped: bool| lift(&layer, mask, Edge::Found, &|| stopped).map(|_| ()).unwrap_err();
    assert_eq!(error(&GrayImage::new(30, 20), false), LiftError::Nothing);
    assert_eq!(error(&mask_of(20, 30, |_, _| true), false), LiftError::Size { mask: (20, 30), layer: (30, 20) });
    let empty = RgbaImage::new(30, 20);
    assert_eq!(lift(&empty, &mask_of(30, 20, |_, _| true), Edge::Drawn, &go_on).map(|_| ()), Err(LiftError::Nothing));
    let all = lifted(&layer, &mask_of(30, 20, |_, _| true), Edge::Found);
    assert!(!all.completed && all.rest.pixels().all(|pixel| pixel[3] == 0));
    // A caller that stops is heard at the next look.
    let large = RgbaImage::from_fn(1500, 1500, |x, y| {
        Rgba([(x * 7 % 256) as u8, (y * 13 % 256) as u8, (x * y % 256) as u8, 255])
    });
    let mask = mask_of(1500, 1500, |x, y| disk_at(x, y, (750, 750), 500));
    assert_eq!(lift(&large, &mask, Edge::Found, &|| true).map(|_| ()), Err(LiftError::Stopped));
}

//! Pictures at the edges of what can be given: sizes, aspect ratios, emptiness, noise, transparency.

use std::ops::ControlFlow;

use draft::{Options, Output, Stage, decompose, worst_difference};
use image::{Rgba, RgbaImage};
use layers::Kind;

/// A number that looks random for each place.
fn hash(x: u32, y: u32) -> u32 {
    let mut z = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77);
    z = (z ^ (z >> 15)).wrapping_mul(0x2c1b_3c6d);
    z ^ (z >> 13)
}

/// Takes a picture apart, and checks what holds for every result.
fn taken_apart(input: &RgbaImage, layers: Option<u8>) -> Output {
    let size = input.dimensions();
    let (mut last, mut stages) = (0.0, Vec::new());
    let output = decompose(input, &Options { layers, ..Options::default() }, &mut |step| {
        assert!(step.fraction >= last, "progress goes back at {size:?}");
        last = step.fraction;
        if stages.last() != Some(&step.stage) {
            stages.push(step.stage);
        }
        ControlFlow::Continue(())
    })
    .expect("every picture can be taken apart");
    assert_eq!(last, 1.0);
    assert_eq!((stages.first(), stages.last()), (Some(&Stage::Read), Some(&Stage::Write)), "{stages:?}");
    let found = output.stack.layers();
    assert!(
        (1..=usize::from(layers.unwrap_or(draft::MOST_LAYERS))).contains(&found.len()),
        "{} layers at {size:?}",
        found.len()
    );
    assert!(
        found[1..].iter().all(|layer| layer.bounding_box() == Some(layer.rect())),
        "layers are cut to their pixels"
    );
    let names: std::collections::BTreeSet<&str> = found.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names.len(), found.len(), "{names:?}");
    assert_eq!(found[0].kind, Kind::Background);
    assert!(found[1..].iter().all(|layer| layer.kind != Kind::Background && layer.pixels.pixels().any(|p| p[3] > 0)));
    let pixels: Vec<RgbaImage> = found.iter().map(|layer| layer.on_canvas(size.0, size.1).into_owned()).collect();
    assert_eq!(worst_difference(input, &pixels), 0, "{size:?}");
    output
}

fn bars_and_a_disk(width: u32, height: u32) -> RgbaImage {
    let (radius, middle) = (width.min(height) / 3, (width / 2, height * 2 / 3));
    RgbaImage::from_fn(width, height, |x, y| {
        let inside = x.abs_diff(middle.0).pow(2) + y.abs_diff(middle.1).pow(2) < radius * radius;
        let bar = y < height / 4 && (x / 3) % 3 == 0 && y % 12 < 9;
        let grey = (60 + (x * 50 / width) + (y * 50 / height)) as u8;
        if inside {
            Rgba([210, 40, 50, 255])
        } else if bar {
            Rgba([250, 250, 250, 255])
        } else {
            Rgba([grey, grey, grey, 255])
        }
    })
}

#[test]
fn any_size_and_aspect_ratio() {
    for (width, height) in [(32, 32), (33, 47), (16, 15), (32, 2500), (2500, 32), (1, 700)] {
        taken_apart(&bars_and_a_disk(width, height), Some(4));
    }
}

#[test]
fn one_colour_is_one_layer_and_the_notes_say_so() {
    for colour in [[0, 0, 0, 255], [255, 255, 255, 255], [70, 140, 30, 255], [90, 10, 200, 120], [0, 0, 0, 0]] {
        let output = taken_apart(&RgbaImage::from_pixel(96, 64, Rgba(colour)), Some(4));
        assert_eq!(output.stack.layers().len(), 1, "{colour:?}");
        assert!(
            output.notes.iter().any(|note| note.to_string().contains("4 layers were asked for")),
            "{:?}",
            output.notes
        );
    }
}

#[test]
fn noise_of_all_kinds() {
    let coloured = RgbaImage::from_fn(150, 110, |x, y| {
        let [r, g, b, _] = hash(x, y).to_le_bytes();
        Rgba([r, g, b, 255])
    });
    let grey = RgbaImage::from_fn(110, 150, |x, y| {
        let value = hash(x, y) as u8;
        Rgba([value, value, value, 255])
    });
    let extremes =
        RgbaImage::from_fn(90, 90, |x, y| if hash(x, y).is_multiple_of(2) { Rgba([0; 4]) } else { Rgba([255; 4]) });
    let translucent = RgbaImage::from_fn(120, 80, |x, y| Rgba(hash(x, y).to_le_bytes()));
    for picture in [coloured, grey, extremes, translucent] {
        taken_apart(&picture, Some(4));
        taken_apart(&picture, None);
    }
}

#[test]
fn transparency_stays() {
    // A soft-edged disk on nothing, with a hole.
    let picture = RgbaImage::from_fn(140, 120, |x, y| {
        let distance = ((x as f32 - 70.0).powi(2) + (y as f32 - 60.0).powi(2)).sqrt();
        let alpha = ((40.5 - distance).clamp(0.0, 1.0) * (distance - 11.5).clamp(0.0, 1.0) * 255.0) as u8;
        Rgba([200, (x * 2 % 256) as u8, 60, alpha])
    });
    let output = taken_apart(&picture, Some(3));
    for layer in output.stack.layers() {
        for (x, y, pixel) in layer.pixels.enumerate_pixels() {
            assert!(
                picture.get_pixel(x, y)[3] > 0 || pixel[3] == 0,
                "{:?} covers what was clear at {x}, {y}",
                layer.kind
            );
        }
    }
}

#[cfg(not(feature = "networks"))]
#[test]
fn a_build_without_networks_says_so() {
    let output = taken_apart(&bars_and_a_disk(200, 160), Some(4));
    assert!(output.notes.iter().any(|note| note.to_string().contains("no networks")), "{:?}", output.notes);
}

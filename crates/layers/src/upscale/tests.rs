use image::{Rgba, RgbaImage};

use super::*;
use crate::{Difference, Kind, flatten, premultiply};

fn stack(pictures: Vec<RgbaImage>) -> LayerStack {
    let (width, height) = pictures[0].dimensions();
    let layers = pictures.into_iter().enumerate().map(|(index, pixels)| Layer {
        text: Some("words".to_owned()),
        ..Layer::new(format!("layer {index}"), Kind::Object, pixels)
    });
    LayerStack::new(width, height, layers.collect()).unwrap()
}

/// A disc with a clean edge on a ramp, 240 x 200 pixels.
fn truth() -> LayerStack {
    let ground = RgbaImage::from_fn(240, 200, |x, _| Rgba([20, 60 + (x / 4) as u8, 120, 255]));
    let disc = RgbaImage::from_fn(240, 200, |x, y| {
        let distance = 70.0 - (x as f32 - 118.0).hypot(y as f32 - 101.0);
        let alpha = ((distance + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8;
        if alpha == 0 { Rgba([0; 4]) } else { Rgba([230, 190, 40, alpha]) }
    });
    stack(vec![ground, disc])
}

fn reduced(truth: &LayerStack, width: u32, height: u32) -> LayerStack {
    resized(truth, width, height, |_| Ok(())).unwrap()
}

/// Mean difference of the premultiplied channels over the whole layer.
fn error(found: &RgbaImage, truth: &RgbaImage) -> f64 {
    let pairs = found.pixels().zip(truth.pixels());
    let sum: u64 = pairs
        .flat_map(|(a, b)| premultiply(*a).0.into_iter().zip(premultiply(*b).0))
        .map(|(a, b)| u64::from(a.abs_diff(b)))
        .sum();
    sum as f64 / truth.as_raw().len() as f64
}

/// Lifted without a stop.
fn whole(stack: &LayerStack, input: &RgbaImage) -> Result<LayerStack, UpscaleError> {
    upscale(stack, input, &mut |_| ControlFlow::Continue(()))
}

#[test]
fn edges_come_back_and_the_composite_is_the_input() {
    let truth = truth();
    let input = flatten(&truth);
    // Of another shape, as model buckets are.
    let small = reduced(&truth, 96, 85);
    let upscaled = whole(&small, &input).unwrap();
    assert!(Difference::between(&flatten(&upscaled), &input).unwrap().max <= 1);
    let plain = resized(&small, 240, 200, |_| Ok(())).unwrap();
    let errors = [&upscaled, &plain].map(|stack| error(&stack.layers()[1].pixels, &truth.layers()[1].pixels));
    assert!(errors[0] < 0.7 * errors[1], "{errors:?}");
    let layer = &upscaled.layers()[1];
    assert_eq!((layer.name.as_str(), layer.kind, layer.text.as_deref()), ("layer 1", Kind::Object, Some("words")));
}

#[test]
fn no_colour_of_the_ground_stays_in_an_edge() {
    let truth = truth();
    let upscaled = whole(&reduced(&truth, 96, 80), &flatten(&truth)).unwrap();
    for pixel in upscaled.layers()[1].pixels.pixels().filter(|pixel| pixel[3] > 40) {
        let off = (0..3).map(|channel| pixel[channel].abs_diff([230, 190, 40][channel])).max().unwrap();
        assert!(off <= 24, "{pixel:?} is no colour of the disc");
    }
}

#[test]
fn what_is_hidden_keeps_the_engines_colour() {
    let truth = truth();
    let upscaled = whole(&reduced(&truth, 120, 100), &flatten(&truth)).unwrap();
    // Under the middle of the disc.
    let (found, expected) =
        (upscaled.layers()[0].pixels.get_pixel(118, 101), truth.layers()[0].pixels.get_pixel(118, 101));
    assert!((0..4).all(|channel| found[channel].abs_diff(expected[channel]) <= 3), "{found:?}, not {expected:?}");
}

#[test]
fn transparency_of_the_input_stays() {
    let disc = truth().into_layers().remove(1);
    let truth = stack(vec![disc.pixels.clone()]);
    let upscaled = whole(&reduced(&truth, 96, 80), &flatten(&truth)).unwrap();
    assert!(Difference::between(&flatten(&upscaled), &disc.pixels).unwrap().max <= 1);
    assert_eq!(upscaled.layers()[0].pixels.get_pixel(2, 2)[3], 0);
}

#[test]
fn any_two_sizes_will_do() {
    let truth = truth();
    let input = flatten(&truth);
    for (width, height) in [(240, 200), (480, 400), (300, 50), (1, 1), (7, 300)] {
        let upscaled = whole(&reduced(&truth, width, height), &input).unwrap();
        assert!(Difference::between(&flatten(&upscaled), &input).unwrap().max <= 1, "{width}x{height}");
    }
    assert!(whole(&truth, &RgbaImage::new(0, 3)).is_err());
    let none = LayerStack::new(4, 4, Vec::new()).unwrap();
    assert_eq!(flatten(&whole(&none, &input).unwrap()), input);
}

#[test]
fn progress_rises_from_none_to_all_and_a_break_ends_it() {
    let truth = truth();
    let (small, input) = (reduced(&truth, 96, 80), flatten(&truth));
    let mut shares = Vec::new();
    upscale(&small, &input, &mut |share| {
        shares.push(share);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(shares.is_sorted() && shares.first() == Some(&0.0) && shares.last() == Some(&1.0), "{shares:?}");
    // One for each strip of rows among them.
    assert!(shares.iter().filter(|share| (0.4..0.8).contains(*share)).count() >= 4, "{shares:?}");
    for at in 0..shares.len() {
        let mut calls = 0;
        let stopped = upscale(&small, &input, &mut |_| {
            calls += 1;
            if calls > at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(UpscaleError::Stopped)));
        assert_eq!(calls, at + 1, "nothing is asked again after a break");
    }
}

#[test]
fn cut_layers_are_lifted_as_whole_ones() {
    let truth = truth();
    let (small, input) = (reduced(&truth, 96, 80), flatten(&truth));
    let label = Some(crate::Label::new("circle"));
    let cut = small.iter().cloned().map(|layer| Layer { label: label.clone(), ..layer.trimmed() }).collect();
    let cut = LayerStack::new(96, 80, cut).unwrap();
    assert!(cut.layers()[1].pixels.width() < 96);
    let (found, wanted) = (whole(&cut, &input).unwrap(), whole(&small, &input).unwrap());
    assert_eq!(found.layers()[1].label, label);
    assert!(Difference::between(&flatten(&found), &input).unwrap().max <= 1);
    // Not to the byte: a cut layer has lost the colours under its alpha 0.
    let errors = [&found, &wanted].map(|stack| error(&stack.layers()[1].pixels, &truth.layers()[1].pixels));
    assert!(errors[0] < errors[1] + 0.05, "{errors:?}");
}

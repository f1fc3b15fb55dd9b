use super::*;
use crate::{Kind, Layer};
use image::Rgba;

const SIDE: u32 = 20;

fn layer(pixels: RgbaImage) -> Layer {
    Layer::new("", Kind::Unknown, pixels)
}

fn ground() -> RgbaImage {
    RgbaImage::from_pixel(SIDE, SIDE, Rgba([10, 20, 30, 255]))
}

/// A block of `alpha` in the left quarter.
fn block(alpha: u8) -> RgbaImage {
    RgbaImage::from_fn(SIDE, SIDE, |x, _| if x < SIDE / 4 { Rgba([250, 0, 0, alpha]) } else { Rgba([0; 4]) })
}

fn report(pictures: Vec<RgbaImage>, input: Option<&RgbaImage>) -> Report {
    let stack = LayerStack::new(SIDE, SIDE, pictures.into_iter().map(layer).collect()).unwrap();
    let composite = flatten(&stack);
    Report::new(&stack, input.unwrap_or(&composite), &Thresholds::default()).unwrap()
}

#[test]
fn a_sound_stack_has_no_flags() {
    let report = report(vec![ground(), block(255)], None);
    assert_eq!(report.recomposition.max, 0);
    for layer in &report.layers {
        assert!(!layer.empty && !layer.copy_of_composite && layer.duplicate_of.is_none());
    }
    assert_eq!(report.layers[1].bounding_box, Some(Rect { x: 0, y: 0, width: 5, height: 20 }));
    assert!((report.layers[0].visible_share - 0.75).abs() < 1e-12);
    assert!((report.layers[1].visible_share - 1.0).abs() < 1e-12);
    assert!((report.layers[1].coverage - 0.25).abs() < 1e-12);
}

#[test]
fn half_alpha_hides_half() {
    let report = report(vec![ground(), block(51)], None);
    assert!((report.layers[0].visible_share - (1.0 - 0.25 * 0.2)).abs() < 1e-12);
}

#[test]
fn an_empty_layer_is_found() {
    let report = report(vec![ground(), RgbaImage::new(SIDE, SIDE), RgbaImage::new(SIDE, SIDE)], None);
    for layer in &report.layers[1..] {
        assert!(layer.empty && layer.duplicate_of.is_none() && layer.bounding_box.is_none());
        assert_eq!(layer.visible_share, 0.0);
    }
}

#[test]
fn faint_noise_is_empty_when_asked() {
    let stack = LayerStack::new(SIDE, SIDE, vec![layer(ground()), layer(block(3))]).unwrap();
    let input = flatten(&stack);
    let strict = Report::new(&stack, &input, &Thresholds::default()).unwrap();
    let lenient = Report::new(&stack, &input, &Thresholds { empty_alpha: 4, ..Thresholds::default() }).unwrap();
    assert_eq!((strict.layers[1].empty, lenient.layers[1].empty), (false, true));
}

#[test]
fn a_duplicate_names_the_lowest_original() {
    let mut near = block(255);
    near.put_pixel(1, 1, Rgba([249, 1, 0, 255]));
    let report = report(vec![ground(), block(255), near, block(255)], None);
    let found: Vec<_> = report.layers.iter().map(|layer| layer.duplicate_of).collect();
    assert_eq!(found, [None, None, Some(1), Some(1)]);
}

#[test]
fn a_copy_of_the_picture_is_found_above_and_below() {
    let picture = flatten(&LayerStack::new(SIDE, SIDE, vec![layer(ground()), layer(block(255))]).unwrap());
    // On top of the true layers, and as a background that still holds the block.
    let above = report(vec![ground(), block(255), picture.clone()], None);
    let flags: Vec<_> = above.layers.iter().map(|layer| layer.copy_of_composite).collect();
    assert_eq!(flags, [false, false, true]);
    let below = report(vec![picture, ground(), block(255)], None);
    assert!(below.layers[0].copy_of_composite);
    assert!(!below.layers[1].copy_of_composite);
}

#[test]
fn a_lone_layer_is_no_copy() {
    assert!(!report(vec![ground()], None).layers[0].copy_of_composite);
    assert!(!report(vec![ground(), RgbaImage::new(SIDE, SIDE)], None).layers[0].copy_of_composite);
}

#[test]
fn cut_layers_are_measured_as_whole_ones() {
    let picture = flatten(&LayerStack::new(SIDE, SIDE, vec![layer(ground()), layer(block(255))]).unwrap());
    let mut clear = picture.clone();
    (0..SIDE).for_each(|x| clear.put_pixel(x, 3, Rgba([0; 4])));
    let mut one_pixel = RgbaImage::new(SIDE, SIDE);
    one_pixel.put_pixel(19, 19, Rgba([1, 2, 3, 200]));
    let pictures = [ground(), block(90), one_pixel, block(255), block(254), RgbaImage::new(SIDE, SIDE), picture];
    for input in [&pictures[6], &clear, &RgbaImage::new(SIDE, SIDE)] {
        for count in 1..=pictures.len() {
            let whole: Vec<Layer> = pictures[..count].iter().cloned().map(layer).collect();
            let cut = whole.iter().cloned().map(Layer::trimmed).collect();
            let of = |layers| Report::new(&LayerStack::new(SIDE, SIDE, layers).unwrap(), input, &Thresholds::default());
            assert_eq!(of(cut).unwrap(), of(whole).unwrap(), "{count} layers");
        }
    }
}

#[test]
fn the_worst_place_is_told() {
    let mut input = ground();
    input.put_pixel(7, 3, Rgba([10, 20, 90, 255]));
    let report = report(vec![ground()], Some(&input));
    assert_eq!((report.recomposition.max, report.recomposition.worst), (60, Some((7, 3))));
}

#[test]
fn the_input_must_be_of_the_canvas_size() {
    let stack = LayerStack::new(SIDE, SIDE, vec![layer(ground())]).unwrap();
    assert!(Report::new(&stack, &RgbaImage::new(3, 3), &Thresholds::default()).is_err());
}

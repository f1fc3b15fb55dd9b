use super::*;
use crate::{Difference, flatten};
use proptest::prelude::*;

fn stack(pictures: Vec<RgbaImage>) -> LayerStack {
    let (width, height) = pictures[0].dimensions();
    let layers = pictures.into_iter().map(|pixels| Layer::new("", Kind::Unknown, pixels));
    LayerStack::new(width, height, layers.collect()).unwrap()
}

#[test]
fn a_stack_that_fits_is_not_touched() {
    let pictures = vec![
        RgbaImage::from_pixel(2, 2, Rgba([10, 20, 30, 255])),
        RgbaImage::from_pixel(2, 2, Rgba([200, 100, 0, 77])),
    ];
    let before = stack(pictures.clone());
    let after = solve_exact(before.clone(), &flatten(&before)).unwrap();
    assert!(after.layers().iter().zip(&pictures).all(|(layer, picture)| layer.pixels == *picture));
}

#[test]
fn a_small_residual_keeps_every_alpha() {
    let pictures = vec![
        RgbaImage::from_pixel(1, 1, Rgba([100, 100, 100, 255])),
        RgbaImage::from_pixel(1, 1, Rgba([200, 50, 90, 128])),
    ];
    let input = RgbaImage::from_pixel(1, 1, Rgba([160, 70, 90, 255]));
    let after = solve_exact(stack(pictures.clone()), &input).unwrap();
    assert!(Difference::between(&flatten(&after), &input).unwrap().max <= 1);
    for (layer, before) in after.layers().iter().zip(&pictures) {
        assert_eq!(layer.pixels.get_pixel(0, 0)[3], before.get_pixel(0, 0)[3]);
    }
}

#[test]
fn a_stack_without_layers_gets_the_input() {
    let input = RgbaImage::from_pixel(2, 1, Rgba([1, 2, 3, 99]));
    let after = solve_exact(LayerStack::new(2, 1, Vec::new()).unwrap(), &input).unwrap();
    assert_eq!(flatten(&after), input);
}

#[test]
fn layers_stay_where_they_lie_and_the_lowest_takes_the_rest() {
    let small = |x, y, pixel| {
        let pixels = RgbaImage::from_pixel(2, 2, Rgba(pixel));
        Layer { x, y, ..Layer::new("", Kind::Unknown, pixels) }
    };
    let layers = vec![small(0, 0, [10, 20, 30, 255]), small(1, 1, [200, 100, 0, 128]), small(2, 1, [9; 4])];
    let before = LayerStack::new(5, 4, layers).unwrap();
    let same = solve_exact(before.clone(), &flatten(&before)).unwrap();
    assert_eq!(same.layers()[0].rect(), before.layers()[0].rect());
    let input = RgbaImage::from_fn(5, 4, |x, y| Rgba([x as u8 * 50, y as u8 * 60, 80, 255]));
    let after = solve_exact(before.clone(), &input).unwrap();
    assert!(Difference::between(&flatten(&after), &input).unwrap().max <= 1);
    assert_eq!(after.layers()[0].rect(), Rect::whole(5, 4));
    for (after, before) in after.iter().zip(&before).skip(1) {
        assert_eq!(after.rect(), before.rect());
    }
}

#[test]
fn the_size_must_agree() {
    let before = stack(vec![RgbaImage::new(2, 2)]);
    assert!(solve_exact(before, &RgbaImage::new(3, 2)).is_err());
}

fn alpha() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(255), Just(1), Just(254), any::<u8>()]
}

fn pixel() -> impl Strategy<Value = [u8; 4]> {
    (any::<[u8; 3]>(), alpha()).prop_map(|(c, a)| [c[0], c[1], c[2], a])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn any_stack_gives_any_input(pixels in prop::collection::vec(pixel(), 1..6), wanted in pixel()) {
        let pictures = pixels.iter().map(|pixel| RgbaImage::from_pixel(1, 1, Rgba(*pixel))).collect();
        let input = RgbaImage::from_pixel(1, 1, Rgba(wanted));
        let after = solve_exact(stack(pictures), &input).unwrap();
        prop_assert!(Difference::between(&flatten(&after), &input).unwrap().max <= 1);
    }

    #[test]
    fn solving_closely_is_never_worse(pixels in prop::collection::vec(pixel(), 1..6), wanted in pixel()) {
        let pictures = pixels.iter().map(|pixel| RgbaImage::from_pixel(1, 1, Rgba(*pixel))).collect();
        let input = RgbaImage::from_pixel(1, 1, Rgba(wanted));
        let found = solve_closely(stack(pictures), &input).unwrap();
        prop_assert!(Difference::between(&flatten(&found), &input).unwrap().max <= 1);
    }

    #[test]
    fn an_opaque_pixel_comes_back_to_the_step(top in any::<[u8; 3]>(), below in any::<[u8; 3]>(), wanted in any::<[u8; 3]>()) {
        let opaque = |c: [u8; 3]| Rgba([c[0], c[1], c[2], 255]);
        let pictures = [below, top].map(|colour| RgbaImage::from_pixel(1, 1, opaque(colour))).to_vec();
        let input = RgbaImage::from_pixel(1, 1, opaque(wanted));
        let found = solve_closely(stack(pictures), &input).unwrap();
        prop_assert_eq!(Difference::between(&flatten(&found), &input).unwrap().max, 0);
    }
}

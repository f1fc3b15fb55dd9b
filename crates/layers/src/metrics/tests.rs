use image::Rgba;

use super::*;
use crate::{Kind, Layer};

const CLEAR: [u8; 4] = [0; 4];
const BLACK: [u8; 4] = [0, 0, 0, 255];
const WHITE: [u8; 4] = [255; 4];

/// A stack of rows of pixels, the lowest first.
fn stack(rows: &[&[[u8; 4]]]) -> LayerStack {
    let width = rows[0].len() as u32;
    let layers = rows
        .iter()
        .map(|row| Layer::new("", Kind::Unknown, RgbaImage::from_fn(width, 1, |x, _| Rgba(row[x as usize]))))
        .collect();
    LayerStack::new(width, 1, layers).unwrap()
}

fn close(found: Score, edits: usize, rgb_l1: f64, alpha_iou: f64, cost: f64) {
    assert_eq!(found.edits, edits, "{found:?}");
    for (found, expected) in [(found.rgb_l1, rgb_l1), (found.alpha_iou, alpha_iou), (found.cost, cost)] {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }
}

#[test]
fn pair_measures_by_hand() {
    // Truth: grey 51 at alpha 255 and 0; prediction: grey 102 and 204 at alpha 51 and 102.
    // L1 = (51/255 * 1 + ... * 0) / 1 = 0.2; IoU = min(51,255)+min(102,0) / 255+102 = 51/357.
    let truth = stack(&[&[[51, 51, 51, 255], CLEAR]]);
    let predicted = stack(&[&[[102, 102, 102, 51], [204, 204, 204, 102]]]);
    let score = pair_score(&predicted.layers()[0].pixels, &truth.layers()[0].pixels).unwrap();
    assert!((score.rgb_l1 - 0.2).abs() < 1e-12);
    assert!((score.alpha_iou - 51.0 / 357.0).abs() < 1e-12);
    assert!((score.cost() - (0.2 + 1.0 - 51.0 / 357.0) / 2.0).abs() < 1e-12);
}

#[test]
fn the_weight_is_the_true_alpha() {
    // L1 = (1.0 * 0 + 0.2 * 1) / 1.2 = 1/6.
    let truth = stack(&[&[BLACK, [0, 0, 0, 51]]]);
    let predicted = stack(&[&[BLACK, [255, 255, 255, 51]]]);
    let score = pair_score(&predicted.layers()[0].pixels, &truth.layers()[0].pixels).unwrap();
    assert!((score.rgb_l1 - 1.0 / 6.0).abs() < 1e-12);
}

#[test]
fn an_equal_stack_is_perfect() {
    let stack = stack(&[&[BLACK, BLACK, BLACK], &[WHITE, WHITE, CLEAR], &[CLEAR, [9, 200, 3, 90], CLEAR]]);
    for score in evaluate(&stack, &stack, 5).unwrap() {
        close(score, 0, 0.0, 1.0, 0.0);
    }
}

#[test]
fn alignment_and_one_merge_by_hand() {
    // Truth: black ground, white in pixels 0 and 1.
    // Prediction: black ground, white in pixel 0, white in pixels 0 and 1.
    let truth = stack(&[&[BLACK; 4], &[WHITE, WHITE, CLEAR, CLEAR]]);
    let predicted = stack(&[&[BLACK; 4], &[WHITE, CLEAR, CLEAR, CLEAR], &[WHITE, WHITE, CLEAR, CLEAR]]);
    // Costs (prediction, truth), as (L1, IoU) -> cost:
    //   (0,0): (0, 1) -> 0            (0,1): (1, 2/4) -> 0.75
    //   (1,0): (1/4, 1/4) -> 0.5      (1,1): (1/2, 1/2) -> 0.5
    //   (2,0): (2/4, 2/4) -> 0.5      (2,1): (0, 1) -> 0
    // Summed: 0, 0.75; 0.5, 0.5; 1.0, 0.5. The path back from (2,1) takes the diagonal (1,0) on the
    // tie of 0.5, then (0,0): pairs (0,0), (1,0), (2,1) with L1 0, 1/4, 0 and IoU 1, 1/4, 1.
    let scores = evaluate(&predicted, &truth, 5).unwrap();
    close(scores[0], 0, 0.25 / 3.0, 2.25 / 3.0, 0.5 / 3.0);
    // Merging the lower two: m = white, black, black, black. To the black ground L1 1/4, IoU 1,
    // similarity 0.875; the gain is 2 * 0.875 - (1 + 0.5) = 0.25. Merging the upper two: white, white,
    // similarity 0.5 to the ground and 1 to the truth; gain 1.5 - 1.5 = 0, so it is not taken.
    // Then (0,0): L1 1/4, IoU 1, cost 0.125 and (1,1): 0, 1, 0. Two layers are left: no more merges.
    for score in &scores[1..] {
        close(*score, 1, 0.125, 1.0, 0.0625);
    }
    assert_eq!(scores.len(), 6);
}

#[test]
fn the_ground_truth_may_be_merged_too() {
    // The prediction has the two upper layers of the truth in one.
    let truth = stack(&[&[BLACK; 4], &[WHITE, WHITE, CLEAR, CLEAR], &[CLEAR, [255, 0, 0, 255], CLEAR, CLEAR]]);
    let predicted = stack(&[&[BLACK; 4], &[WHITE, [255, 0, 0, 255], CLEAR, CLEAR]]);
    let scores = evaluate(&predicted, &truth, 1).unwrap();
    assert!(scores[0].cost > 0.0);
    close(scores[1], 1, 0.0, 1.0, 0.0);
}

#[test]
fn the_order_of_layers_that_do_not_overlap_does_not_count() {
    let truth = stack(&[&[BLACK; 3], &[WHITE, CLEAR, CLEAR], &[CLEAR, [1, 2, 3, 255], CLEAR]]);
    let predicted = stack(&[&[BLACK; 3], &[CLEAR, [1, 2, 3, 255], CLEAR], &[WHITE, CLEAR, CLEAR]]);
    close(evaluate(&predicted, &truth, 0).unwrap()[0], 0, 0.0, 1.0, 0.0);
}

#[test]
fn stacks_that_cannot_be_compared_are_errors() {
    let a = stack(&[&[BLACK; 3]]);
    let b = stack(&[&[BLACK; 2]]);
    assert!(matches!(evaluate(&a, &b, 1), Err(EvaluationError::Size(_))));
    let none = LayerStack::new(3, 1, Vec::new()).unwrap();
    assert_eq!(evaluate(&a, &none, 1), Err(EvaluationError::NoLayers));
}

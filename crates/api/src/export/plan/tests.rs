use jobs::document::{Document, Element, LayerRef};
use jobs::edits::LayerEdit;
use jobs::tree::{Output, TreeLayer};
use layers::{Kind, Rect, ShapeMode, TextMode};

use super::*;

const BUDGET: u64 = 1 << 30;
const MAX_PIXELS: u64 = 64_000_000;
const PNG: Target = Target::Png { trim: false };
const ZIP: Target = Target::Document {
    format: Format::Zip,
    trim: false,
    names: false,
    text: TextMode::Both,
    shapes: ShapeMode::Native,
};

/// A result of two layers as large as its canvas.
fn tree(width: u32, height: u32) -> Tree {
    let layer = |layer| TreeLayer {
        live_text: None,
        layer,
        name: format!("layer {layer}"),
        kind: Kind::Object,
        text: None,
        group: None,
        bounding_box: Some(Rect { x: 0, y: 0, width, height }),
        child: None,
        file: format!("layer_{layer}.png"),
    };
    let layers = vec![layer(0), layer(1)];
    Tree { job_id: JobId::from_u128(1), width, height, layers, title: "title".to_owned(), density: None }
}

fn plan(tree: &Tree, edits: &[LayerEdit], target: Target) -> Result<Plan, LimitError> {
    let element = |(id, edit): (u64, &LayerEdit)| Element {
        edit: edit.clone(),
        ..Element::layer(id, LayerRef { job_id: tree.job_id, layer: 1 })
    };
    let composition =
        Document { elements: (0..).zip(edits).map(element).collect() }.composition(tree, &Output::default());
    let plan = Plan::new(&composition, tree, target, BUDGET);
    plan.check(&composition.leaves, MAX_PIXELS, BUDGET).map(|()| plan)
}

fn unedited(tree: &Tree) -> Composition {
    Document::unedited(tree).composition(tree, &Output::default())
}

fn scaled(scale: f32) -> LayerEdit {
    LayerEdit { scale_x: scale, scale_y: scale, ..LayerEdit::default() }
}

#[test]
fn the_largest_picture_fits_whatever_it_is_exported_as() {
    let tree = tree(8000, 8000);
    let composition = unedited(&tree);
    for target in Format::ALL
        .map(|format| Target::Document {
            format,
            trim: true,
            names: false,
            text: TextMode::Both,
            shapes: ShapeMode::Native,
        })
        .into_iter()
        .chain([PNG])
    {
        let plan = Plan::new(&composition, &tree, target, BUDGET);
        assert_eq!(plan.check(&composition.leaves, MAX_PIXELS, BUDGET), Ok(()), "{target:?}");
    }
    let moved = LayerEdit { x: 5, ..LayerEdit::default() };
    assert!(plan(&tree, &[moved], PNG).is_ok());
}

#[test]
fn pixels_of_one_and_of_all_layers_are_bounded() {
    let tree = tree(2000, 1600);
    assert!(plan(&tree, &[scaled(2.0)], PNG).is_ok());
    assert!(matches!(plan(&tree, &[scaled(16.0)], PNG), Err(LimitError::Layer { .. })));
    assert!(matches!(plan(&tree, &vec![scaled(4.0); 1000], PNG), Err(LimitError::Work { .. })));
    // Small in the end, but each of them made from all of the layer.
    let small: Vec<_> = (0..1000).map(|n| scaled(0.02 + n as f32 * 1e-5)).collect();
    let plan = plan(&tree, &small, PNG).unwrap();
    assert!(plan.keeps_files && plan.work < 100_000_000, "{plan:?}");
    // A ZIP has each of them in the size of the canvas.
    assert!(matches!(self::plan(&tree, &small, ZIP), Err(LimitError::Work { .. })));
}

#[test]
fn a_picture_needs_no_pixels_of_layers_that_it_does_not_show() {
    let tree = tree(100, 80);
    let at = |x, y| LayerEdit { x, y, ..LayerEdit::default() };
    let hidden = LayerEdit { visible: false, ..LayerEdit::default() };
    let edits = [at(0, 0), at(100, 0), at(-100, 0), at(99, -79), at(0, 80), hidden];
    assert_eq!(plan(&tree, &edits, PNG).unwrap().used, [true, false, false, true, false, false]);
    assert_eq!(plan(&tree, &edits, ZIP).unwrap().used, [true; 6]);
    // Turned by 45 degrees, 100 x 80 pixels reach 64 pixels around their middle.
    let turned = |x| LayerEdit { x, rotation: 45.0, ..LayerEdit::default() };
    assert_eq!(plan(&tree, &[turned(113), turned(114), turned(-114)], PNG).unwrap().used, [true, false, false]);
}

#[test]
fn translucent_groups_count_for_the_memory() {
    let tree = tree(4000, 4000);
    let Composition { document, leaves, elements } = unedited(&tree);
    let nested = |depth: usize| {
        let group = |children, _| {
            let group = layers::DocumentGroup {
                name: "g".to_owned(),
                visible: true,
                opacity: 0.5,
                blend: layers::Blend::Normal,
                children,
            };
            vec![Node::Group(group)]
        };
        let nodes = (0..depth).fold(document.nodes.clone(), group);
        let document = layers::Document { nodes, ..document.clone() };
        let composition = Composition { document, leaves: leaves.clone(), elements: elements.clone() };
        Plan::new(&composition, &tree, PNG, BUDGET).check(&leaves, MAX_PIXELS, BUDGET)
    };
    assert_eq!(nested(2), Ok(()));
    assert!(matches!(nested(30), Err(LimitError::Memory { .. })));
}

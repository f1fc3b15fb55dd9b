//! Documents: what a result looks like, what becomes of it when layers are split, and steps back and forth.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use jobs::JobId;
use jobs::document::{Document, Element, LayerRef, LiftedPart, Picture, PictureId};
use jobs::edits::{Edits, LayerEdit};
use jobs::tree::{Child, LeafSource, Output, Tree, TreeLayer};
use layers::{Group, Kind, Node, Rect};

/// A result of layers of 10 x 10 pixels at (10, 20); the lowest is the background.
fn result(id: u128, count: u32) -> Tree {
    let layer = |layer: u32| TreeLayer {
        layer,
        name: layer.to_string(),
        kind: if layer == 0 { Kind::Background } else { Kind::Object },
        text: None,
        group: (layer > 1).then_some(Group::Objects),
        bounding_box: Some(Rect { x: 10, y: 20, width: 10, height: 10 }),
        child: None,
        live_text: None,
        file: format!("layer_{layer}.png"),
    };
    let layers = (0..count).map(layer).collect();
    Tree { job_id: JobId::from_u128(id), width: 100, height: 80, layers, title: String::new(), density: None }
}

/// Layer `number` of a result, split into `parts`.
fn split(mut tree: Tree, number: usize, parts: Tree) -> Tree {
    tree.layers[number].child = Some(Child { job_id: parts.job_id, x: 10, y: 20, tree: Some(parts) });
    tree
}

/// Ids with those of the groups around them: "0 1 9(2 3)".
fn outline(document: &Document, parent: Option<u64>) -> String {
    let word = |element: &Element| match element.is_group() {
        false => element.id.to_string(),
        true => format!("{}({})", element.edit.name.clone().unwrap_or_default(), outline(document, Some(element.id))),
    };
    document.children(parent).map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn ids_are_the_same_whenever_they_are_made() {
    let tree = result(1, 5);
    let document = Document::unedited(&tree);
    assert_eq!(outline(&document, None), "0 1 (2 3 4)");
    assert_eq!(document, Document::unedited(&tree));
    let parts = split(tree.clone(), 3, result(77, 3));
    let later = Document::unedited(&parts);
    for element in &document.elements {
        assert!(later.element(element.id).is_some(), "{element:?} has another id");
    }
    assert_eq!(later.checked(&parts).unwrap(), Document::unedited(&parts));
    let background = document.element(0).unwrap();
    assert!(background.locked && document.elements.iter().filter(|one| one.locked).count() == 1);
}

#[test]
fn a_layer_that_is_split_hands_down_place_size_and_colours() {
    let tree = result(1, 3);
    let mut document = Document::unedited(&tree);
    let edit = LayerEdit {
        name: Some("whole".to_owned()),
        opacity: 0.5,
        x: 7,
        scale_x: 2.0,
        hue: 30.0,
        ..LayerEdit::default()
    };
    document.elements[1].edit = edit;
    let mut parts = result(77, 2);
    // On the layer's own canvas: its left half and its right one.
    for (layer, x) in parts.layers.iter_mut().zip([0, 5]) {
        layer.bounding_box = Some(Rect { x, y: 0, width: 5, height: 10 });
    }
    let tree = split(tree, 1, parts);
    let settled = document.settled(&tree, &BTreeSet::new());
    let group = settled.element(1).unwrap();
    assert_eq!((group.edit.name.as_deref(), group.edit.opacity, group.edit.x), (Some("whole"), 0.5, 0));
    let inside: Vec<_> = settled.children(Some(1)).map(|part| &part.edit).collect();
    // The middles were 2.5 pixels beside the layer's, and are 5 now.
    assert_eq!(
        inside.iter().map(|edit| (edit.x, edit.scale_x, edit.hue)).collect::<Vec<_>>(),
        [(4, 2.0, 30.0), (10, 2.0, 30.0)]
    );
    assert!(inside.iter().all(|edit| edit.opacity == 1.0));
    assert_eq!(settled.settled(&tree, &BTreeSet::new()), settled, "once");
    assert_eq!(settled.clone().checked(&tree).unwrap(), settled);

    // The parts are deleted: the layer stands for itself again, under its name.
    let whole = settled.settled(&result(1, 3), &BTreeSet::new());
    assert_eq!(whole.elements.len(), 3);
    assert_eq!(whole.element(1).unwrap().edit.name.as_deref(), Some("whole"));
    // Split once more: other parts.
    let again = split(result(1, 3), 1, result(78, 2));
    let ids = |document: &Document| document.elements.iter().map(|element| element.id).collect::<Vec<_>>();
    let after = settled.settled(&again, &BTreeSet::new());
    assert_eq!(after.elements.len(), 5);
    assert_ne!(ids(&after), ids(&settled));
}

#[test]
fn of_a_layer_that_is_there_twice_one_is_split() {
    let tree = result(1, 2);
    let layer = LayerRef { job_id: tree.job_id, layer: 1 };
    let document = Document { elements: vec![Element::layer(1, layer), Element::layer(500, layer)] };
    let parts = split(tree, 1, result(77, 2));
    let settled = document.settled(&parts, &BTreeSet::new());
    assert_eq!(settled.elements.iter().filter(|element| element.is_group()).count(), 1);
    assert_eq!(settled.elements.len(), 4);
    assert_eq!(settled.settled(&parts, &BTreeSet::new()), settled);
}

#[test]
fn groups_that_lose_their_layers_go_and_what_was_in_others_stays() {
    let tree = split(result(1, 2), 1, result(77, 2));
    let mut document = Document::unedited(&tree);
    let child = document.children(Some(1)).next().unwrap().id;
    // A group of the parts alone, inside one that has a layer of the result too.
    document.elements.push(Element::group(600, "outer"));
    document.elements.push(Element { parent: Some(600), ..Element::group(601, "inner") });
    for (id, parent) in [(0, 600), (child, 601)] {
        document.elements.iter_mut().find(|element| element.id == id).unwrap().parent = Some(parent);
    }
    let document = document.checked(&tree).unwrap();
    assert!(outline(&document, None).contains("outer(0 inner("), "{}", outline(&document, None));
    let lost = document.settled(&result(1, 2), &BTreeSet::new());
    assert_eq!(outline(&lost, None), "1 outer(0)");
}

#[test]
fn steps_lead_back_and_forth_whatever_was_done() {
    let tree = result(1, 6);
    let mut edits = Edits::default();
    let mut seen = vec![edits.shown(&tree)];
    for step in 0..40_u64 {
        let shown = edits.shown(&tree);
        let mut document = shown.clone();
        let at = (step as usize * 7) % document.elements.len();
        match step % 5 {
            0 => document.elements[at].edit.opacity = step as f32 / 50.0,
            1 => document.place(document.elements[at].id, (step % 3) as usize),
            2 => {
                let layer = LayerRef { job_id: tree.job_id, layer: (step % 6) as u32 };
                document.elements.push(Element::layer(1000 + step, layer));
            }
            3 => document.elements.retain(|element| element.id != 1000 + step - 1),
            _ => {
                document.elements.insert(0, Element { edit: LayerEdit::default(), ..Element::group(2000 + step, "g") })
            }
        }
        let document = document.checked(&tree).unwrap().settled(&tree, &BTreeSet::new());
        edits.put(&shown, document.clone(), false);
        if seen.last() != Some(&document) {
            seen.push(document);
        }
    }
    assert_eq!(edits.past.len(), seen.len() - 1);
    for document in seen.iter().rev().skip(1) {
        let shown = edits.shown(&tree);
        assert!(edits.walk(&shown, true));
        assert_eq!(edits.shown(&tree), *document);
    }
    let shown = edits.shown(&tree);
    assert!(!edits.walk(&shown, true), "there is nothing before");
    // What was written and read again leads the same way.
    let json = serde_json::to_vec(&edits).unwrap();
    let mut edits: Edits = serde_json::from_slice(&json).unwrap();
    for document in &seen[1..] {
        let shown = edits.shown(&tree);
        assert!(edits.walk(&shown, false));
        assert_eq!(edits.shown(&tree), *document);
    }
    assert!(edits.future.is_empty());
}

#[test]
fn changes_that_belong_together_are_one_step() {
    let tree = result(1, 2);
    let mut edits = Edits::default();
    let before = edits.shown(&tree);
    for x in 1..=5 {
        let shown = edits.shown(&tree);
        let mut document = shown.clone();
        document.elements[1].edit.x = x;
        edits.put(&shown, document, x > 1);
    }
    assert_eq!((edits.past.len(), edits.shown(&tree).elements[1].edit.x), (1, 5));
    let shown = edits.shown(&tree);
    edits.walk(&shown, true);
    assert_eq!(edits.shown(&tree), before);
}

fn picture(x: i32, y: i32) -> Picture {
    Picture::at(PictureId::of(b"png", (30, 20)), x, y)
}

#[test]
fn an_element_shows_a_picture_in_place_of_its_layer_or_without_one() {
    let tree = result(1, 2);
    let layer = LayerRef { job_id: tree.job_id, layer: 1 };
    let name = Some("Sun".to_owned());
    let edit = LayerEdit { name, x: 2, y: 3, scale_x: 2.0, scale_y: 2.0, hue: 90.0, ..LayerEdit::default() };
    let own = Element { edit, ..Element::picture(9, Picture { kind: Kind::Object, ..picture(-5, 4) }, "") };
    let of_layer = Element { picture: Some(picture(0, 0)), ..Element::layer(1, layer) };
    let document = Document { elements: vec![Element::layer(0, LayerRef { layer: 0, ..layer }), of_layer, own] };
    let document = document.checked(&tree).unwrap();
    assert_eq!(document.pictures().count(), 2);
    let json = serde_json::to_string(&document).unwrap();
    assert_eq!(serde_json::from_str::<Document>(&json).unwrap(), document);
    let whole = document.composition(&tree, &Output::default());
    assert_eq!(whole.leaves[1].source, LeafSource::Picture(picture(0, 0).id));
    let shown: Vec<_> = whole
        .document
        .nodes
        .iter()
        .map(|node| match node {
            Node::Layer(layer) => (layer.name.as_str(), layer.x, layer.y, layer.kind),
            Node::Group(_) => panic!("there is no group"),
        })
        .collect();
    // Scaled about the middle of the picture.
    assert_eq!(shown[1..], [("1", 0, 0, Kind::Object), ("Sun", -5 + 2 - 15, 4 + 3 - 10, Kind::Object)]);
    assert_eq!((whole.leaves[2].size, whole.leaves[2].recolours.len()), (Some((60, 40)), 1));
}

#[test]
fn a_layer_that_is_split_later_keeps_the_picture_in_its_place() {
    let tree = result(1, 2);
    let mut document = Document::unedited(&tree);
    document.elements[1].picture = Some(picture(0, 0));
    let parts = split(tree, 1, result(77, 2));
    let settled = document.settled(&parts, &BTreeSet::new());
    assert_eq!(settled, document);
    // What is inside a split layer is seen from there.
    let mut whole = Document::unedited(&parts);
    whole.elements.push(Element { parent: Some(1), ..Element::picture(9, picture(50, 60), "Sun") });
    let whole = whole.checked(&parts).unwrap();
    assert_eq!(whole.inside(1).pictures().count(), 1);
    assert!(!whole.element(9).unwrap().is_group());
}

#[test]
fn a_picture_is_not_where_it_cannot_be() {
    let tree = split(result(1, 2), 1, result(77, 2));
    let with = |change: &dyn Fn(&mut Element)| {
        let mut document = Document::unedited(&tree);
        let element = document.elements.iter_mut().find(|element| element.id == 1).unwrap();
        element.picture = Some(picture(0, 0));
        change(element);
        document.checked(&tree).unwrap_err().to_string()
    };
    assert!(with(&|_| {}).contains("was split"));
    assert!(with(&|element| element.picture = Some(picture(100_001, 0))).contains("x and y from -100000"));
    let mut document = Document::unedited(&tree);
    document.elements[0].picture = Some(picture(0, 0));
    let text = serde_json::json!({ "lines": [], "position": { "x": 0.0, "y": 0.0 } });
    document.elements[0].edit.text = [(0, serde_json::from_value(text).unwrap())].into();
    let error = document.checked(&tree).unwrap_err().to_string();
    assert!(error.contains("picture"), "{error}");
}

#[test]
fn a_part_is_lifted_off_a_layer_and_the_rest_stays_below_it() {
    let tree = result(1, 3);
    let mut document = Document::unedited(&tree);
    document.elements[1].edit = LayerEdit { x: 5, scale_x: 2.0, scale_y: 2.0, hue: 30.0, ..LayerEdit::default() };
    let yellow = layers::Label { colour: Some("yellow".to_owned()), ..layers::Label::new("circle") };
    let lifted = |name: Option<&str>| LiftedPart {
        part: Picture { kind: Kind::Object, label: Some(yellow.clone()), ..picture(3, 4) },
        rest: picture(1, 2),
        name: name.map(str::to_owned),
    };
    let (after, part) = document.with_lifted(1, lifted(None), &tree).unwrap();
    let after = after.checked(&tree).unwrap();
    assert_eq!(outline(&after, None), format!("0 1 {part} 2"));
    let rest = after.element(1).unwrap();
    assert_eq!((rest.picture.as_ref(), rest.layer), (Some(&picture(1, 2)), document.elements[1].layer));
    assert_eq!(rest.edit, LayerEdit::default(), "the picture has been moved, scaled and recoloured");
    assert_eq!(after.element(part).unwrap().name(&tree), "Yellow circle");
    let (again, second) = after.with_lifted(1, lifted(None), &tree).unwrap();
    assert_eq!(again.element(second).unwrap().name(&tree), "Yellow circle 2");
    let (named, third) = again.with_lifted(second, lifted(Some("해")), &tree).unwrap();
    assert_eq!(named.element(third).unwrap().name(&tree), "해");
    assert_eq!(named.element(second).unwrap().name(&tree), "Yellow circle 2");

    // What is translucent is a group of the two, which is.
    document.elements[1].edit.opacity = 0.5;
    let (grouped, part) = document.with_lifted(1, lifted(None), &tree).unwrap();
    let group = grouped.element(1).unwrap().parent.unwrap();
    assert_eq!(outline(&grouped, None), format!("0 1(1 {part}) 2"));
    let look = |id: u64| grouped.element(id).map(|element| element.edit.opacity).unwrap();
    assert_eq!((look(group), look(1), look(part)), (0.5, 1.0, 1.0));
    assert!(grouped.checked(&tree).is_ok());
    assert_eq!(document.with_lifted(99, lifted(None), &tree), None);
}

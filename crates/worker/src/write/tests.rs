use std::path::PathBuf;
use std::time::Duration;

use engine::{BackgroundQuality, BackgroundReport, EngineName, EngineOffer, MessageCode, Output};
use image::{Rgba, RgbaImage};
use jobs::ParentLayer;
use layers::{Group, Kind, Label, Limits, Node};
use tempfile::TempDir;

use super::*;

const SIZE: (u32, u32) = (12, 8);

fn written(output: Output, input: &RgbaImage, parent: Option<ParentLayer>) -> (TempDir, Metadata) {
    let dir = TempDir::new().expect("a folder");
    let (width, height) = input.dimensions();
    let input_info = InputInfo {
        filename: None,
        format: "png".to_owned(),
        width,
        height,
        has_alpha: false,
        sha256: String::new(),
        parent,
    };
    let offer = EngineOffer {
        name: EngineName::Draft,
        version: String::new(),
        model: None,
        device: String::new(),
        max_layers: 64,
        uses_prompt: false,
    };
    let run = EngineRun { output, offer, model_revision: None, duration: Duration::ZERO, reason: "asked for".into() };
    let job = ResultJob { job_id: None, input_info, params: Params::default() };
    let metadata = write(dir.path(), job, input, run, &mut |_| Ok(())).expect("a result");
    (dir, metadata)
}

fn read(path: PathBuf) -> RgbaImage {
    let file = std::io::BufReader::new(std::fs::File::open(path).expect("a file"));
    layers::decode(file, &Limits::default()).expect("a picture").pixels
}

fn parent() -> ParentLayer {
    ParentLayer { job_id: JobId::from_u128(1), layer: 0, x: 0, y: 0, split_by: None, kind: None }
}

fn ground() -> Layer {
    Layer::new("Background", Kind::Background, RgbaImage::from_pixel(SIZE.0, SIZE.1, Rgba([9, 9, 9, 255])))
}

/// Two by two opaque pixels.
fn block(x: u32, y: u32) -> Layer {
    Layer { x, y, ..Layer::new("block", Kind::Object, RgbaImage::from_pixel(2, 2, Rgba([200, 0, 0, 255]))) }
}

#[test]
fn placed_layers_are_written_as_large_as_the_canvas_with_all_that_is_known_of_them() {
    let label = Label { thing: "square".to_owned(), colour: Some("red".to_owned()), number: Some(1) };
    let one = Layer { group: Some(Group::Objects), label: Some(label.clone()), ..block(3, 2) };
    let two = Layer { group: Some(Group::Objects), ..block(10, 6) };
    let stack = LayerStack::new(SIZE.0, SIZE.1, vec![ground(), one.clone(), two]).expect("a stack");
    let input = layers::flatten(&stack);
    let report = BackgroundReport {
        quality: BackgroundQuality::Fair,
        reason: Message::new(MessageCode::BackgroundTexture, "filled").with("percent", 8),
    };
    let output = Output { background: Some(report.clone()), ..Output::new(stack) };
    let (dir, metadata) = written(output, &input, None);
    assert_eq!(metadata.recomposition.max_error, 0);
    assert_eq!(metadata.background, Some(report));
    assert_eq!(read(dir.path().join("layer_1.png")), *one.on_canvas(SIZE.0, SIZE.1));
    let info = &metadata.layers[1];
    assert_eq!((info.group, info.label.as_ref()), (Some(Group::Objects), Some(&label)));
    assert_eq!(info.bounding_box, Some(layers::Rect { x: 3, y: 2, width: 2, height: 2 }));
    assert!((info.coverage - 4.0 / 96.0).abs() < 1e-12);
    let stored = std::fs::read(dir.path().join(METADATA)).expect("metadata");
    assert_eq!(serde_json::from_slice::<Metadata>(&stored).expect("metadata"), metadata);
    let [Node::Layer(_), Node::Group(group)] = &metadata.document().nodes[..] else { panic!("no group") };
    assert_eq!((group.name.as_str(), group.children.len()), ("Objects", 2));
}

#[test]
fn what_is_not_known_is_absent() {
    let stack = LayerStack::new(SIZE.0, SIZE.1, vec![ground()]).expect("a stack");
    let input = layers::flatten(&stack);
    let (dir, _) = written(Output::new(stack), &input, None);
    let stored = std::fs::read_to_string(dir.path().join(METADATA)).expect("metadata");
    for field in ["\"group\"", "\"label\"", "\"background\":"] {
        assert!(!stored.contains(field), "{field}");
    }
}

#[test]
fn a_split_leaves_out_an_empty_background_and_says_when_there_are_no_parts() {
    let empty = || Layer::new("Background", Kind::Background, RgbaImage::new(SIZE.0, SIZE.1));
    let split = |layers: Vec<Layer>, parent| {
        let stack = LayerStack::new(SIZE.0, SIZE.1, layers).expect("a stack");
        let input = layers::flatten(&stack);
        let (_dir, metadata) = written(Output::new(stack), &input, parent);
        let is_whole = metadata.notes.iter().any(|note| note.code == MessageCode::NotSplit);
        (metadata.layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>(), is_whole)
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(split(vec![empty(), block(0, 0), block(5, 5)], Some(parent())), (names(&["block", "block"]), false));
    assert_eq!(split(vec![empty(), block(0, 0)], Some(parent())), (names(&["block"]), true));
    assert_eq!(split(vec![empty(), block(0, 0)], None), (names(&["Background", "block"]), false));
}

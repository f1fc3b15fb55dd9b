use std::path::PathBuf;
use std::time::Duration;

use engine::{BackgroundQuality, BackgroundReport, EngineName, EngineOffer, MessageCode, Output, Stop, StopReason};
use image::{Rgba, RgbaImage};
use jobs::ParentLayer;
use layers::{Group, Kind, Label, Limits, Node};
use tempfile::TempDir;
use typeset::{Bounds, Colour, Line, Position, Run, Sources, Style, Text};

use super::*;
use jobs::Typefaces;

const SIZE: (u32, u32) = (12, 8);

fn written(output: Output, input: &RgbaImage, parent: Option<ParentLayer>) -> (TempDir, Metadata) {
    let dir = TempDir::new().expect("a folder");
    let (job, run) = job_and_run(EngineName::Draft, output, input, parent);
    let typefaces = Typefaces::of(Sources::default());
    let finder = WordFinder { typefaces: &typefaces, stop: &Stop::default() };
    let metadata = write(dir.path(), job, input, run, &finder, &mut |_| Ok(())).expect("a result");
    (dir, metadata)
}

fn job_and_run(
    name: EngineName,
    output: Output,
    input: &RgbaImage,
    parent: Option<ParentLayer>,
) -> (ResultJob, EngineRun) {
    let (width, height) = input.dimensions();
    let input_info = InputInfo {
        filename: None,
        format: "png".to_owned(),
        width,
        height,
        has_alpha: false,
        density: None,
        notes: Vec::new(),
        sha256: String::new(),
        parent,
    };
    let offer = EngineOffer {
        name,
        version: String::new(),
        model: None,
        device: String::new(),
        max_layers: 64,
        uses_prompt: false,
        samplers: Vec::new(),
        loras: Vec::new(),
    };
    let run = EngineRun { output, offer, model_revision: None, duration: Duration::ZERO, reason: "asked for".into() };
    (ResultJob { job_id: None, input_info, params: Params::default() }, run)
}

fn read(path: PathBuf) -> RgbaImage {
    let file = std::io::BufReader::new(std::fs::File::open(path).expect("a file"));
    layers::decode(file, &Limits::default()).expect("a picture").pixels
}

/// Colours under an alpha of 0 are those of the edge.
fn assert_same_look(found: &RgbaImage, expected: &RgbaImage) {
    let difference = layers::Difference::between(found, expected).expect("the same size");
    assert_eq!(difference.max, 0);
}

#[test]
fn what_the_file_said_of_itself_stays_with_the_result() {
    let stack = LayerStack::new(SIZE.0, SIZE.1, vec![ground(), block(3, 2)]).expect("a stack");
    let input = layers::flatten(&stack);
    let (mut job, run) = job_and_run(EngineName::Draft, Output::new(stack), &input, None);
    job.input_info.density = layers::Density::new(300.0, 300.0);
    job.input_info.notes.push(Message::new(MessageCode::EndMissing, "no end"));
    let dir = TempDir::new().expect("a folder");
    let typefaces = Typefaces::of(Sources::default());
    let finder = WordFinder { typefaces: &typefaces, stop: &Stop::default() };
    let metadata = write(dir.path(), job, &input, run, &finder, &mut |_| Ok(())).expect("a result");
    assert_eq!(metadata.notes[0].code, MessageCode::EndMissing);
    assert_eq!(metadata.document().density, layers::Density::new(300.0, 300.0));
    let file = std::io::BufReader::new(std::fs::File::open(dir.path().join("layer_1.png")).expect("a file"));
    let layer = layers::decode(file, &Limits::default()).expect("a picture");
    assert_eq!(layer.density, layers::Density::new(300.0, 300.0));
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
    assert_same_look(&read(dir.path().join("layer_1.png")), &one.on_canvas(SIZE.0, SIZE.1));
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
    for field in ["\"group\"", "\"label\"", "\"live_text\"", "\"background\":"] {
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

/// A plain background, words, and a disk of noise, as the diffusion model gives them: it reads nothing.
fn unread() -> LayerStack {
    let (width, height) = (420, 260);
    let style = Style { weight: 700, ..Style::new("Noto Sans KR", 46.0, Colour::rgb(20, 40, 120)) };
    let run = Run { text: "봄날의 음악회".to_owned(), style };
    let text = Text {
        lines: vec![Line { runs: vec![run] }],
        align: typeset::Align::Left,
        angle: 0.0,
        position: Position { x: 40.0, y: 80.0 },
    };
    let fonts = typeset::Fonts::load(&Sources::default());
    let drawn = typeset::render(&text, &fonts, Bounds { x: 0, y: 0, width, height }).expect("drawn");
    let mut words = RgbaImage::new(width, height);
    image::imageops::replace(&mut words, &drawn.picture, drawn.x.into(), drawn.y.into());
    let ground = RgbaImage::from_pixel(width, height, Rgba([245, 240, 230, 255]));
    let disk = RgbaImage::from_fn(width, height, |x, y| {
        let inside = x.abs_diff(210).pow(2) + y.abs_diff(180).pow(2) < 4000;
        Rgba([(x * 37 % 200) as u8, (y * 91 % 200) as u8, 80, if inside { 255 } else { 0 }])
    });
    let layers = vec![
        Layer::new("Background", Kind::Background, ground),
        Layer::new("Layer 1", Kind::Object, words),
        Layer::new("Layer 2", Kind::Object, disk),
    ];
    LayerStack::new(width, height, layers).expect("a stack")
}

#[test]
fn words_of_an_engine_that_does_not_read_become_live_text() {
    let stack = unread();
    let input = layers::flatten(&stack);
    let dir = TempDir::new().expect("a folder");
    let (job, run) = job_and_run(EngineName::Qwen, Output::new(stack), &input, None);
    let typefaces = Typefaces::of(Sources::default());
    let finder = WordFinder { typefaces: &typefaces, stop: &Stop::default() };
    let mut steps = Vec::new();
    let mut on_step = |step: Step| {
        steps.push((step.stage, step.fraction));
        Ok(())
    };
    let metadata = write(dir.path(), job, &input, run, &finder, &mut on_step).expect("a result");
    assert!(steps.is_sorted_by(|a, b| a.1 <= b.1), "{steps:?}");
    assert!(steps.iter().any(|(stage, fraction)| *stage == Stage::Text && *fraction > 0.0), "{steps:?}");
    let [background, words, disk] = &metadata.layers[..] else { panic!("{:?}", metadata.layers) };
    assert_eq!((background.live_text.is_some(), disk.live_text.is_some()), (false, false));
    assert_eq!((disk.kind, words.kind, words.text.as_deref()), (Kind::Object, Kind::Text, Some("봄날의 음악회")));
    let live = words.live_text.as_ref().expect("live text");
    let style = &live.blocks[0].text.lines[0].runs[0].style;
    assert_eq!((style.family.as_str(), style.weight), ("Noto Sans KR", 700));
    assert!((style.size - 46.0).abs() < 1.0 && live.overlap > 0.8, "{live:?}");
    let stored = std::fs::read(dir.path().join(METADATA)).expect("stored");
    assert_eq!(serde_json::from_slice::<Metadata>(&stored).expect("metadata").layers, metadata.layers);
}

#[test]
fn a_stop_ends_the_search_for_words_and_an_error_of_the_caller_the_writing() {
    let stack = unread();
    let input = layers::flatten(&stack);
    let dir = TempDir::new().expect("a folder");
    let typefaces = Typefaces::of(Sources::default());
    let stop = Stop::default();
    stop.raise(StopReason::ShuttingDown);
    let finder = WordFinder { typefaces: &typefaces, stop: &stop };
    let (job, run) = job_and_run(EngineName::Qwen, Output::new(stack.clone()), &input, None);
    let metadata = write(dir.path(), job, &input, run, &finder, &mut |_| Ok(())).expect("a result");
    assert!(metadata.layers.iter().all(|layer| layer.live_text.is_none()));

    let finder = WordFinder { typefaces: &typefaces, stop: &Stop::default() };
    let (job, run) = job_and_run(EngineName::Qwen, Output::new(stack), &input, None);
    let refuse = &mut |step: Step| if step.stage == Stage::Text { Err(io::Error::other("enough")) } else { Ok(()) };
    let error = write(dir.path(), job, &input, run, &finder, refuse).expect_err("it was stopped");
    assert_eq!(error.to_string(), "enough");
}

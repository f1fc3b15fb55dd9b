//! That an export stops when nobody waits for it, and holds its turn as long.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use image::RgbaImage;
use jobs::JobId;
use jobs::document::{Document, Element, LayerRef};
use jobs::edits::LayerEdit;
use jobs::store::StoredResult;
use jobs::tree::{Output, Tree, TreeLayer};
use layers::{Kind, PixelSource, Rect, ShapeMode, TextMode};

use super::*;
use crate::http::blocks::stored;

const SIDE: u32 = 40;
const MEMORY: u64 = 256 << 20;

fn png() -> Vec<u8> {
    let picture = RgbaImage::from_fn(SIDE, SIDE, |x, y| image::Rgba([x as u8, y as u8, 9, 255]));
    let mut bytes = Vec::new();
    layers::write_png(&mut bytes, &picture).unwrap();
    bytes
}

/// `count` times the one layer of a result, each in another size.
fn export(result: &StoredResult, count: usize, target: Target) -> Export {
    let job_id = result.id();
    let layer = TreeLayer {
        live_text: None,
        layer: 0,
        name: "layer".to_owned(),
        kind: Kind::Object,
        text: None,
        group: None,
        bounding_box: Some(Rect { x: 0, y: 0, width: SIDE, height: SIDE }),
        child: None,
        file: "layer_0.png".to_owned(),
    };
    let layers = vec![layer];
    let tree = Tree { job_id, width: SIDE, height: SIDE, layers, title: "title".to_owned(), density: None };
    let element = |n: usize| {
        let edit = LayerEdit { scale_x: 1.0 + n as f32 / 4.0, scale_y: 1.0 + n as f32 / 4.0, ..LayerEdit::default() };
        Element { edit, ..Element::layer(n as u64, LayerRef { job_id, layer: 0 }) }
    };
    let document = Document { elements: (0..count).map(element).collect() };
    let composition = document.composition(&tree, &Output::default());
    let in_flight = jobs::broker::InFlight::default();
    let results = [(job_id, result.clone())].into();
    let stored = StoredTree { tree, results, edits: Default::default(), metadata: Default::default() };
    Export {
        stored,
        composition,
        metadata: metadata(),
        target,
        is_original: false,
        in_flight,
        typefaces: Arc::default(),
    }
}

fn metadata() -> Metadata {
    let json = serde_json::json!({
        "schema_version": 1, "job_id": null, "seed": 1, "created_at": "2026-01-01T00:00:00Z", "duration_ms": 1,
        "input": { "filename": null, "format": "png", "width": SIDE, "height": SIDE, "has_alpha": false, "sha256": "" },
        "params": {}, "layers": [], "notes": [],
        "engine": { "name": "draft", "version": "1", "model": null, "model_revision": null, "device": "cpu", "reason": "" },
        "recomposition": { "max_error": 0, "mean_error": 0.0, "psnr_db": null },
    });
    serde_json::from_value(json).unwrap()
}

/// Waits for what another thread does.
async fn until(what: impl Fn() -> bool) {
    let waited = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap();
}

#[tokio::test]
async fn an_export_needs_no_free_thread_of_the_pool_but_for_short_reads() {
    let (_dir, store, result) = stored(&png()).await;
    let turns = turns(MEMORY);
    for target in [
        Target::Png { trim: false },
        Target::Document {
            format: Format::Zip,
            trim: false,
            names: false,
            text: TextMode::Both,
            shapes: ShapeMode::Native,
        },
    ] {
        let (mut file, place) =
            write_in_turn(&store, &turns, 1_000_000, "me", export(&result, 3, target)).await.unwrap();
        assert_eq!((turns.running(), turns.unfinished()), (0, 1), "the work is over, the file is not sent");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert!(bytes.len() > 100);
        drop(place);
        assert_eq!(turns.unfinished(), 0);
    }
}

/// A layer that is read as soon as somebody writes it.
#[cfg(unix)]
fn stall(dir: &Path, id: JobId) -> std::path::PathBuf {
    let layer = dir.join("results").join(id.to_string()).join("layer_0.png");
    std::fs::remove_file(&layer).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&layer).status().unwrap();
    assert!(made.success());
    layer
}

#[cfg(unix)]
#[tokio::test]
async fn an_abandoned_export_stops_and_gives_its_turn_back_only_then() {
    let (dir, store, result) = stored(&png()).await;
    let layer = stall(dir.path(), result.id());
    let turns = turns(MEMORY);
    let export = export(&result, 3, Target::Png { trim: false });
    let waiting = tokio::spawn({
        let (store, turns) = (store.clone(), Arc::clone(&turns));
        async move { write_in_turn(&store, &turns, 1_000_000, "me", export).await.map(drop) }
    });
    until(|| turns.running() == 1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    until(|| turns.running() == 0).await;
    assert_eq!(turns.unfinished(), 0);
    let scratch = std::fs::read_dir(dir.path().join("uploads/.staging")).unwrap().count();
    assert_eq!(scratch, 0, "its file is gone too");
    // The read that still waits for the storage may end.
    drop(std::fs::File::options().read(true).write(true).open(layer).unwrap());
}

#[tokio::test]
async fn what_is_stopped_loads_and_writes_nothing_more() {
    let (_dir, _store, result) = stored(&png()).await;
    let export = export(&result, 2, Target::Png { trim: false });
    let plan = Plan::new(&export.composition, &export.stored.tree, export.target, MEMORY);
    let stop = CancellationToken::new();
    let leaves = export.composition.leaves.clone();
    let source = StoredLeaves::new(
        (export.stored.results.clone(), export.stored.tree.job_id),
        leaves,
        (40, 40),
        (plan.clone(), Arc::default()),
        stop.clone(),
    );
    let loaded = std::thread::spawn(move || {
        let before = source.load(1).is_ok();
        let file = tempfile::tempfile().unwrap();
        let mut writer = StoppableFile { file, stop: &stop };
        writer.write_all(b"written").unwrap();
        stop.cancel();
        let error = source.load(1).unwrap_err().0.downcast::<LoadError>().unwrap();
        (before, matches!(*error, LoadError::Stopped), writer.write_all(b"not written").is_err())
    });
    assert_eq!(loaded.join().unwrap(), (true, true, true));
}

#[tokio::test]
async fn a_layer_is_the_same_whether_it_is_kept_or_made_again() {
    let (_dir, _store, result) = stored(&png()).await;
    let export = export(&result, 4, Target::Png { trim: false });
    let leaves = export.composition.leaves.clone();
    let plan = Plan::new(&export.composition, &export.stored.tree, export.target, MEMORY);
    assert!(plan.keeps_files && plan.kept_layers > 0);
    let none = Plan { keeps_files: false, kept_layers: 0, ..plan.clone() };
    let few = Plan { kept_layers: 20_000, ..plan.clone() };
    let sources = [plan, none, few].map(|plan| {
        StoredLeaves::new(
            (export.stored.results.clone(), export.stored.tree.job_id),
            leaves.clone(),
            (40, 40),
            (plan, Arc::default()),
            CancellationToken::new(),
        )
    });
    let agree = std::thread::spawn(move || {
        [0, 1, 2, 3, 1, 0, 0, 3].iter().all(|n| {
            let [first, second, third] = sources.each_ref().map(|source| source.load(*n).unwrap());
            first == second && second == third
        })
    });
    assert!(agree.join().unwrap());
}

#[tokio::test]
async fn a_deleted_result_and_one_that_is_too_large_are_refused_in_words() {
    let (_dir, store, result) = stored(&png()).await;
    let turns = turns(MEMORY);
    let scaled =
        |max_pixels| write_in_turn(&store, &turns, max_pixels, "me", export(&result, 5, Target::Png { trim: false }));
    let error = scaled(1700).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("scale it less"), "{error}");
    store.delete_result(result.id()).await.unwrap();
    let error = scaled(1_000_000).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("was deleted"), "{error}");
    assert_eq!(turns.unfinished(), 0);
}

//! Results whose layers are split again: shown at every level, removed as a whole, never left behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use jobs::broker::{EmbeddedBroker, Lease, NewJob, Outcome, Rules, WorkerInfo};
use jobs::document::Document;
use jobs::store::{Link, Store, Upload};
use jobs::tree::{Child, LeafSource, MAX_DEPTH, Output, Tree, TreeLayer};
use jobs::{
    Broker, EngineName, EngineOffer, InputInfo, JobId, Metadata, Params, ParentLayer, Removal, State, cleanup, remove,
    remove_unlinked,
};
use layers::Node;
use serde_json::json;
use tempfile::TempDir;
use time::OffsetDateTime;
use uuid::Uuid;

struct Service {
    dir: TempDir,
    broker: EmbeddedBroker,
    store: Store,
}

fn input(parent: Option<ParentLayer>) -> InputInfo {
    InputInfo {
        filename: None,
        format: "png".to_owned(),
        width: 4,
        height: 4,
        has_alpha: false,
        density: None,
        notes: Vec::new(),
        sha256: String::new(),
        parent,
    }
}

fn metadata(id: JobId, input: InputInfo) -> Metadata {
    let layer = |n: u32| {
        json!({ "file": format!("layer_{n}.png"), "z_index": n, "name": "a", "kind": "object", "text": null,
            "bounding_box": { "x": 0, "y": 0, "width": 4, "height": 4 }, "coverage": 1.0, "visible_share": 1.0,
            "flags": { "empty": false, "duplicate_of": null, "copy_of_composite": false } })
    };
    serde_json::from_value(json!({
        "schema_version": jobs::SCHEMA_VERSION, "job_id": id, "input": input, "params": Params::default(), "seed": 7,
        "engine": {"name": "draft", "version": "1", "device": "cpu", "reason": "asked for"},
        "created_at": "2026-01-02T03:04:05Z", "duration_ms": 5, "layers": [layer(0), layer(1)],
        "recomposition": {"max_error": 0, "mean_error": 0.0, "psnr_db": null}, "notes": [],
    }))
    .unwrap()
}

impl Service {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let broker = EmbeddedBroker::open(&dir.path().join("queue.sqlite"), Rules::default()).await.unwrap();
        let store = Store::open(&dir.path().join("uploads"), &dir.path().join("results")).await.unwrap();
        Self { dir, broker, store }
    }

    /// A job that waits: on a picture, or on a layer of a result.
    async fn submit(&self, parent: Option<JobId>) -> JobId {
        let id = JobId::new_v4();
        let parent = parent.map(|job_id| ParentLayer { job_id, layer: 1, x: 0, y: 0, split_by: Some(id), kind: None });
        let upload = Upload { id: Uuid::new_v4(), input: input(parent), created_at: OffsetDateTime::now_utc() };
        self.store.put_upload(&upload, self.store.scratch().unwrap()).await.unwrap();
        self.broker.submit(NewJob { id, ..NewJob::new(upload.id, Params::default()) }).await.unwrap();
        id
    }

    async fn claim(&self) -> Lease {
        let engine = EngineOffer {
            name: EngineName::Draft,
            version: String::new(),
            model: None,
            device: String::new(),
            max_layers: 10,
            uses_prompt: false,
            samplers: Vec::new(),
            loras: Vec::new(),
        };
        let seen_at = OffsetDateTime::now_utc();
        let worker = WorkerInfo { id: "w".to_owned(), engines: vec![engine], job: None, paused: None, seen_at };
        self.broker.claim(&worker, Duration::ZERO).await.unwrap().unwrap().0
    }

    async fn publish(&self, id: JobId, input: InputInfo) {
        let staging = self.store.stage(id).unwrap();
        let json = serde_json::to_vec(&metadata(id, input)).unwrap();
        std::fs::write(staging.dir().join("metadata.json"), json).unwrap();
        self.store.publish(staging).await.unwrap();
    }

    async fn succeed(&self, lease: &Lease) {
        let job = self.broker.job(lease.job_id).await.unwrap().unwrap();
        let input = self.store.upload(job.upload_id).await.unwrap().map_or_else(|| input(None), |upload| upload.input);
        self.publish(job.id, input).await;
        self.broker.finish(lease, Outcome::Succeeded { layers: 2 }).await.unwrap();
    }

    /// A finished job.
    async fn finished(&self, parent: Option<JobId>) -> JobId {
        let id = self.submit(parent).await;
        self.succeed(&self.claim().await).await;
        if let Some(parent) = parent {
            self.store.link_child(parent, 1, id).await.unwrap();
        }
        id
    }

    /// A chain of so many results below a new one, which comes first.
    async fn chain(&self, depth: usize) -> Vec<JobId> {
        let mut chain = vec![self.finished(None).await];
        for _ in 0..depth {
            chain.push(self.finished(chain.last().copied()).await);
        }
        chain
    }

    async fn remove(&self, id: JobId) -> Removal {
        remove(&self.broker, &self.store, id).await.unwrap()
    }

    fn stored(&self, shelf: &str) -> usize {
        let entries = std::fs::read_dir(self.dir.path().join(shelf)).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().file_name() != ".staging").count()
    }
}

fn removed(running: Vec<JobId>) -> Removal {
    Removal { found: true, running }
}

/// The results in a tree, each as often as it is shown.
fn shown(tree: &Tree) -> Vec<JobId> {
    let inner = tree.layers.iter().filter_map(|layer| layer.child.as_ref()?.tree.as_ref());
    std::iter::once(tree.job_id).chain(inner.flat_map(shown)).collect()
}

#[tokio::test]
async fn every_level_is_shown_and_removed() {
    let service = Service::start().await;
    let chain = service.chain(MAX_DEPTH).await;
    let tree = service.store.tree(chain[0]).await.unwrap().unwrap();
    assert_eq!(shown(&tree), chain);
    for (depth, id) in chain.iter().enumerate() {
        let metadata = service.store.metadata(*id).await.unwrap().unwrap();
        assert_eq!(service.store.depth(&metadata).await.unwrap(), depth);
    }
    assert_eq!(service.remove(chain[0]).await, removed(vec![]));
    assert_eq!((service.stored("results"), service.stored("uploads")), (0, 1));
    for id in chain {
        assert_eq!(service.broker.job(id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_older_versions_let_be_split_deeper_goes_too() {
    let service = Service::start().await;
    let chain = service.chain(MAX_DEPTH + 8).await;
    let deepest = service.store.metadata(*chain.last().unwrap()).await.unwrap().unwrap();
    assert_eq!(service.store.depth(&deepest).await.unwrap(), MAX_DEPTH);
    service.remove(chain[0]).await;
    assert_eq!((service.stored("results"), service.stored("uploads")), (0, 1));
}

#[tokio::test]
async fn a_removal_that_was_interrupted_is_repeated() {
    let service = Service::start().await;
    let chain = service.chain(4).await;
    // As if a process had died after each of these.
    service.store.close(chain[0]).await.unwrap();
    service.store.delete_result(chain[4]).await.unwrap();
    service.store.delete_result(chain[3]).await.unwrap();
    service.broker.forget(chain[3]).await.unwrap();
    assert_eq!(service.store.link_child(chain[0], 0, JobId::new_v4()).await.unwrap(), Link::NoResult);
    service.remove(chain[0]).await;
    assert_eq!(service.stored("results"), 0);
    assert_eq!(service.remove(chain[0]).await, Removal::default(), "there is nothing left");
}

#[tokio::test]
async fn waiting_parts_are_removed_and_running_ones_when_they_stop() {
    let service = Service::start().await;
    let root = service.finished(None).await;
    let running = service.submit(Some(root)).await;
    service.store.link_child(root, 1, running).await.unwrap();
    let lease = service.claim().await;
    let waiting = service.submit(Some(root)).await;
    service.store.link_child(root, 0, waiting).await.unwrap();

    assert_eq!(service.remove(root).await, Removal { found: true, running: vec![running] });
    assert_eq!(service.broker.job(waiting).await.unwrap(), None);
    assert_eq!((service.stored("results"), service.stored("uploads")), (0, 2));
    assert_eq!(service.remove(running).await.running, [running], "it has not stopped yet");
    // Its worker publishes all the same: nobody could reach that.
    service.succeed(&lease).await;
    assert_eq!(service.stored("results"), 0);
    assert_eq!(service.remove(running).await, removed(vec![]));
    assert_eq!(service.stored("uploads"), 1);
}

#[tokio::test]
async fn a_picture_that_another_job_uses_stays() {
    let service = Service::start().await;
    let root = service.finished(None).await;
    let part = service.finished(Some(root)).await;
    let upload_id = service.broker.job(part).await.unwrap().unwrap().upload_id;
    let other = NewJob::new(upload_id, Params::default());
    let other_id = other.id;
    service.broker.submit(other).await.unwrap();
    service.remove(root).await;
    assert!(service.store.upload(upload_id).await.unwrap().is_some());
    service.succeed(&service.claim().await).await;
    assert!(service.store.has_result(other_id).await.unwrap(), "the result of a job that is not a part was removed");
}

#[tokio::test]
async fn damaged_records_end() {
    let service = Service::start().await;
    let chain = service.chain(2).await;
    for layer in [0, 1] {
        for (id, child) in [(chain[2], chain[0]), (chain[1], chain[1]), (chain[0], chain[2])] {
            service.store.change_edits(id, move |edits| _ = edits.children.insert(layer, child)).await.unwrap();
        }
    }
    let tree = service.store.tree(chain[0]).await.unwrap().unwrap();
    assert_eq!(shown(&tree), [chain[0], chain[2]], "each once");
    Document::unedited(&tree).composition(&tree, &Output::default());
    service.remove(chain[0]).await;
    assert_eq!(service.stored("results"), 1);

    // One that is its own ancestor.
    let id = JobId::new_v4();
    let own = ParentLayer { job_id: id, layer: 0, x: 0, y: 0, split_by: None, kind: None };
    service.publish(id, input(Some(own))).await;
    let metadata = service.store.metadata(id).await.unwrap().unwrap();
    assert_eq!(service.store.depth(&metadata).await.unwrap(), MAX_DEPTH);
}

#[tokio::test]
async fn what_a_killed_process_left_unlinked_is_found() {
    let service = Service::start().await;
    let root = service.finished(None).await;
    let linked = service.finished(Some(root)).await;
    let unlinked = service.submit(Some(root)).await;
    service.succeed(&service.claim().await).await;
    let orphan = {
        let root = service.finished(None).await;
        let orphan = service.finished(Some(root)).await;
        service.store.delete_result(root).await.unwrap();
        service.broker.forget(root).await.unwrap();
        orphan
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    let find = async |age: u64, expires: bool| {
        remove_unlinked(&service.broker, &service.store, Duration::from_secs(age), expires).await.unwrap()
    };
    assert_eq!(find(600, false).await, 0, "too young");
    assert_eq!(find(0, true).await, 1);
    assert_eq!(service.broker.job(unlinked).await.unwrap(), None);
    assert!(service.store.has_result(orphan).await.unwrap(), "it goes by its age");
    assert_eq!(find(0, false).await, 1);
    assert_eq!(service.broker.job(orphan).await.unwrap(), None);
    for kept in [root, linked] {
        assert_eq!(service.broker.job(kept).await.unwrap().unwrap().state, State::Succeeded);
    }
}

#[tokio::test]
async fn a_result_whose_layer_is_being_split_is_not_too_old() {
    let service = Service::start().await;
    let chain = service.chain(1).await;
    let waiting = service.submit(Some(chain[1])).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let clean = async || cleanup(&service.broker, &service.store, Duration::ZERO).await.unwrap();
    assert_eq!((clean().await.results, service.stored("results")), (0, 2));
    service.broker.cancel(waiting).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(clean().await.results, 2);
}

#[tokio::test]
async fn what_somebody_asked_to_keep_stays_with_its_picture_and_its_parts() {
    let service = Service::start().await;
    let chain = service.chain(1).await;
    let other = service.finished(None).await;
    let now = OffsetDateTime::now_utc();
    let keep = async |until: OffsetDateTime| {
        service.store.change_edits(chain[0], move |edits| edits.keep_until = Some(until)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        cleanup(&service.broker, &service.store, Duration::ZERO).await.unwrap()
    };
    let cleaned = keep(now + Duration::from_secs(3600)).await;
    assert_eq!((cleaned.jobs, cleaned.results, cleaned.uploads), (1, 1, 1), "the other one alone");
    assert_eq!(service.broker.job(other).await.unwrap(), None);
    for id in chain.clone() {
        assert!(service.store.has_result(id).await.unwrap() && service.broker.job(id).await.unwrap().is_some());
    }
    let cleaned = keep(now).await;
    assert_eq!((cleaned.jobs, cleaned.results, cleaned.uploads), (2, 2, 2));
}

/// A result of layers like the first of [`metadata`], changed by `change`.
fn tree_of(count: u32, change: impl Fn(u32, &mut TreeLayer)) -> Tree {
    let id = JobId::from_u128(u128::from(count));
    let layers = (0..count).map(|layer| {
        let mut made = TreeLayer {
            live_text: None,
            layer,
            name: layer.to_string(),
            kind: layers::Kind::Object,
            text: None,
            group: None,
            bounding_box: Some(layers::Rect { x: 0, y: 0, width: 4, height: 4 }),
            child: None,
            file: format!("layer_{layer}.png"),
        };
        change(layer, &mut made);
        made
    });
    Tree { job_id: id, width: 4, height: 4, layers: layers.collect(), title: String::new(), density: None }
}

/// "a b Text[c d]" for a document of these names.
fn outline(nodes: &[Node]) -> String {
    let word = |node: &Node| match node {
        Node::Layer(layer) => layer.name.clone(),
        Node::Group(group) => format!("{}[{}]", group.name, outline(&group.children)),
    };
    nodes.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The names in the document of a tree that nobody edited.
fn unedited(tree: &Tree) -> String {
    outline(&Document::unedited(tree).composition(tree, &Output::default()).document.nodes)
}

#[test]
fn neighbours_of_one_group_are_in_a_folder() {
    let tree = tree_of(5, |n, layer| layer.group = (n > 1).then_some(layers::Group::Text));
    assert_eq!(unedited(&tree), "0 1 Text[2 3 4]");
    let apart = tree_of(5, |n, layer| layer.group = (n != 2).then_some(layers::Group::Text));
    assert_eq!(unedited(&apart), "Text[0 1] 2 Text[3 4]");
}

#[test]
fn a_split_that_found_one_part_changes_nothing() {
    let child = |tree: Tree| Some(Child { job_id: tree.job_id, x: 0, y: 0, tree: Some(tree) });
    let split = |parts: Tree| tree_of(2, |n, layer| layer.child = child(parts.clone()).filter(|_| n == 1));
    assert_eq!(unedited(&split(tree_of(3, |_, _| {}))), "0 1[0 1 2]");
    assert_eq!(unedited(&split(tree_of(1, |_, _| {}))), "0 1");
    assert_eq!(unedited(&split(tree_of(0, |_, _| {}))), "0 1");
    let inner = tree_of(1, |_, layer| layer.child = child(tree_of(3, |_, _| {})));
    assert_eq!(unedited(&split(inner)), "0 1[0[0 1 2]]");
    let tree = split(tree_of(1, |_, _| {}));
    let whole = Document::unedited(&tree).composition(&tree, &Output::default());
    let is_of_the_layer = matches!(&whole.leaves[1].source, LeafSource::Layer { job_id, .. } if *job_id == tree.job_id);
    assert!(is_of_the_layer, "its pixels are those of the layer, not of the part");
}

#[test]
fn a_document_holds_the_deepest_splits_in_named_groups() {
    let named = |_: u32, layer: &mut TreeLayer| layer.group = Some(layers::Group::Objects);
    let mut tree = tree_of(2, named);
    for depth in 0..MAX_DEPTH {
        tree.job_id = JobId::from_u128(1000 + depth as u128);
        let child = Child { job_id: tree.job_id, x: 0, y: 0, tree: Some(tree) };
        tree = tree_of(2, |n, layer| {
            named(n, layer);
            layer.child = Some(child.clone()).filter(|_| n == 1);
        });
    }
    let document = Document::unedited(&tree);
    assert!(document.composition(&tree, &Output::default()).document.check_depth().is_ok());
    // What is answered can be sent back.
    assert_eq!(document.clone().checked(&tree), Ok(document));
}

//! What every store keeps to.

use std::io::Write;
use std::time::Duration;

use jobs::document::{Document, Element, LayerRef, PictureId};
use jobs::store::{Link, PictureStored, Published};
use jobs::{JobId, Store};
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use uuid::Uuid;

use crate::place::*;

pub(crate) async fn an_upload_is_kept_until_it_is_deleted(place: Place) {
    let upload = put_upload(&place.store, b"pixels").await;
    let again = place.other().await;
    assert_eq!(again.upload(upload.id).await.unwrap(), Some(upload.clone()));
    assert_eq!(again.upload_png(upload.id).await.unwrap().as_deref(), Some(&b"pixels"[..]));
    assert_eq!(place.leftovers(), 0);

    assert!(again.delete_upload(upload.id).await.unwrap());
    assert!(!again.delete_upload(upload.id).await.unwrap());
    assert_eq!(again.upload(upload.id).await.unwrap(), None);
    assert_eq!(again.upload_png(upload.id).await.unwrap(), None);
    assert_eq!(place.leftovers(), 0);
}

pub(crate) async fn an_upload_is_never_replaced(place: Place) {
    let upload = put_upload(&place.store, b"first").await;
    let mut second = place.store.scratch().unwrap();
    second.write_all(b"second").unwrap();
    assert!(place.store.put_upload(&upload, second).await.is_err());
    assert_eq!(place.store.upload_png(upload.id).await.unwrap().as_deref(), Some(&b"first"[..]));
    assert_eq!(place.leftovers(), 0);
}

pub(crate) async fn a_result_appears_whole_and_the_first_one_stands(place: Place) {
    let id = JobId::new_v4();
    let unfinished = place.store.stage(id).unwrap();
    std::fs::write(unfinished.dir().join("metadata.json"), "{").unwrap();
    assert_eq!(place.store.metadata(id).await.unwrap(), None, "a staged result was visible");

    assert_eq!(publish(&place.store, id, "first").await, Published::Now);
    assert_eq!(publish(&place.store, id, "second").await, Published::Before);
    assert_eq!(place.store.metadata(id).await.unwrap(), Some(metadata(id, "first")));
    assert_eq!(read(&place.store, id, "layer_0.png").await.as_deref(), Some(&b"first"[..]));
    assert_eq!(read(&place.store, id, "layer_1.png").await, None);

    drop(unfinished);
    assert_eq!(place.leftovers(), 0);
}

pub(crate) async fn of_many_publishers_one_wins(place: Place) {
    let id = JobId::new_v4();
    let publishers = (0..16).map(|n| {
        let store = place.store.clone();
        tokio::spawn(async move { (n, publish(&store, id, &n.to_string()).await) })
    });
    let mut winners = Vec::new();
    for publisher in publishers.collect::<Vec<_>>() {
        let (n, published) = publisher.await.unwrap();
        winners.extend((published == Published::Now).then_some(n));
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(read(&place.store, id, "layer_0.png").await, Some(winners[0].to_string().into_bytes()));
    assert_eq!(place.leftovers(), 0);
}

pub(crate) async fn a_result_without_metadata_is_not_published(place: Place) {
    let id = JobId::new_v4();
    let staging = place.store.stage(id).unwrap();
    std::fs::write(staging.dir().join("layer_0.png"), "x").unwrap();
    assert!(place.store.publish(staging).await.is_err());
    assert_eq!(read(&place.store, id, "layer_0.png").await, None);
}

pub(crate) async fn names_lead_nowhere_else(place: Place) {
    let id = JobId::new_v4();
    publish(&place.store, id, "x").await;
    let other = JobId::new_v4();
    publish(&place.store, other, "secret").await;
    for name in ["../x", "..", "", "/etc/passwd", "layer_0.png/../metadata.json", &format!("../{other}/layer_0.png")] {
        assert_eq!(read(&place.store, id, name).await, None, "{name:?} led somewhere");
    }
}

pub(crate) async fn leftovers_of_a_crash_are_invisible_and_swept(place: Place) {
    let (job, upload) = (JobId::new_v4(), Uuid::new_v4());
    // A killed process drops nothing: its staged folders and files stay.
    let result_dir = place.store.stage(job).unwrap();
    std::fs::write(result_dir.dir().join("metadata.json"), "{}").unwrap();
    std::mem::forget(result_dir);
    std::mem::forget(place.store.scratch().unwrap());

    let store = place.other().await;
    assert_eq!(store.metadata(job).await.unwrap(), None);
    assert_eq!(store.upload(upload).await.unwrap(), None);
    assert!(store.results_before(later()).await.unwrap().is_empty());
    assert!(store.uploads_before(later()).await.unwrap().is_empty());

    assert_eq!(store.sweep(OffsetDateTime::now_utc() - Duration::from_secs(60)).await.unwrap(), 0, "too young");
    assert_eq!(store.sweep(later()).await.unwrap(), 2);
    assert_eq!(place.leftovers(), 0);
}

pub(crate) async fn age_is_told_by_when_a_thing_was_stored(place: Place) {
    let upload = put_upload(&place.store, b"x").await;
    let job = JobId::new_v4();
    publish(&place.store, job, "x").await;
    let earlier = OffsetDateTime::now_utc() - Duration::from_secs(60);
    assert!(place.store.uploads_before(earlier).await.unwrap().is_empty());
    assert!(place.store.results_before(earlier).await.unwrap().is_empty());
    assert_eq!(place.store.uploads_before(later()).await.unwrap(), [upload.id]);
    assert_eq!(place.store.results_before(later()).await.unwrap(), [job]);
    assert!(place.store.delete_result(job).await.unwrap());
    assert!(!place.store.delete_result(job).await.unwrap());
}

pub(crate) async fn parts_of_files_are_read(place: Place) {
    let id = JobId::new_v4();
    publish(&place.store, id, "0123456789").await;
    for (range, part) in [(0..10, "0123456789"), (0..1, "0"), (3..7, "3456"), (9..10, "9")] {
        let file = place.store.result_file(id, "layer_0.png").await.unwrap().unwrap();
        assert_eq!(file.len, 10);
        let mut text = String::new();
        file.read_range(range).await.unwrap().read_to_string(&mut text).await.unwrap();
        assert_eq!(text, part);
    }
}

pub(crate) async fn large_files_arrive_whole(place: Place) {
    // More than one part of an upload in parts.
    let png: Vec<u8> = (0..20_000_000_u32).map(|n| (n / 7 % 251) as u8).collect();
    let upload = put_upload(&place.store, &png).await;
    let file = place.other().await.upload_file(upload.id).await.unwrap().unwrap();
    assert_eq!(file.len, png.len() as u64);
    let mut found = Vec::new();
    file.read().await.unwrap().read_to_end(&mut found).await.unwrap();
    assert!(found == png);
    assert!(place.store.upload_png(upload.id).await.unwrap().unwrap() == png);
}

pub(crate) async fn edits_follow_one_another(place: Place) {
    let id = JobId::new_v4();
    assert_eq!(place.store.change_edits(id, |_| {}).await.unwrap(), None, "edits of nothing");
    publish(&place.store, id, "x").await;
    assert_eq!(place.store.edits(id).await.unwrap(), jobs::edits::Edits::default());
    let stores: [Store; 3] = [place.store.clone(), place.other().await, place.other().await];
    let changes = (0..12_u32).map(|n| {
        let store = stores[n as usize % 3].clone();
        tokio::spawn(async move {
            let child = JobId::from_u128(u128::from(n));
            store
                .change_edits(id, move |edits| {
                    edits.children.insert(n, child);
                })
                .await
                .unwrap()
                .unwrap()
        })
    });
    let mut revisions = Vec::new();
    for change in changes.collect::<Vec<_>>() {
        revisions.push(change.await.unwrap().revision);
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=12).collect::<Vec<_>>());
    let edits = place.store.edits(id).await.unwrap();
    assert_eq!((edits.revision, edits.children.len()), (12, 12));
    assert!(place.store.delete_result(id).await.unwrap());
    assert_eq!(place.store.edits(id).await.unwrap().revision, 0, "the edits outlived their result");
}

pub(crate) async fn a_store_says_that_it_can_be_used(place: Place) {
    place.store.check().await.unwrap();
    assert!(!place.store.describe().is_empty());
}

/// A document of so many layers.
fn layers_of(job_id: JobId, count: u32) -> Document {
    let element = |layer: u32| Element::layer(layer.into(), LayerRef { job_id, layer });
    Document { elements: (0..count).map(element).collect() }
}

/// How far each layer was moved.
pub(crate) fn offsets(edits: &jobs::edits::Edits) -> Vec<i32> {
    edits.document.iter().flat_map(|document| &document.elements).map(|element| element.edit.x).collect()
}

/// Makes `count` changes at once; gives the revisions that they made, in order.
pub(crate) async fn crowd(store: &Store, id: JobId, count: u32) -> Vec<u64> {
    let changes = (0..count).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let change = move |edits: &mut jobs::edits::Edits| {
                let document = edits.document.get_or_insert_with(|| layers_of(id, 10));
                document.elements[n as usize % 10].edit.x += 1;
            };
            store.change_edits(id, change).await.unwrap().unwrap().revision
        })
    });
    let mut revisions = Vec::new();
    for change in changes.collect::<Vec<_>>() {
        revisions.push(change.await.unwrap());
    }
    revisions.sort_unstable();
    revisions
}

pub(crate) async fn a_crowd_of_edits_is_made_in_turn(place: Place) {
    let id = JobId::new_v4();
    publish(&place.store, id, "x").await;
    assert_eq!(crowd(&place.store, id, 300).await, (1..=300).collect::<Vec<_>>());
    let edits = place.other().await.edits(id).await.unwrap();
    assert_eq!(offsets(&edits), [30; 10]);
}

pub(crate) async fn edits_have_a_greatest_size(place: Place) {
    let id = JobId::new_v4();
    publish(&place.store, id, "x").await;
    let grow = move |edits: &mut jobs::edits::Edits| edits.document = Some(layers_of(id, 2001));
    let error = place.store.change_edits(id, grow).await.unwrap_err();
    assert!(matches!(error, jobs::store::StoreError::TooLarge { .. }), "{error}");
    assert_eq!(place.store.edits(id).await.unwrap(), jobs::edits::Edits::default());
}

pub(crate) async fn a_closed_result_is_split_no_more(place: Place) {
    let (id, first, second) = (JobId::new_v4(), JobId::new_v4(), JobId::new_v4());
    assert_eq!(place.store.link_child(id, 0, first).await.unwrap(), Link::NoResult);
    assert!(place.store.close(id).await.unwrap().is_empty());
    publish(&place.store, id, "x").await;
    assert_eq!(place.store.link_child(id, 0, first).await.unwrap(), Link::Made { replaced: None });
    assert_eq!(place.store.link_child(id, 0, first).await.unwrap(), Link::Made { replaced: None });
    assert_eq!(place.store.link_child(id, 0, second).await.unwrap(), Link::Made { replaced: Some(first) });
    assert_eq!(place.other().await.close(id).await.unwrap(), [second]);
    assert_eq!(place.store.link_child(id, 0, first).await.unwrap(), Link::NoResult);
    assert_eq!(place.store.edits(id).await.unwrap().children.into_values().collect::<Vec<_>>(), [second]);
}

/// Stores a picture; its id and what became of it.
pub(crate) async fn put_picture(store: &Store, id: JobId, png: &[u8]) -> (PictureId, PictureStored) {
    let picture = PictureId::of(png, (3, 2));
    let mut file = store.make_picture_scratch().await.unwrap();
    file.write_all(png).unwrap();
    (picture, store.put_picture(id, picture, file).await.unwrap())
}

pub(crate) async fn read_picture(store: &Store, id: JobId, picture: PictureId) -> Option<Vec<u8>> {
    let file = store.result(id).await.unwrap()?.open_picture(picture).await.unwrap()?;
    let mut bytes = Vec::new();
    file.read().await.unwrap().read_to_end(&mut bytes).await.unwrap();
    Some(bytes)
}

pub(crate) async fn pictures_lie_beside_a_result_and_go_with_it(place: Place) {
    let id = JobId::new_v4();
    assert_eq!(put_picture(&place.store, id, b"early").await.1, PictureStored::NoResult);
    assert_eq!(place.leftovers(), 0);
    publish(&place.store, id, "x").await;
    let before = place.store.sizes().await.unwrap().results;
    let (first, stored) = put_picture(&place.store, id, b"first").await;
    assert_eq!(stored, PictureStored::Now);
    let (second, _) = put_picture(&place.store, id, b"second picture").await;
    assert_eq!(put_picture(&place.store, id, b"first").await, (first, PictureStored::Now), "the same once more");
    let other = place.other().await;
    assert_eq!(other.pictures(id).await.unwrap(), [first, second].into());
    assert_eq!(read_picture(&other, id, second).await.as_deref(), Some(&b"second picture"[..]));
    assert_eq!(read_picture(&other, id, PictureId::of(b"none", (3, 2))).await, None);
    assert_eq!(read_picture(&other, id, PictureId::of(b"first", (2, 3))).await, None);
    // They count for who has them, are no part of what was published, and no leftovers.
    let after = other.sizes().await.unwrap().results;
    assert_eq!(after[0].1, before[0].1 + 19);
    assert_eq!(read(&other, id, &format!("picture_{first}.png")).await, None);
    assert_eq!(
        (place.leftovers(), other.sweep(OffsetDateTime::now_utc() + Duration::from_secs(60)).await.unwrap()),
        (0, 0)
    );
    assert!(other.delete_result(id).await.unwrap());
    assert_eq!((other.pictures(id).await.unwrap().len(), read_picture(&other, id, first).await), (0, None));
    assert!(other.sizes().await.unwrap().results.is_empty());
}

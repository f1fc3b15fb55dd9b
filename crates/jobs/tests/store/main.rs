//! The store keeps what it is given, shows nothing half-written, and survives
//! crashes: the same test bodies run on folders and on a bucket.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bodies;
#[cfg(feature = "testing-bucket")]
mod bucket;
mod folder;
mod place;

/// Makes one test for each kind of store out of each body.
macro_rules! on_every_store {
    ($($body:ident),* $(,)?) => {
        mod on_folders {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $body() {
                crate::bodies::$body(crate::place::Place::folder().await).await;
            })*
        }
        #[cfg(feature = "testing-bucket")]
        mod on_a_bucket {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $body() {
                crate::bodies::$body(crate::place::Place::bucket().await).await;
            })*
        }
    };
}

on_every_store! {
    an_upload_is_kept_until_it_is_deleted,
    an_upload_is_never_replaced,
    a_result_appears_whole_and_the_first_one_stands,
    of_many_publishers_one_wins,
    a_result_without_metadata_is_not_published,
    names_lead_nowhere_else,
    leftovers_of_a_crash_are_invisible_and_swept,
    age_is_told_by_when_a_thing_was_stored,
    parts_of_files_are_read,
    large_files_arrive_whole,
    edits_follow_one_another,
    a_crowd_of_edits_is_made_in_turn,
    edits_have_a_greatest_size,
    a_closed_result_is_split_no_more,
    a_store_says_that_it_can_be_used,
    pictures_lie_beside_a_result_and_go_with_it,
}

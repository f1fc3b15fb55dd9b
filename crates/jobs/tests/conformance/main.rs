//! The guarantees of every broker: the same tests run against each of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod clocks;
mod damage;
mod embedded;
mod events;
mod followers;
mod lanes;
mod leases;
mod links;
mod load;
mod migration;
mod queueing;
mod redis;
mod refusals;
mod registry;
mod shares;
mod webhooks;

/// Makes one test for each broker out of each body.
macro_rules! on_every_broker {
    ($($topic:ident :: { $($body:ident),* $(,)? }),* $(,)?) => {
        mod on_embedded {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $body() {
                crate::$topic::$body(crate::bench::Bench::embedded()).await;
            })*)*
        }
        mod on_redis {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $body() {
                crate::$topic::$body(crate::bench::Bench::redis()).await;
            })*)*
        }
    };
}

on_every_broker! {
    queueing::{
        a_job_goes_from_queued_to_succeeded,
        a_failure_is_kept,
        jobs_are_taken_in_the_order_they_came,
        a_repeated_request_answers_with_the_first_job,
        a_job_handed_in_twice_is_one_job,
        a_full_queue_takes_no_more,
        a_waiting_job_is_cancelled_at_once,
        a_running_job_is_asked_to_stop,
        a_finished_job_is_left_alone,
        finished_jobs_are_listed_and_forgotten,
        uploads_are_in_use_until_their_jobs_end,
    },
    leases::{
        a_lost_lease_changes_nothing,
        a_silent_worker_loses_its_job,
        a_job_that_kills_its_workers_fails,
        a_job_to_be_cancelled_is_not_tried_again,
        heartbeats_keep_a_job,
        a_released_job_comes_first_and_loses_no_attempt,
        a_released_job_that_was_to_be_cancelled_is_over,
        a_job_ends_once,
    },
    events::{
        events_are_numbered_without_gaps_and_replayed,
        workers_record_only_what_is_theirs,
        listeners_are_woken,
        a_follower_sees_every_event_once_to_the_end,
        a_follower_of_nothing_comes_to_an_end,
    },
    followers::{
        heads_say_where_many_jobs_stand,
        a_waiting_follower_is_told_its_place,
        a_follower_of_a_removed_job_is_told,
        a_slow_follower_misses_nothing_and_holds_up_no_other,
    },
    lanes::{
        a_worker_takes_only_what_its_engines_can_do,
        the_oldest_job_of_all_lanes_comes_first,
        positions_count_the_jobs_that_can_come_before,
        an_open_job_waits_a_while_for_a_gpu,
        an_open_job_that_no_gpu_takes_goes_to_vertex_before_draft,
    },
    load::{
        claimers_never_share_a_job,
        many_jobs_are_each_done_once,
        a_waiting_claim_is_woken_by_a_job,
    },
    shares::{
        urgent_jobs_come_first,
        clients_have_turns,
        a_client_that_comes_later_is_served_at_once,
        a_cancelled_job_takes_no_turn,
        positions_follow_the_turns,
        a_lane_that_nobody_serves_holds_up_no_other,
        a_client_has_a_share_of_the_queue,
    },
    webhooks::{
        only_wanted_events_are_delivered,
        a_delivery_is_taken_by_one_until_it_is_settled,
        a_delivery_whose_taker_is_gone_is_taken_again,
        a_delivery_is_tried_again_when_it_is_due,
        a_delivery_outlives_its_job,
        deliveries_outlive_a_restart,
        a_slow_receiver_holds_up_no_other,
        a_client_with_many_receivers_holds_up_no_other,
    },
    clocks::{
        an_open_job_waits_no_longer_when_the_clock_is_set,
        a_job_keeps_its_worker_when_the_clock_is_set,
        a_lost_worker_is_missed_when_the_clock_is_set_back,
        a_webhook_keeps_its_wait_when_the_clock_is_set,
        a_clock_that_is_set_forward_makes_no_job_old,
    },
    registry::{
        workers_are_known_while_they_live,
        a_worker_that_pauses_says_why,
        a_claim_says_that_the_worker_lives,
    },
}

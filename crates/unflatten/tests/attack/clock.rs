//! A clock that jumps. libfaketime (Debian's package `faketime`) moves the wall clock of the service, not the monotonic one.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jobs::State;
use tokio::time::sleep;

use crate::support::{libfaketime, poster_png};
use crate::victim::Victim;

fn with_clock(mut command: Command, file: &Path) -> Command {
    command.env("LD_PRELOAD", libfaketime()).env("FAKETIME_TIMESTAMP_FILE", file);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_on_when_the_clock_jumps() {
    let outside = tempfile::tempdir().expect("a folder");
    let clock = outside.path().join("clock");
    let set = |text: &str| std::fs::write(&clock, text).expect("the clock can be set");
    set("+0");
    let mut victim = Victim::start_as(&[], |command| with_clock(command, &clock)).await;
    let upload = victim.client.upload(poster_png(150, 0)).await;
    let mut jobs = Vec::new();
    for jump in ["-1h", "+2h", "-26h", "+0"] {
        for _ in 0..3 {
            jobs.push(victim.client.decompose(upload).await);
        }
        set(jump);
        for _ in 0..2 {
            jobs.push(victim.client.decompose(upload).await);
        }
        for id in jobs.drain(..) {
            assert_eq!(victim.client.wait_finished(id).await.state, State::Succeeded, "after a jump of {jump}");
        }
    }
    // The same across a restart.
    for _ in 0..3 {
        jobs.push(victim.client.decompose(upload).await);
    }
    victim.ends().await;
    set("-1h");
    victim.restart(&[], |command| with_clock(command, &clock));
    for id in jobs {
        assert_eq!(victim.client.wait_finished(id).await.state, State::Succeeded, "after a restart an hour earlier");
    }
    sleep(Duration::from_millis(100)).await;
    victim.check_alive();
    println!("held: jumps of the clock by -1 h, +3 h, -28 h, +26 h and -1 h over a restart: 23 jobs succeeded");
}

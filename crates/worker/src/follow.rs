//! Takes an engine's steps, and those of its result, to wherever progress is shown.

use std::io;
use std::time::Instant;

use jobs::Progress;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use crate::engine::Step;
use crate::progress::Meter;
use crate::stop::{Stop, StopReason};

/// Share of the bar that the engine has; the rest is for lifting and writing the layers.
pub(crate) const ENGINE_SHARE: f32 = 0.95;

/// Takes progress to wherever it is shown.
pub(crate) trait Reports {
    fn report(&self, progress: Progress) -> impl Future<Output = ()> + Send;
}

/// Reports the steps of `work` until it is done.
pub(crate) async fn follow<T>(
    steps: &mut mpsc::UnboundedReceiver<Step>,
    work: impl Future<Output = T>,
    meter: &mut Meter,
    map: impl Fn(Step) -> Step,
    reports: &impl Reports,
) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        let due = meter.due().map(Into::into);
        let held = async move {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let (news, done) = tokio::select! {
            biased;
            done = &mut work => (Vec::new(), Some(done)),
            Some(step) = steps.recv() => (meter.step(map(step), Instant::now()), None),
            () = held => (meter.flush(Instant::now()).into_iter().collect(), None),
        };
        for progress in news {
            reports.report(progress).await;
        }
        if let Some(done) = done {
            while let Ok(step) = steps.try_recv() {
                for progress in meter.step(map(step), Instant::now()) {
                    reports.report(progress).await;
                }
            }
            if let Some(progress) = meter.flush(Instant::now()) {
                reports.report(progress).await;
            }
            return done;
        }
    }
}

/// Progress of a result that is lifted and written; ends the work when the stop is raised.
pub(crate) fn saving<'a>(
    stop: &'a Stop,
    sender: &'a mpsc::UnboundedSender<Step>,
) -> impl FnMut(Step) -> io::Result<()> + 'a {
    move |step| {
        let fraction = ENGINE_SHARE + (1.0 - ENGINE_SHARE) * step.fraction;
        // Nobody listens any more when the attempt was given up; the stop below ends it.
        let _ = sender.send(Step { fraction, ..step });
        match stop.reason() {
            Some(StopReason::Cancelled | StopReason::Lost) => Err(io::Error::other("stopped")),
            _ => Ok(()),
        }
    }
}

/// The engine's part of the bar, for a step of its own.
pub(crate) fn engine_share(step: Step) -> Step {
    Step { fraction: step.fraction * ENGINE_SHARE, ..step }
}

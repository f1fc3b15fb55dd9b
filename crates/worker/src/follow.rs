//! Takes an engine's steps and notes, and the steps of its result, to wherever progress is shown.

use std::io;
use std::time::{Duration, Instant};

use jobs::{EngineChoice, Progress};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use crate::engine::{News, Step};
use crate::host::{Host, HostError, Made, Work};
use crate::progress::Meter;
use crate::stall::{self, Pulse};
use crate::stop::{Stop, StopReason};

/// Share of the bar that the engine has; the rest is for lifting and writing the layers.
pub(crate) const ENGINE_SHARE: f32 = 0.95;

/// Takes progress to wherever it is shown.
pub(crate) trait Reports {
    fn report(&self, progress: Progress) -> impl Future<Output = ()> + Send;

    /// Something worth knowing that is no progress.
    fn note(&self, message: String) -> impl Future<Output = ()> + Send;
}

/// Has the engine thread do `work`, reports what it tells, and watches that it gets on: see [`stall::watch`].
/// `device` is what the engine runs on.
pub(crate) async fn run_engine(
    host: &Host,
    work: Work,
    device: &str,
    stall_timeout: Duration,
    meter: &mut Meter,
    reports: &impl Reports,
) -> Result<Made, HostError> {
    let (engine, stop) = (work.engine, work.stop.clone());
    let pulse = Pulse::new(engine, stall_timeout, Instant::now());
    let (mut news, running) = host.run(work);
    let beat = |step| {
        pulse.beat(step, Instant::now());
        engine_share(step)
    };
    let followed = follow(&mut news, running.done(), meter, beat, reports);
    if engine == EngineChoice::Vertex {
        // An endpoint may take long to start, and each call to it has a time limit.
        return followed.await;
    }
    tokio::select! {
        done = followed => done,
        never = stall::watch(&pulse, device, &stop, |text| reports.note(text)) => match never {},
    }
}

/// Reports the steps of `work` until it is done.
pub(crate) async fn follow<T>(
    news: &mut mpsc::UnboundedReceiver<News>,
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
        let (due, done) = tokio::select! {
            biased;
            done = &mut work => (Vec::new(), Some(done)),
            Some(news) = news.recv() => (due_after(news, meter, &map, reports).await, None),
            () = held => (meter.flush(Instant::now()).into_iter().collect(), None),
        };
        for progress in due {
            reports.report(progress).await;
        }
        if let Some(done) = done {
            while let Ok(news) = news.try_recv() {
                for progress in due_after(news, meter, &map, reports).await {
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

/// Passes a note on; answers with the progress that a step makes due.
async fn due_after(
    news: News,
    meter: &mut Meter,
    map: &impl Fn(Step) -> Step,
    reports: &impl Reports,
) -> Vec<Progress> {
    match news {
        News::Step(step) => meter.step(map(step), Instant::now()),
        News::Note(message) => {
            reports.note(message).await;
            Vec::new()
        }
    }
}

/// Progress of a result that is lifted and written; ends the work when the stop is raised.
pub(crate) fn saving<'a>(
    stop: &'a Stop,
    sender: &'a mpsc::UnboundedSender<News>,
) -> impl FnMut(Step) -> io::Result<()> + 'a {
    move |step| {
        let fraction = ENGINE_SHARE + (1.0 - ENGINE_SHARE) * step.fraction;
        // Nobody listens any more when the attempt was given up; the stop below ends it.
        let _ = sender.send(News::Step(Step { fraction, ..step }));
        match stop.reason() {
            Some(StopReason::Cancelled | StopReason::Lost) => Err(io::Error::other("stopped")),
            _ => Ok(()),
        }
    }
}

/// The engine's part of the bar, for a step of its own.
fn engine_share(step: Step) -> Step {
    Step { fraction: step.fraction * ENGINE_SHARE, ..step }
}

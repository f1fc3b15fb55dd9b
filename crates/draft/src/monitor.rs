//! Progress and cancellation. The work runs on its own threads; the caller's
//! thread passes progress on and learns whether to continue.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How often the caller is asked whether to continue during a step.
const POLL_INTERVAL: Duration = Duration::from_millis(40);

/// A stage of the decomposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Reading the picture.
    Read,
    /// Finding text and subject.
    Text,
    /// Finding and inpainting the background.
    Background,
    /// Finding objects.
    Objects,
    /// Solving the layers' colours.
    Write,
}

/// Progress within a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The stage that is running.
    pub stage: Stage,
    /// Steps done in this stage, 0 to `total`.
    pub step: u32,
    /// Steps of this stage.
    pub total: u32,
    /// Share of the whole decomposition that is done, 0 to 1; never decreases.
    pub fraction: f32,
}

/// The caller asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// The working threads' end: reports steps, and learns whether to stop.
pub(crate) struct Monitor {
    stop: Arc<AtomicBool>,
    steps: Sender<Progress>,
    /// Share of the whole that is done here.
    share: f32,
}

/// The caller's end.
pub(crate) struct Reporter {
    stop: Arc<AtomicBool>,
    steps: Receiver<Progress>,
}

pub(crate) fn monitor() -> (Monitor, Reporter) {
    let (sender, receiver) = channel();
    let stop = Arc::new(AtomicBool::new(false));
    (Monitor { stop: stop.clone(), steps: sender, share: 1.0 }, Reporter { stop, steps: receiver })
}

/// Runs `work` on a thread of its own; `progress` hears of it and can stop it.
pub(crate) fn watched<T: Send>(
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    work: impl FnOnce(&Monitor) -> T + Send,
) -> T {
    let (monitor, reporter) = monitor();
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || work(&monitor));
        reporter.run(progress);
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Monitor {
    /// # Errors
    /// [`Stopped`] when the caller gave up.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        if self.stop.load(Ordering::Relaxed) { Err(Stopped) } else { Ok(()) }
    }

    /// The same for work that is the first `share` of the whole: its fractions go from 0 to 1.
    pub(crate) fn first(&self, share: f32) -> Self {
        Self { stop: self.stop.clone(), steps: self.steps.clone(), share: self.share * share }
    }

    /// Announces a step, with the fraction (0 to 1) of the work that is done, and checks whether to go on.
    ///
    /// # Errors
    /// [`Stopped`] when the caller gave up.
    pub(crate) fn step(&self, stage: Stage, step: u32, total: u32, fraction: f32) -> Result<(), Stopped> {
        // The reporter only goes away when the caller's thread panics.
        let fraction = self.share * fraction;
        self.steps.send(Progress { stage, step, total, fraction }).map_err(|_| Stopped)?;
        self.check()
    }
}

impl Reporter {
    /// Passes every step on until the monitor is dropped; between steps the last
    /// one is repeated, so that a caller can cancel at any time.
    pub(crate) fn run(&self, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) {
        let mut last = Progress { stage: Stage::Read, step: 0, total: 1, fraction: 0.0 };
        loop {
            if !self.stop.load(Ordering::Relaxed) && progress(last).is_break() {
                self.stop.store(true, Ordering::Relaxed);
            }
            match self.steps.recv_timeout(POLL_INTERVAL) {
                Ok(step) => last = Progress { fraction: step.fraction.max(last.fraction), ..step },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

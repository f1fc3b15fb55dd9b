//! Detects work that makes no progress: a step that takes far longer than the previous ones, or a stall.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::{EngineName, Message, MessageCode, Stage, Step, Stop, StopReason};
use tokio::time::{MissedTickBehavior, interval};

use super::activity;

/// A step is slow when it takes this many times the usual duration, ...
const SLOW_FACTOR: u32 = 10;
/// ... and at least this long.
const MIN_SLOW_STEP: Duration = Duration::from_secs(10);
/// Finished steps of a stage from which the usual duration is known.
const MIN_SAMPLES: usize = 3;

/// Tracks when the engine last made progress, and how long its steps take.
pub(super) struct StallWatch {
    engine: EngineName,
    /// The job fails after this long without progress.
    limit: Duration,
    state: Mutex<State>,
}

struct State {
    step: Option<Step>,
    step_started_at: Instant,
    /// When the engine last reported progress.
    changed_at: Instant,
    /// Durations of the finished steps of the current stage.
    durations: Vec<Duration>,
    /// Whether the current step was already reported as slow.
    is_reported: bool,
}

/// A slow step or a stall.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    /// No progress at all; otherwise one step is slow.
    is_stalled: bool,
    stage: Option<Stage>,
    /// How long it has lasted.
    seconds: u64,
    text: String,
}

impl StallWatch {
    pub(super) fn new(engine: EngineName, limit: Duration, now: Instant) -> Self {
        let state =
            State { step: None, step_started_at: now, changed_at: now, durations: Vec::new(), is_reported: false };
        Self { engine, limit, state: Mutex::new(state) }
    }

    /// Records a step of the engine.
    pub(super) fn step(&self, step: Step, now: Instant) {
        let mut state = self.lock();
        if state.step == Some(step) {
            return;
        }
        let last = state.step.replace(step);
        state.changed_at = now;
        let same_stage = last.is_some_and(|last| last.stage == step.stage);
        if same_stage && last.is_some_and(|last| last.step == step.step) {
            return;
        }
        if same_stage {
            let duration = now - state.step_started_at;
            state.durations.push(duration);
        } else {
            state.durations.clear();
        }
        state.step_started_at = now;
        state.is_reported = false;
    }

    /// Checks whether the engine makes progress.
    fn check(&self, now: Instant) -> Option<Finding> {
        let mut state = self.lock();
        let usual = median(&state.durations);
        let stage = state.step.map(|step| step.stage);
        let doing = match state.step {
            None => "before its first step".to_owned(),
            Some(step) => format!("in `{}`, {} of {} done", step.stage, step.step, step.total),
        };
        let usually = usual.map(|usual| format!("; a step usually takes {}", seconds(usual))).unwrap_or_default();
        let idle = now - state.changed_at;
        if idle >= self.limit {
            let text = format!("the {} engine made no progress for {} {doing}{usually}", self.engine, seconds(idle));
            return Some(Finding { is_stalled: true, stage, seconds: idle.as_secs(), text });
        }
        let taken = now - state.step_started_at;
        let slow = usual.is_some_and(|usual| taken >= (SLOW_FACTOR * usual).max(MIN_SLOW_STEP));
        if slow && !state.is_reported {
            state.is_reported = true;
            let text = format!("the {} engine has spent {} on one step {doing}{usually}", self.engine, seconds(taken));
            return Some(Finding { is_stalled: false, stage, seconds: taken.as_secs(), text });
        }
        None
    }

    /// Watches until dropped: calls `note` for slow steps and stalls, and raises `stop` on a stall. Each message says
    /// what `device` is doing.
    pub(super) async fn run<F: Future<Output = ()>>(
        &self,
        device: &str,
        stop: &Stop,
        note: impl Fn(Message) -> F,
    ) -> Infallible {
        // Often enough to be exact to a few seconds, without using CPU time.
        let every = (self.limit / 20).clamp(Duration::from_millis(50), Duration::from_secs(5));
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if stop.reason().is_some() {
                // The engine is already stopping.
                std::future::pending::<()>().await;
            }
            let Some(finding) = self.check(Instant::now()) else { continue };
            let activity = activity::describe(device).await;
            let code = if finding.is_stalled { MessageCode::NoProgress } else { MessageCode::SlowStep };
            let text = format!("{}. {activity}", finding.text);
            let message = Message::new(code, text.clone())
                .with("engine", self.engine.as_str())
                .with("seconds", finding.seconds)
                .with("activity", activity);
            note(match finding.stage {
                Some(stage) => message.with("stage", stage.as_str()),
                None => message,
            })
            .await;
            if finding.is_stalled {
                stop.raise(StopReason::Stalled { message: format!("{text}. {}", advice(device)) });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn median(durations: &[Duration]) -> Option<Duration> {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    if sorted.len() < MIN_SAMPLES { None } else { Some(sorted[sorted.len() / 2]) }
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        short if short < 10.0 => format!("{short:.1} s"),
        long => format!("{long:.0} s"),
    }
}

fn advice(device: &str) -> &'static str {
    if device.starts_with("cuda") {
        "Check nvidia-smi and the kernel log (dmesg, lines with NVRM or Xid), and restart the worker, which frees its \
         GPU memory; if the device is merely slow, raise STALL_TIMEOUT_S"
    } else {
        "Check whether the computer is short of memory and swaps, or reads the weights from a slow disk; if it is \
         merely slow, raise STALL_TIMEOUT_S"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn step(stage: Stage, step: u32, fraction: f32) -> Step {
        Step { stage, step, total: 50, fraction }
    }

    fn watch(now: Instant) -> StallWatch {
        StallWatch::new(EngineName::Qwen, 600 * SECOND, now)
    }

    #[test]
    fn a_step_of_ten_times_the_usual_duration_is_reported_once() {
        let mut now = Instant::now();
        let watch = watch(now);
        for done in 0..6 {
            watch.step(step(Stage::Denoise, done, done as f32 / 50.0), now);
            assert_eq!(watch.check(now + SECOND), None);
            now += 2 * SECOND;
        }
        // The last one began two seconds ago; nineteen are not ten times two.
        assert_eq!(watch.check(now + 17 * SECOND), None);
        let Some(Finding { is_stalled: false, text: what, .. }) = watch.check(now + 18 * SECOND) else {
            panic!("not slow")
        };
        assert!(what.contains("`denoise`, 5 of 50") && what.contains("usually takes 2.0 s"), "{what}");
        assert_eq!(watch.check(now + 30 * SECOND), None, "reported twice");
        // The next one may be reported again.
        now += 40 * SECOND;
        watch.step(step(Stage::Denoise, 6, 0.12), now);
        assert!(watch.check(now + 25 * SECOND).is_some_and(|finding| !finding.is_stalled));
    }

    #[test]
    fn progress_within_a_step_is_progress_but_not_a_step() {
        let start = Instant::now();
        let watch = watch(start);
        watch.step(step(Stage::Denoise, 0, 0.1), start);
        for minute in 1..40 {
            let now = start + 60 * minute * SECOND;
            watch.step(step(Stage::Denoise, 0, 0.1 + minute as f32 / 1000.0), now);
            assert_eq!(watch.check(now + 59 * SECOND), None, "minute {minute}");
        }
    }

    #[test]
    fn the_same_step_again_is_no_progress() {
        let start = Instant::now();
        let watch = watch(start);
        watch.step(step(Stage::Denoise, 3, 0.1), start);
        for minute in 1..10 {
            watch.step(step(Stage::Denoise, 3, 0.1), start + 60 * minute * SECOND);
        }
        assert_eq!(watch.check(start + 599 * SECOND), None);
        let Some(Finding { is_stalled: true, text: what, .. }) = watch.check(start + 600 * SECOND) else {
            panic!("not stalled")
        };
        assert!(what.contains("no progress for 600 s"), "{what}");
    }

    #[test]
    fn an_engine_that_never_begins_is_stalled_too() {
        let start = Instant::now();
        let Some(Finding { is_stalled: true, text: what, .. }) = watch(start).check(start + 600 * SECOND) else {
            panic!("not stalled")
        };
        assert!(what.contains("before its first step"), "{what}");
    }

    #[test]
    fn each_stage_has_its_own_usual_duration() {
        let start = Instant::now();
        let watch = watch(start);
        for done in 0..20 {
            watch.step(step(Stage::Caption, done, 0.0), start + done * SECOND / 20);
        }
        watch.step(step(Stage::Denoise, 0, 0.1), start + SECOND);
        // Twenty seconds: 400 tokens of the caption, but the first step of this stage.
        assert_eq!(watch.check(start + 21 * SECOND), None);
    }
}

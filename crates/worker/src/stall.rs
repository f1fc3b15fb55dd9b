//! Notices work that does not get on: a step that takes far longer than those before it, or no progress at all.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jobs::EngineChoice;
use tokio::time::{MissedTickBehavior, interval};

use crate::activity;
use crate::engine::Step;
use crate::stop::{Stop, StopReason};

/// How many times longer than usual a step has to take to be worth a word.
const SLOW: u32 = 10;
/// And how long at least: ten times a moment is still only a moment.
const SLOW_AT_LEAST: Duration = Duration::from_secs(10);
/// Steps of a stage that have to be over before there is a usual.
const USUAL: usize = 3;

/// When the engine last moved, and how long its steps take.
pub(crate) struct Pulse {
    engine: EngineChoice,
    /// Without progress for this long, the job fails.
    limit: Duration,
    state: Mutex<State>,
}

struct State {
    step: Option<Step>,
    /// When the current step of the current stage began.
    began: Instant,
    /// When anything last changed.
    moved: Instant,
    /// Of the current stage's steps that are over.
    durations: Vec<Duration>,
    /// Whether the current step was called slow already.
    told: bool,
}

/// What there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    Slow { what: String },
    Stalled { what: String },
}

impl Pulse {
    pub(crate) fn new(engine: EngineChoice, limit: Duration, now: Instant) -> Self {
        let state = State { step: None, began: now, moved: now, durations: Vec::new(), told: false };
        Self { engine, limit, state: Mutex::new(state) }
    }

    /// The engine reported a step.
    pub(crate) fn beat(&self, step: Step, now: Instant) {
        let mut state = self.lock();
        if state.step == Some(step) {
            return;
        }
        let last = state.step.replace(step);
        state.moved = now;
        let same_stage = last.is_some_and(|last| last.stage == step.stage);
        if same_stage && last.is_some_and(|last| last.step == step.step) {
            return;
        }
        if same_stage {
            let duration = now - state.began;
            state.durations.push(duration);
        } else {
            state.durations.clear();
        }
        state.began = now;
        state.told = false;
    }

    /// Looks whether the engine gets on.
    fn look(&self, now: Instant) -> Option<Finding> {
        let mut state = self.lock();
        let usual = median(&state.durations);
        let doing = match state.step {
            None => "before its first step".to_owned(),
            Some(step) => format!("in `{}`, {} of {} done", step.stage, step.step, step.total),
        };
        let usually = usual.map(|usual| format!("; a step usually takes {}", seconds(usual))).unwrap_or_default();
        let still = now - state.moved;
        if still >= self.limit {
            let what = format!("the {} engine made no progress for {} {doing}{usually}", self.engine, seconds(still));
            return Some(Finding::Stalled { what });
        }
        let taken = now - state.began;
        let slow = usual.is_some_and(|usual| taken >= (SLOW * usual).max(SLOW_AT_LEAST));
        if slow && !state.told {
            state.told = true;
            let what =
                format!("the {} engine has been at one step for {} {doing}{usually}", self.engine, seconds(taken));
            return Some(Finding::Slow { what });
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn median(durations: &[Duration]) -> Option<Duration> {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    if sorted.len() < USUAL { None } else { Some(sorted[sorted.len() / 2]) }
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        short if short < 10.0 => format!("{short:.1} s"),
        long => format!("{long:.0} s"),
    }
}

/// Watches until it is dropped: `note`s steps that take too long, and raises `stop` when nothing moves any more,
/// each with what `device` was doing.
pub(crate) async fn watch<F: Future<Output = ()>>(
    pulse: &Pulse,
    device: &str,
    stop: &Stop,
    note: impl Fn(String) -> F,
) -> Infallible {
    // Often enough to tell seconds apart, never busy.
    let every = (pulse.limit / 20).clamp(Duration::from_millis(50), Duration::from_secs(5));
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if stop.reason().is_some() {
            // Whatever the engine does now, it was told to end.
            std::future::pending::<()>().await;
        }
        match pulse.look(Instant::now()) {
            None => {}
            Some(Finding::Slow { what }) => {
                let doing = activity::describe(device).await;
                note(format!("{what}. {doing}")).await;
            }
            Some(Finding::Stalled { what }) => {
                let doing = activity::describe(device).await;
                let advice = advice(device);
                note(format!("{what}. {doing}")).await;
                stop.raise(StopReason::Stalled { message: format!("{what}. {doing}. {advice}") });
            }
        }
    }
}

fn advice(device: &str) -> &'static str {
    if device.starts_with("cuda") {
        "See nvidia-smi and the kernel's log (dmesg, lines with NVRM or Xid); restart the worker, which resets what \
         it had on the GPU; if it only is that slow, raise STALL_TIMEOUT_S"
    } else {
        "Look whether memory is short (a computer that swaps seems to stand still) or the disk of the weights is \
         slow; if it only is that slow, raise STALL_TIMEOUT_S"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn step(stage: &'static str, step: u32, fraction: f32) -> Step {
        Step { stage, step, total: 50, fraction }
    }

    fn pulse(now: Instant) -> Pulse {
        Pulse::new(EngineChoice::Qwen, 600 * SECOND, now)
    }

    #[test]
    fn a_step_of_ten_times_the_usual_is_told_once() {
        let mut now = Instant::now();
        let pulse = pulse(now);
        for done in 0..6 {
            pulse.beat(step("denoise", done, done as f32 / 50.0), now);
            assert_eq!(pulse.look(now + SECOND), None);
            now += 2 * SECOND;
        }
        // The last one began two seconds ago; nineteen are not ten times two.
        assert_eq!(pulse.look(now + 17 * SECOND), None);
        let Some(Finding::Slow { what }) = pulse.look(now + 18 * SECOND) else { panic!("not slow") };
        assert!(what.contains("`denoise`, 5 of 50") && what.contains("usually takes 2.0 s"), "{what}");
        assert_eq!(pulse.look(now + 30 * SECOND), None, "told twice");
        // The next one may be told again.
        now += 40 * SECOND;
        pulse.beat(step("denoise", 6, 0.12), now);
        assert!(matches!(pulse.look(now + 25 * SECOND), Some(Finding::Slow { .. })));
    }

    #[test]
    fn progress_within_a_step_is_progress_but_no_step() {
        let start = Instant::now();
        let pulse = pulse(start);
        pulse.beat(step("denoise", 0, 0.1), start);
        for minute in 1..40 {
            let now = start + 60 * minute * SECOND;
            pulse.beat(step("denoise", 0, 0.1 + minute as f32 / 1000.0), now);
            assert_eq!(pulse.look(now + 59 * SECOND), None, "minute {minute}");
        }
    }

    #[test]
    fn the_same_step_again_is_no_progress() {
        let start = Instant::now();
        let pulse = pulse(start);
        pulse.beat(step("denoise", 3, 0.1), start);
        for minute in 1..10 {
            pulse.beat(step("denoise", 3, 0.1), start + 60 * minute * SECOND);
        }
        assert_eq!(pulse.look(start + 599 * SECOND), None);
        let Some(Finding::Stalled { what }) = pulse.look(start + 600 * SECOND) else { panic!("not stalled") };
        assert!(what.contains("no progress for 600 s"), "{what}");
    }

    #[test]
    fn an_engine_that_never_begins_is_stalled_too() {
        let start = Instant::now();
        let Some(Finding::Stalled { what }) = pulse(start).look(start + 600 * SECOND) else { panic!("not stalled") };
        assert!(what.contains("before its first step"), "{what}");
    }

    #[test]
    fn each_stage_has_a_pace_of_its_own() {
        let start = Instant::now();
        let pulse = pulse(start);
        for done in 0..20 {
            pulse.beat(step("caption", done, 0.0), start + done * SECOND / 20);
        }
        pulse.beat(step("denoise", 0, 0.1), start + SECOND);
        // Twenty seconds: 400 tokens of the caption, but the first step of this stage.
        assert_eq!(pulse.look(start + 21 * SECOND), None);
    }
}

//! Notices work that does not get on: a step that takes far longer than those before it, or no progress at all.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::{EngineName, Message, MessageCode, Stage, Step, Stop, StopReason};
use tokio::time::{MissedTickBehavior, interval};

use super::activity;

/// How many times longer than usual a step has to take to be worth a word.
const SLOW: u32 = 10;
/// And how long at least: ten times a moment is still only a moment.
const SLOW_AT_LEAST: Duration = Duration::from_secs(10);
/// Steps of a stage that have to be over before there is a usual.
const USUAL: usize = 3;

/// When the engine last moved, and how long its steps take.
pub(super) struct StallWatch {
    engine: EngineName,
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
struct Finding {
    /// Nothing moves any more; otherwise only one step takes long.
    is_stalled: bool,
    stage: Option<Stage>,
    /// How long that has been so.
    seconds: u64,
    text: String,
}

impl StallWatch {
    pub(super) fn new(engine: EngineName, limit: Duration, now: Instant) -> Self {
        let state = State { step: None, began: now, moved: now, durations: Vec::new(), told: false };
        Self { engine, limit, state: Mutex::new(state) }
    }

    /// The engine reported a step.
    pub(super) fn step(&self, step: Step, now: Instant) {
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
        let stage = state.step.map(|step| step.stage);
        let doing = match state.step {
            None => "before its first step".to_owned(),
            Some(step) => format!("in `{}`, {} of {} done", step.stage, step.step, step.total),
        };
        let usually = usual.map(|usual| format!("; a step usually takes {}", seconds(usual))).unwrap_or_default();
        let still = now - state.moved;
        if still >= self.limit {
            let text = format!("the {} engine made no progress for {} {doing}{usually}", self.engine, seconds(still));
            return Some(Finding { is_stalled: true, stage, seconds: still.as_secs(), text });
        }
        let taken = now - state.began;
        let slow = usual.is_some_and(|usual| taken >= (SLOW * usual).max(SLOW_AT_LEAST));
        if slow && !state.told {
            state.told = true;
            let text =
                format!("the {} engine has been at one step for {} {doing}{usually}", self.engine, seconds(taken));
            return Some(Finding { is_stalled: false, stage, seconds: taken.as_secs(), text });
        }
        None
    }

    /// Watches until it is dropped: `note`s steps that take too long, and raises `stop` when nothing moves any more,
    /// each with what `device` was doing.
    pub(super) async fn run<F: Future<Output = ()>>(
        &self,
        device: &str,
        stop: &Stop,
        note: impl Fn(Message) -> F,
    ) -> Infallible {
        // Often enough to tell seconds apart, never busy.
        let every = (self.limit / 20).clamp(Duration::from_millis(50), Duration::from_secs(5));
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if stop.reason().is_some() {
                // Whatever the engine does now, it was told to end.
                std::future::pending::<()>().await;
            }
            let Some(finding) = self.look(Instant::now()) else { continue };
            let activity = activity::describe(device).await;
            let code = if finding.is_stalled { MessageCode::NoProgress } else { MessageCode::SlowStep };
            let said = format!("{}. {activity}", finding.text);
            let message = Message::new(code, said.clone())
                .with("engine", self.engine.as_str())
                .with("seconds", finding.seconds)
                .with("activity", activity);
            note(match finding.stage {
                Some(stage) => message.with("stage", stage.as_str()),
                None => message,
            })
            .await;
            if finding.is_stalled {
                stop.raise(StopReason::Stalled { message: format!("{said}. {}", advice(device)) });
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
    if sorted.len() < USUAL { None } else { Some(sorted[sorted.len() / 2]) }
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        short if short < 10.0 => format!("{short:.1} s"),
        long => format!("{long:.0} s"),
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

    fn step(stage: Stage, step: u32, fraction: f32) -> Step {
        Step { stage, step, total: 50, fraction }
    }

    fn watch(now: Instant) -> StallWatch {
        StallWatch::new(EngineName::Qwen, 600 * SECOND, now)
    }

    #[test]
    fn a_step_of_ten_times_the_usual_is_told_once() {
        let mut now = Instant::now();
        let watch = watch(now);
        for done in 0..6 {
            watch.step(step(Stage::Denoise, done, done as f32 / 50.0), now);
            assert_eq!(watch.look(now + SECOND), None);
            now += 2 * SECOND;
        }
        // The last one began two seconds ago; nineteen are not ten times two.
        assert_eq!(watch.look(now + 17 * SECOND), None);
        let Some(Finding { is_stalled: false, text: what, .. }) = watch.look(now + 18 * SECOND) else {
            panic!("not slow")
        };
        assert!(what.contains("`denoise`, 5 of 50") && what.contains("usually takes 2.0 s"), "{what}");
        assert_eq!(watch.look(now + 30 * SECOND), None, "told twice");
        // The next one may be told again.
        now += 40 * SECOND;
        watch.step(step(Stage::Denoise, 6, 0.12), now);
        assert!(watch.look(now + 25 * SECOND).is_some_and(|finding| !finding.is_stalled));
    }

    #[test]
    fn progress_within_a_step_is_progress_but_no_step() {
        let start = Instant::now();
        let watch = watch(start);
        watch.step(step(Stage::Denoise, 0, 0.1), start);
        for minute in 1..40 {
            let now = start + 60 * minute * SECOND;
            watch.step(step(Stage::Denoise, 0, 0.1 + minute as f32 / 1000.0), now);
            assert_eq!(watch.look(now + 59 * SECOND), None, "minute {minute}");
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
        assert_eq!(watch.look(start + 599 * SECOND), None);
        let Some(Finding { is_stalled: true, text: what, .. }) = watch.look(start + 600 * SECOND) else {
            panic!("not stalled")
        };
        assert!(what.contains("no progress for 600 s"), "{what}");
    }

    #[test]
    fn an_engine_that_never_begins_is_stalled_too() {
        let start = Instant::now();
        let Some(Finding { is_stalled: true, text: what, .. }) = watch(start).look(start + 600 * SECOND) else {
            panic!("not stalled")
        };
        assert!(what.contains("before its first step"), "{what}");
    }

    #[test]
    fn each_stage_has_a_pace_of_its_own() {
        let start = Instant::now();
        let watch = watch(start);
        for done in 0..20 {
            watch.step(step(Stage::Caption, done, 0.0), start + done * SECOND / 20);
        }
        watch.step(step(Stage::Denoise, 0, 0.1), start + SECOND);
        // Twenty seconds: 400 tokens of the caption, but the first step of this stage.
        assert_eq!(watch.look(start + 21 * SECOND), None);
    }
}

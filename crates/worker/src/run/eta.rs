use std::time::{Duration, Instant};

use engine::{Stage, Step};
use jobs::Progress;

/// Minimum time between two reports of a stage: five a second suffice for a progress bar.
const INTERVAL: Duration = Duration::from_millis(200);

/// Below these, an estimate of the remaining time would be noise.
const MIN_FRACTION: f32 = 0.02;
const MIN_ELAPSED: Duration = Duration::from_millis(500);

/// Weight of the newest estimate in the smoothed one.
const SMOOTHING: f64 = 0.2;

/// A step that takes longer than expected holds the fraction where it is, while the estimate counts down. At least this
/// share of what is then not yet done is still said to be left, in terms of the time so far.
const LEAST_LEFT: f64 = 0.5;

/// Throttles an engine's steps and estimates the remaining time. The first and last step of each stage are always
/// reported, once each.
#[derive(Debug)]
pub(super) struct Meter {
    started: Instant,
    stage: Option<Stage>,
    reported_at: Option<Instant>,
    /// Stage and step of the last report.
    reported: Option<(Stage, u32)>,
    held: Option<Step>,
    fraction: f32,
    total_s: Option<f64>,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self { started: now, stage: None, reported_at: None, reported: None, held: None, fraction: 0.0, total_s: None }
    }

    /// Takes a step; returns the reports that are due.
    pub(super) fn step(&mut self, mut step: Step, now: Instant) -> Vec<Progress> {
        step.fraction = self.advance(step.fraction, now);
        let mut reports = Vec::new();
        let new_stage = self.stage != Some(step.stage);
        if new_stage {
            // The last step of the previous stage, if it is held.
            reports.extend(self.flush(now));
            self.stage = Some(step.stage);
        }
        let last = step.step >= step.total && self.reported.is_none_or(|before| before != (step.stage, step.step));
        let due = self.reported_at.is_none_or(|at| now.duration_since(at) >= INTERVAL);
        self.held = Some(step);
        if new_stage || last || due {
            reports.extend(self.flush(now));
        }
        reports
    }

    /// When the held step is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.and(self.reported_at).map(|at| at + INTERVAL)
    }

    /// Takes the held step.
    pub(super) fn flush(&mut self, now: Instant) -> Option<Progress> {
        let step = self.held.take()?;
        self.reported_at = Some(now);
        self.reported = Some((step.stage, step.step));
        Some(Progress {
            stage: step.stage,
            step: step.step.min(step.total),
            total: step.total,
            // Rounded to a tenth: further digits are rounding noise.
            percent: (step.fraction * 1000.0).round() / 10.0,
            eta_ms: self.eta(now).map(|eta| u64::try_from(eta.as_millis()).unwrap_or(u64::MAX)),
        })
    }

    /// Keeps the fraction from 0 to 1 and non-decreasing, whatever an engine reports.
    fn advance(&mut self, fraction: f32, now: Instant) -> f32 {
        if fraction > self.fraction {
            self.fraction = fraction.min(1.0);
            self.estimate(now);
        }
        self.fraction
    }

    fn estimate(&mut self, now: Instant) {
        let elapsed = now.duration_since(self.started);
        if self.fraction < MIN_FRACTION || elapsed < MIN_ELAPSED {
            return;
        }
        let newest = elapsed.as_secs_f64() / f64::from(self.fraction);
        self.total_s = Some(self.total_s.map_or(newest, |total| total + SMOOTHING * (newest - total)));
    }

    fn eta(&self, now: Instant) -> Option<Duration> {
        let elapsed = now.duration_since(self.started).as_secs_f64();
        let total = self.total_s?;
        let undone = LEAST_LEFT * f64::from(1.0 - self.fraction) * total.max(elapsed);
        Some(Duration::from_secs_f64((total - elapsed).max(undone)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(stage: Stage, step: u32, total: u32, fraction: f32) -> Step {
        Step { stage, step, total, fraction }
    }

    #[test]
    fn a_fast_engine_is_throttled_but_keeps_first_and_last_steps() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let mut seen = Vec::new();
        for i in 0..=1000 {
            let now = start + Duration::from_millis(i.into());
            seen.extend(meter.step(step(Stage::Denoise, i, 1000, i as f32 / 2000.0), now));
        }
        let now = start + Duration::from_millis(1001);
        // A stage that ends early: its last step is reported when the next stage begins.
        seen.extend(meter.step(step(Stage::Decode, 0, 4, 0.5), now));
        seen.extend(meter.step(step(Stage::Decode, 2, 4, 0.7), now));
        seen.extend(meter.step(step(Stage::Save, 0, 1, 0.9), now));
        let steps: Vec<_> = seen.iter().map(|p| (p.stage, p.step)).collect();
        assert_eq!(steps.first(), Some(&(Stage::Denoise, 0)));
        assert!(steps.contains(&(Stage::Denoise, 1000)), "{steps:?}");
        assert_eq!(&steps[steps.len() - 3..], &[(Stage::Decode, 0), (Stage::Decode, 2), (Stage::Save, 0)]);
        assert!(steps.len() <= 12, "{} reports in one second", steps.len());
    }

    #[test]
    fn a_held_step_comes_out_when_it_is_due() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        assert_eq!(meter.step(step(Stage::Read, 0, 9, 0.0), start).len(), 1);
        assert_eq!(meter.due(), None);
        assert!(meter.step(step(Stage::Read, 1, 9, 0.1), start + Duration::from_millis(10)).is_empty());
        assert_eq!(meter.due(), Some(start + INTERVAL));
        assert_eq!(meter.flush(start + INTERVAL).map(|p| p.step), Some(1));
        assert_eq!(meter.flush(start + INTERVAL), None);
    }

    #[test]
    fn a_repeated_last_step_is_no_news() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let repeats = (0..100).map(|i| start + Duration::from_millis(10 * i));
        let reports: usize = repeats.map(|now| meter.step(step(Stage::Objects, 2, 2, 0.76), now).len()).sum();
        assert!(reports <= 5, "{reports} reports in one second");
    }

    #[test]
    fn a_step_that_takes_longer_than_expected_is_not_almost_done() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.step(step(Stage::Text, 0, 3, 0.2), start + Duration::from_secs(1));
        meter.step(step(Stage::Text, 1, 3, 0.4), start + Duration::from_secs(2));
        for seconds in 3..60 {
            meter.step(step(Stage::Text, 1, 3, 0.4), start + Duration::from_secs(seconds));
            let eta = meter.eta(start + Duration::from_secs(seconds)).expect("two steps were seen");
            assert!(eta >= Duration::from_secs(1), "{eta:?} left after {seconds} s at 40 %");
        }
    }

    #[test]
    fn percent_never_goes_back_or_out_of_range() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let mut last = 0.0;
        for (i, fraction) in [0.1, f32::NAN, 0.05, -3.0, 0.5, 7.0, 0.2].into_iter().enumerate() {
            let now = start + INTERVAL * u32::try_from(i).expect("small");
            for report in meter.step(step(Stage::Read, 1, 2, fraction), now) {
                assert!((last..=100.0).contains(&report.percent), "{report:?} after {last}");
                last = report.percent;
            }
        }
        assert_eq!(last, 100.0);
    }

    #[test]
    fn a_steady_engine_gets_a_true_estimate() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let mut last = None;
        for i in 0..=50u32 {
            let now = start + Duration::from_secs(i.into());
            last = meter.step(step(Stage::Denoise, i, 100, i as f32 / 100.0), now).pop();
        }
        let eta_ms = last.expect("a report a second").eta_ms.expect("half the work is done");
        assert!((49_000..=51_000).contains(&eta_ms), "{eta_ms}");
    }
}

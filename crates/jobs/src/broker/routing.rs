//! Which worker may take a job that leaves the engine open (`engine=auto`).
//!
//! Better engines come first: a local GPU, then Vertex AI, then the draft engine. Each worker decides for itself, from the
//! workers that are alive and from how long a job has waited; there is no scheduler.

use std::time::Duration;

use engine::{EngineOffer, Tier};

use super::WorkerInfo;

impl WorkerInfo {
    /// The best tier of this worker for `auto`.
    pub fn tier(&self) -> Option<Tier> {
        self.engines.iter().filter_map(EngineOffer::tier).min()
    }
}

/// How long an `auto` job must have waited before this worker may take it; `None`: it never may.
///
/// `patience` is how long a job waits for a local GPU before other engines take it.
pub(super) fn auto_wait(worker: &WorkerInfo, alive: &[WorkerInfo], patience: Duration) -> Option<Duration> {
    let own = worker.tier()?;
    // A paused worker takes no jobs.
    let lives = |tier: Tier| alive.iter().any(|other| other.paused.is_none() && other.tier() == Some(tier));
    match own {
        // A worker for Vertex AI takes the jobs that waited too long, and falls back to the draft engine itself.
        Tier::Simple if lives(Tier::Cloud) => None,
        Tier::Cloud | Tier::Simple if lives(Tier::Local) => Some(patience),
        _ => Some(Duration::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::EngineName;

    fn worker(engines: &[(EngineName, &str)]) -> WorkerInfo {
        let offer = |(name, device): &(EngineName, &str)| EngineOffer {
            name: *name,
            version: "1".to_owned(),
            model: None,
            device: (*device).to_owned(),
            max_layers: 10,
            uses_prompt: false,
            samplers: Vec::new(),
            loras: Vec::new(),
        };
        WorkerInfo {
            id: "w".to_owned(),
            engines: engines.iter().map(offer).collect(),
            job: None,
            seen_at: OffsetDateTime::UNIX_EPOCH,
            paused: None,
        }
    }

    #[test]
    fn better_engines_come_first() {
        let gpu = worker(&[(EngineName::Qwen, "cuda:0"), (EngineName::Draft, "cpu")]);
        let cloud = worker(&[(EngineName::Vertex, "vertex")]);
        let draft = worker(&[(EngineName::Draft, "cpu")]);
        let slow = worker(&[(EngineName::Qwen, "cpu")]);
        let (now, later) = (Some(Duration::ZERO), Some(Duration::from_secs(30)));
        let wait = |worker: &WorkerInfo, alive: &[&WorkerInfo]| {
            let alive: Vec<_> = alive.iter().map(|other| (*other).clone()).collect();
            auto_wait(worker, &alive, Duration::from_secs(30))
        };
        let all = [&gpu, &cloud, &draft, &slow];
        for (worker, alone, beside_all) in
            [(&gpu, now, now), (&cloud, now, later), (&draft, now, None), (&slow, None, None)]
        {
            assert_eq!(wait(worker, &[worker]), alone, "{worker:?}");
            assert_eq!(wait(worker, &all), beside_all, "{worker:?}");
        }
        assert_eq!(wait(&draft, &[&gpu, &draft]), later, "without Vertex AI the draft engine takes its turn");
        assert_eq!(wait(&draft, &[&cloud, &draft]), None);
        assert_eq!(wait(&draft, &[&slow, &draft]), now, "a model on a CPU takes no such job");
    }

    #[test]
    fn nobody_waits_for_a_worker_that_pauses() {
        let paused = |worker: WorkerInfo| WorkerInfo { paused: Some("no disk".to_owned()), ..worker };
        let gpu = paused(worker(&[(EngineName::Qwen, "cuda:0")]));
        let cloud = paused(worker(&[(EngineName::Vertex, "vertex")]));
        let draft = worker(&[(EngineName::Draft, "cpu")]);
        let alive = [gpu, cloud, draft.clone()];
        assert_eq!(auto_wait(&draft, &alive, Duration::from_secs(30)), Some(Duration::ZERO));
    }
}

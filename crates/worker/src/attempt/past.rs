//! What an attempt asks of the time before it.

use jobs::broker::Tier;
use jobs::{EngineChoice, EventKind};
use tokio::time::timeout;

use super::{Attempt, RECORD_TIMEOUT};

/// How many events of a job are read at a time.
const EVENTS: usize = 256;

impl Attempt<'_> {
    /// Whether an attempt before this one may have begun with an engine that goes on without its worker.
    pub(super) async fn may_have_begun(&self, engine: EngineChoice) -> bool {
        if engine != EngineChoice::Vertex || self.lease.attempt == 1 {
            return false;
        }
        let mut after = 0;
        loop {
            let page = timeout(RECORD_TIMEOUT, self.broker.events_after(self.job.id, after, EVENTS)).await;
            // Who cannot know has to reckon with it.
            let Ok(Ok(events)) = page else { return true };
            let begun = |kind: &EventKind| match kind {
                EventKind::Started { engine: begun, attempt, .. } => *begun == engine && *attempt < self.lease.attempt,
                _ => false,
            };
            match events.last() {
                _ if events.iter().any(|event| begun(&event.kind)) => return true,
                Some(last) if events.len() == EVENTS => after = last.seq,
                _ => return false,
            }
        }
    }

    /// Why a job that leaves the engine open came to this worker and not to one with a better engine.
    pub(super) async fn reason(&self, engine: EngineChoice, reason: String) -> String {
        if self.job.params.engine != EngineChoice::Auto || engine == EngineChoice::Qwen {
            return reason;
        }
        let alive = timeout(RECORD_TIMEOUT, self.broker.workers()).await.ok().and_then(Result::ok).unwrap_or_default();
        let created = self.job.timings.created_at;
        // Both times are of the wall clock, which may have been set back between them.
        let waited = self.job.timings.started_at.map(|started| (started - created).whole_seconds());
        let waited = waited.filter(|waited| *waited >= 0).map(|waited| format!(" for {waited} s")).unwrap_or_default();
        match alive.iter().any(|worker| worker.paused.is_none() && worker.tier() == Some(Tier::Local)) {
            true => format!("every worker with the model on a GPU was busy{waited}; {reason}"),
            false if engine == EngineChoice::Vertex => format!("no worker has the model on a GPU; {reason}"),
            false => reason,
        }
    }
}

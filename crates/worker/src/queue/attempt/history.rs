//! Looks at the earlier attempts at a job, and at the other workers.

use engine::{EngineChoice, EngineName, Message, MessageCode, Tier};
use jobs::EventKind;
use tokio::time::timeout;

use super::{Attempt, RECORD_TIMEOUT};

/// How many events of a job are read at a time.
const PAGE_SIZE: usize = 256;

impl Attempt<'_> {
    /// Whether an earlier attempt may have started the engine.
    pub(super) async fn was_begun_before(&self, engine: EngineName) -> bool {
        if self.lease.attempt == 1 {
            return false;
        }
        let mut after = 0;
        loop {
            let page = timeout(RECORD_TIMEOUT, self.broker.events_after(self.job.id, after, PAGE_SIZE)).await;
            // Without the events, assume so.
            let Ok(Ok(events)) = page else { return true };
            let begun = |kind: &EventKind| match kind {
                EventKind::Started { engine: begun, attempt, .. } => *begun == engine && *attempt < self.lease.attempt,
                _ => false,
            };
            match events.last() {
                _ if events.iter().any(|event| begun(&event.kind)) => return true,
                Some(last) if events.len() == PAGE_SIZE => after = last.seq,
                _ => return false,
            }
        }
    }

    /// Extends `reason` by why an `auto` job went to this worker rather than to one with a better engine.
    pub(super) async fn explain_routing(&self, engine: EngineName, reason: Message) -> Message {
        let tier = engine.traits().tier;
        if self.job.params.engine != EngineChoice::Auto || tier == Tier::Local {
            return reason;
        }
        let alive = timeout(RECORD_TIMEOUT, self.broker.workers()).await.ok().and_then(Result::ok).unwrap_or_default();
        let Message { text, data, .. } = &reason;
        let with_code = |code, text: String| Message { code, text, data: data.clone() };
        if alive.iter().any(|worker| worker.paused.is_none() && worker.tier() == Some(Tier::Local)) {
            let created = self.job.timings.created_at;
            // Both are wall-clock times, and the clock may have been set back in between.
            let waited = self.job.timings.started_at.map(|started| (started - created).whole_seconds());
            let waited = waited.filter(|waited| *waited >= 0);
            let for_long = waited.map(|waited| format!(" for {waited} s")).unwrap_or_default();
            let text = format!("every worker with the model on a GPU was busy{for_long}; {text}");
            return with_code(MessageCode::GpuBusy, text).with("waited_s", waited);
        }
        if tier == Tier::Cloud {
            return with_code(MessageCode::NoGpuWorker, format!("no worker has the model on a GPU; {text}"));
        }
        reason
    }
}

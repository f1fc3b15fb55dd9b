use std::time::Duration;

use redis::{Script, ScriptInvocation};

use crate::EngineChoice;
use crate::broker::Rules;

/// The hash tag that all keys share, so that a cluster keeps them on one node.
const TAG: &str = "{unflatten}";

/// A key or channel that scripts and plain commands both use.
pub(super) fn key(name: &str) -> String {
    format!("{TAG}:{name}")
}

/// The scripts. Each is one atomic step.
pub(super) struct Scripts {
    pub(super) info: Script,
    pub(super) submit: Script,
    pub(super) job: Script,
    pub(super) heads: Script,
    pub(super) cancel: Script,
    pub(super) forget: Script,
    pub(super) claim: Script,
    pub(super) heartbeat: Script,
    pub(super) record: Script,
    pub(super) finish: Script,
    pub(super) release: Script,
    pub(super) reap: Script,
    pub(super) announce: Script,
    pub(super) retire: Script,
    pub(super) workers: Script,
    pub(super) stats: Script,
    pub(super) finished: Script,
    pub(super) tick: Script,
    pub(super) deliver: Script,
    pub(super) settle: Script,
}

impl Scripts {
    pub(super) fn new(rules: &Rules) -> Self {
        let script = |body| script(body, longest_gap(rules));
        Self {
            info: script(include_str!("scripts/info.lua")),
            submit: script(include_str!("scripts/submit.lua")),
            job: script(include_str!("scripts/job.lua")),
            heads: script(include_str!("scripts/heads.lua")),
            cancel: script(include_str!("scripts/cancel.lua")),
            forget: script(include_str!("scripts/forget.lua")),
            claim: script(include_str!("scripts/claim.lua")),
            heartbeat: script(include_str!("scripts/heartbeat.lua")),
            record: script(include_str!("scripts/record.lua")),
            finish: script(include_str!("scripts/finish.lua")),
            release: script(include_str!("scripts/release.lua")),
            reap: script(include_str!("scripts/reap.lua")),
            announce: script(include_str!("scripts/announce.lua")),
            retire: script(include_str!("scripts/retire.lua")),
            workers: script(include_str!("scripts/workers.lua")),
            stats: script(include_str!("scripts/stats.lua")),
            finished: script(include_str!("scripts/finished.lua")),
            tick: script(include_str!("scripts/tick.lua")),
            deliver: script(include_str!("scripts/deliver.lua")),
            settle: script(include_str!("scripts/settle.lua")),
        }
    }
}

/// The longest regular time between two ticks of the queue's own time. Together with a heartbeat, a third of the lease,
/// it is less than a lease, so no lease that is renewed in time can expire.
fn longest_gap(rules: &Rules) -> Duration {
    (rules.lease / 2).max(Duration::from_secs(1))
}

/// How often each process advances the queue's own time.
pub(super) fn tick_every(rules: &Rules) -> Duration {
    longest_gap(rules) / 3
}

fn script(body: &str, gap: Duration) -> Script {
    let lanes: Vec<_> = EngineChoice::ALL.iter().map(|lane| format!("'{lane}'")).collect();
    let common = include_str!("scripts/common.lua");
    let (lanes, gap) = (lanes.join(", "), gap.as_millis());
    Script::new(&format!("local lanes, GAP = {{{lanes}}}, {gap}\n{common}{body}"))
}

/// A call of a script, without arguments yet.
pub(super) fn call(script: &Script) -> ScriptInvocation<'_> {
    script.key(TAG)
}

use redis::{Script, ScriptInvocation};

use crate::EngineChoice;

/// The hash tag that all keys share, so that they live on one node of a cluster.
const TAG: &str = "{unflatten}";

/// A key or channel that scripts and plain commands both use.
pub(super) fn key(name: &str) -> String {
    format!("{TAG}:{name}")
}

/// The state changes of a job, each one script and so one step.
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
    pub(super) deliver: Script,
    pub(super) settle: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
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
            deliver: script(include_str!("scripts/deliver.lua")),
            settle: script(include_str!("scripts/settle.lua")),
        }
    }
}

fn script(body: &str) -> Script {
    let lanes: Vec<_> = EngineChoice::ALL.iter().map(|lane| format!("'{lane}'")).collect();
    let common = include_str!("scripts/common.lua");
    Script::new(&format!("local lanes = {{{}}}\n{common}{body}", lanes.join(", ")))
}

/// A call of a script with its arguments to come.
pub(super) fn call(script: &Script) -> ScriptInvocation<'_> {
    script.key(TAG)
}

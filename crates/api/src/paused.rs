//! Workers that pause because what they need, such as the storage, does not work.

use axum::http::StatusCode;
use jobs::broker::WorkerInfo;

use crate::error::Error;

/// Whether some worker takes jobs, as far as there are any.
///
/// # Errors
/// 503 when all of them pause.
pub fn check(workers: &[WorkerInfo]) -> Result<(), Error> {
    let Some(reason) = workers_paused(workers) else { return Ok(()) };
    let message = format!("jobs wait, because every worker pauses: {reason}");
    Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, "workers_paused", message))
}

/// Why no worker takes jobs: the reason of one of them. `None` when one does, or there is none at all.
fn workers_paused(workers: &[WorkerInfo]) -> Option<String> {
    let mut reasons = workers.iter().map(|worker| worker.paused.as_ref());
    let first = reasons.next()??;
    reasons.all(|reason| reason.is_some()).then(|| first.clone())
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn workers(paused: &[Option<&str>]) -> Vec<WorkerInfo> {
        let worker = |paused: &Option<&str>| WorkerInfo {
            id: "w".to_owned(),
            engines: Vec::new(),
            job: None,
            seen_at: OffsetDateTime::UNIX_EPOCH,
            paused: paused.map(str::to_owned),
        };
        paused.iter().map(worker).collect()
    }

    #[test]
    fn only_where_all_pause_does_nobody_take_jobs() {
        for (paused, told) in [
            (&[][..], None),
            (&[None], None),
            (&[Some("disk"), None], None),
            (&[None, Some("disk")], None),
            (&[Some("disk"), Some("threads")], Some("disk")),
        ] {
            assert_eq!(workers_paused(&workers(paused)).as_deref(), told, "{paused:?}");
        }
    }
}

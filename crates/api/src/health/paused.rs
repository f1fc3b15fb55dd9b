//! Workers that pause because something they need, such as the storage, does not work.

use axum::http::StatusCode;
use jobs::broker::WorkerInfo;

use crate::http::error::Error;

/// Checks that not all workers pause.
///
/// # Errors
/// 503 when all of them do.
pub(super) fn check(workers: &[WorkerInfo]) -> Result<(), Error> {
    let Some(reason) = workers_paused(workers) else { return Ok(()) };
    let message = format!("jobs have to wait because all workers are paused: {reason}");
    Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, "workers_paused", message))
}

/// The reason of the first worker if all are paused; `None` when one is not, or there are none.
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

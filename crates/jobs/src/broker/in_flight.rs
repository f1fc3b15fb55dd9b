//! How many requests are having heavy work done in this process, in a file that outlives its crash.
//!
//! API and worker share a process where the queue is embedded, so what a request brings about can take a job down with
//! it. The file tells the next process whether that may have been so.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::EventKind;

/// Added to the name of the queue's file.
const SUFFIX: &str = ".in-flight";

/// A request's heavy work, from when it begins until this is dropped. See [`super::Broker::in_flight`].
#[derive(Debug, Default)]
#[must_use = "the work has to hold it"]
pub struct InFlight {
    tally: Option<Arc<Tally>>,
}

impl InFlight {
    pub(super) fn counted(tally: Arc<Tally>) -> Self {
        tally.change(|count| count.saturating_add(1));
        Self { tally: Some(tally) }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(tally) = &self.tally {
            tally.change(|count| count.saturating_sub(1));
        }
    }
}

/// The number in the file.
#[derive(Debug)]
pub(super) struct Tally {
    state: Mutex<(u32, File)>,
}

/// How many requests were having work done when the process before this one ended: 0 unless it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Requests(u32);

impl Requests {
    /// Whether one of them may have taken the process down.
    pub(super) fn are_suspect(self) -> bool {
        self.0 > 0
    }

    /// What is told of a job that ran meanwhile.
    pub(super) fn requeued(self) -> EventKind {
        let reason = match self.0 {
            0 => "the service stopped while it worked on the job".to_owned(),
            n => {
                let s = if n == 1 { "" } else { "s" };
                format!(
                    "the service stopped while it worked on the job and {n} request{s}, which may have been the cause"
                )
            }
        };
        EventKind::Requeued { reason }
    }
}

impl Tally {
    /// Opens the file beside `queue`, which this process alone uses. `None` where it cannot be used: then a crash is
    /// put down to the job.
    pub(super) fn open_beside(queue: &Path) -> (Option<Arc<Self>>, Requests) {
        match Self::open(queue) {
            Ok((tally, left)) => (Some(Arc::new(tally)), Requests(left)),
            Err(error) => {
                tracing::warn!(%error, "requests cannot be counted beside the queue");
                (None, Requests(0))
            }
        }
    }

    fn open(queue: &Path) -> io::Result<(Self, u32)> {
        let path = beside(queue);
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut text = String::new();
        // What cannot be read says nothing, and a job is then taken for the cause as ever.
        let _ = Read::by_ref(&mut file).take(16).read_to_string(&mut text);
        let left = text.trim().parse().unwrap_or(0);
        let tally = Self { state: Mutex::new((0, file)) };
        tally.change(|count| count);
        Ok((tally, left))
    }

    fn change(&self, to: impl FnOnce(u32) -> u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, file) = &mut *state;
        *count = to(*count);
        // Of one length, so that no older digits stay. Not synced: it need not outlive the machine.
        let line = format!("{count:>10}\n");
        let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(line.as_bytes()));
        if let Err(error) = written {
            tracing::debug!(%error, "the file that counts requests could not be written");
        }
    }
}

fn beside(queue: &Path) -> PathBuf {
    let mut name = OsString::from(queue);
    name.push(SUFFIX);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_reads_what_was_not_ended() {
        let dir = tempfile::tempdir().unwrap();
        let queue = dir.path().join("queue.sqlite");
        let open = || {
            let (tally, left) = Tally::open(&queue).unwrap();
            (Arc::new(tally), left)
        };
        let (tally, left) = open();
        assert_eq!(left, 0);
        let works: Vec<_> = (0..12).map(|_| InFlight::counted(Arc::clone(&tally))).collect();
        assert_eq!(open().1, 12);
        drop(works);
        let (tally, _) = open();
        let ended = InFlight::counted(Arc::clone(&tally));
        std::mem::forget(InFlight::counted(tally));
        drop(ended);
        assert_eq!((open().1, open().1), (1, 0));
        std::fs::write(beside(&queue), "garbage").unwrap();
        assert_eq!(open().1, 0);
    }
}

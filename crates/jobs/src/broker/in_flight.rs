//! The number of requests for which this process is doing heavy work, in a file that survives a crash.
//!
//! With the embedded queue API and worker share a process, so a request that crashes it takes the running job down too.
//! The file tells the next process whether that may have happened.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{EventKind, Message, MessageCode};

/// Added to the name of the queue's file.
const SUFFIX: &str = ".in-flight";

/// Counts a request's heavy work until it is dropped. See [`super::Broker::in_flight`].
#[derive(Debug, Default)]
#[must_use = "the work is counted only while this is held"]
pub struct InFlight {
    counter: Option<Arc<RequestCounter>>,
}

impl InFlight {
    pub(super) fn counted(counter: Arc<RequestCounter>) -> Self {
        counter.change(|count| count.saturating_add(1));
        Self { counter: Some(counter) }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(counter) = &self.counter {
            counter.change(|count| count.saturating_sub(1));
        }
    }
}

/// The count and its file.
#[derive(Debug)]
pub(super) struct RequestCounter {
    state: Mutex<(u32, File)>,
}

/// The count that the previous process left: 0 unless it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InterruptedRequests(u32);

impl InterruptedRequests {
    /// Whether one of them may have crashed the process.
    pub(super) fn are_suspect(self) -> bool {
        self.0 > 0
    }

    /// The event of a job that ran at that time.
    pub(super) fn requeue_event(self) -> EventKind {
        let reason = match self.0 {
            0 => "the service stopped while it was working on the job".to_owned(),
            n => {
                let s = if n == 1 { "" } else { "s" };
                format!(
                    "the service stopped while it was working on the job and {n} request{s}, which may have been the cause"
                )
            }
        };
        EventKind::requeued(Message::new(MessageCode::ServiceStopped, reason).with("requests", self.0))
    }
}

impl RequestCounter {
    /// Opens the file beside `queue`, which this process alone uses. `None` where the file cannot be used: a crash then
    /// counts against the job.
    pub(super) fn open_beside(queue: &Path) -> (Option<Arc<Self>>, InterruptedRequests) {
        match Self::open(queue) {
            Ok((counter, left)) => (Some(Arc::new(counter)), InterruptedRequests(left)),
            Err(error) => {
                tracing::warn!(%error, "requests cannot be counted; a crash that one of them causes will count against the running job");
                (None, InterruptedRequests(0))
            }
        }
    }

    fn open(queue: &Path) -> io::Result<(Self, u32)> {
        let path = beside(queue);
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut text = String::new();
        // An unreadable count is 0: a crash then counts against the job.
        let _ = Read::by_ref(&mut file).take(16).read_to_string(&mut text);
        let left = text.trim().parse().unwrap_or(0);
        let counter = Self { state: Mutex::new((0, file)) };
        counter.change(|count| count);
        Ok((counter, left))
    }

    fn change(&self, to: impl FnOnce(u32) -> u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, file) = &mut *state;
        *count = to(*count);
        // Fixed width, so that no older digits stay. Not synced: it need not survive a crash of the machine.
        let line = format!("{count:>10}\n");
        let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(line.as_bytes()));
        if let Err(error) = written {
            tracing::debug!(%error, "the file that counts requests cannot be written");
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
            let (counter, left) = RequestCounter::open(&queue).unwrap();
            (Arc::new(counter), left)
        };
        let (counter, left) = open();
        assert_eq!(left, 0);
        let works: Vec<_> = (0..12).map(|_| InFlight::counted(Arc::clone(&counter))).collect();
        assert_eq!(open().1, 12);
        drop(works);
        let (counter, _) = open();
        let ended = InFlight::counted(Arc::clone(&counter));
        std::mem::forget(InFlight::counted(counter));
        drop(ended);
        assert_eq!((open().1, open().1), (1, 0));
        std::fs::write(beside(&queue), "garbage").unwrap();
        assert_eq!(open().1, 0);
    }
}

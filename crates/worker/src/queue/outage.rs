//! Handles faults of the storage and the system: the worker gives the job back, checks with backoff until the storage
//! works again, and limits the retries of each job.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobs::{JobId, Store};
use service::error_chain;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::config::Retry;
use crate::run::{Fault, Operation};

/// Timeout of one check of the storage.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// After faults of this many different jobs in a row, the worker pauses even if the storage passes its check.
const MAX_FAULTY_JOBS_IN_A_ROW: usize = 3;

/// Bytes that a test result has beyond what the failed attempt wrote.
const SPARE_BYTES: u64 = 1 << 20;

/// Maximum size of a test result in bytes.
const MAX_TEST_BYTES: u64 = 256 << 20;

/// Maximum number of jobs whose faults are counted.
const MAX_REMEMBERED_JOBS: usize = 10_000;

/// The pause after `before` earlier ones, with jitter, so that many workers do not return at once.
fn pause(retry: &Retry, before: u32) -> Duration {
    let whole = retry.first.saturating_mul(2_u32.saturating_pow(before.min(30))).min(retry.longest);
    whole.mul_f64(rand::random_range(0.5..=1.0))
}

/// What happens to a job after a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Other jobs would fail as well: the job goes back, and the worker pauses.
    Pause,
    /// The storage passes its check: the job is retried after this time, while others run.
    Later(Duration),
    /// The job fails after this many attempts.
    Fail { tries: u32 },
}

/// Counts the faults of a worker and checks the storage.
#[derive(Debug, Default)]
pub(crate) struct Outages {
    retry: Retry,
    history: Mutex<FaultHistory>,
    /// A check that timed out and still runs: a storage that hangs gets no second one.
    running_check: tokio::sync::Mutex<Option<JoinHandle<Result<(), String>>>>,
}

#[derive(Debug, Default)]
struct FaultHistory {
    /// Faults of each job while the storage passed its check.
    tries: HashMap<JobId, u32>,
    /// Jobs with a fault since the last job without one.
    in_a_row: HashSet<JobId>,
    /// Pauses since the last job without a fault.
    pauses: u32,
}

impl Outages {
    pub(crate) fn new(retry: Retry) -> Self {
        Self { retry, ..Self::default() }
    }

    /// Checks the storage and decides what happens to the job.
    pub(crate) async fn judge(&self, job: JobId, fault: &Fault, store: &Store) -> Verdict {
        let works = self.check_storage(fault, store).await.is_ok();
        let mut history = self.lock();
        history.in_a_row.insert(job);
        if !works {
            return Verdict::Pause;
        }
        if history.tries.len() >= MAX_REMEMBERED_JOBS {
            history.tries.clear();
        }
        let tries = history.tries.entry(job).or_default();
        *tries += 1;
        let tries = *tries;
        if tries >= self.retry.tries {
            history.tries.remove(&job);
            return Verdict::Fail { tries };
        }
        if history.in_a_row.len() >= MAX_FAULTY_JOBS_IN_A_ROW {
            Verdict::Pause
        } else {
            Verdict::Later(pause(&self.retry, tries - 1))
        }
    }

    /// Records that an attempt at the job ended without a fault.
    pub(crate) fn attempt_ended(&self, job: JobId) {
        let mut history = self.lock();
        history.tries.remove(&job);
        history.in_a_row.clear();
        history.pauses = 0;
    }

    /// How long to wait before the next check.
    pub(crate) fn next_pause(&self) -> Duration {
        let mut history = self.lock();
        let wait = pause(&self.retry, history.pauses);
        history.pauses = history.pauses.saturating_add(1);
        wait
    }

    /// Checks whether the operation that failed works again.
    ///
    /// # Errors
    /// Why it cannot, on one line.
    pub(crate) async fn check_storage(&self, fault: &Fault, store: &Store) -> Result<(), String> {
        let mut slot = self.running_check.lock().await;
        let mut check = match slot.take() {
            Some(before) => before,
            None => tokio::spawn(test_storage(store.clone(), fault.operation)),
        };
        match timeout(CHECK_TIMEOUT, &mut check).await {
            Ok(ended) => ended.unwrap_or_else(|crash| Err(format!("the check of the storage panicked: {crash}"))),
            Err(_) => {
                *slot = Some(check);
                Err(format!("the storage has not responded for {} s", CHECK_TIMEOUT.as_secs()))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, FaultHistory> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn test_storage(store: Store, operation: Operation) -> Result<(), String> {
    store.check_anew().await.map_err(|error| error_chain(&error))?;
    let Operation::Write { bytes } = operation else { return Ok(()) };
    // Publishing can fail although a small file can be written: for lack of space, or of the permission to rename.
    let id = JobId::new_v4();
    let staging = store.make_staging(id).await.map_err(|error| error_chain(&error))?;
    let fill = move || fill(staging.dir(), bytes.saturating_add(SPARE_BYTES).min(MAX_TEST_BYTES)).map(|()| staging);
    let filled = spawn_blocking(fill).await.map_err(|error| error.to_string())?;
    let staging = filled.map_err(|error| format!("a test file could not be written: {error}"))?;
    store.publish(staging).await.map_err(|error| error_chain(&error))?;
    store.delete_result(id).await.map(drop).map_err(|error| error_chain(&error))
}

/// Writes a result file of `bytes` bytes.
fn fill(folder: &std::path::Path, bytes: u64) -> io::Result<()> {
    let mut file = std::fs::File::create(folder.join("metadata.json"))?;
    let block = vec![b' '; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        file.write_all(&block[..part])?;
        left -= part as u64;
    }
    // Some file systems report a full disk only here.
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store(dir: &tempfile::TempDir) -> Store {
        Store::open(&dir.path().join("uploads"), &dir.path().join("results")).await.expect("a store")
    }

    fn outages(tries: u32) -> Outages {
        Outages::new(Retry { tries, ..Retry::default() })
    }

    fn fault(operation: Operation) -> Fault {
        Fault::new(operation, "the test said so".to_owned())
    }

    #[test]
    fn pauses_grow_to_the_longest() {
        let retry = Retry::default();
        for (before, longest) in [(0, 1), (1, 2), (5, 32), (6, 60), (u32::MAX, 60)] {
            let longest = Duration::from_secs(longest);
            let pause = pause(&retry, before);
            assert!(pause <= longest && pause >= longest / 2, "{pause:?} after {before}");
        }
    }

    #[tokio::test]
    async fn one_job_is_tried_a_bounded_number_of_times_while_the_storage_works() {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, outages, job) = (store(&dir).await, outages(3), JobId::new_v4());
        let judged = async || outages.judge(job, &fault(Operation::Read), &store).await;
        assert!(matches!(judged().await, Verdict::Later(_)));
        // A success of another job does not reset the count of this one.
        outages.attempt_ended(JobId::new_v4());
        assert!(matches!(judged().await, Verdict::Later(_)));
        assert_eq!(judged().await, Verdict::Fail { tries: 3 });
    }

    #[tokio::test]
    async fn faults_of_a_storage_that_fails_its_check_are_never_counted() {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, outages, job) = (store(&dir).await, outages(2), JobId::new_v4());
        for operation in [Operation::Read, Operation::Write { bytes: 10 }] {
            std::fs::rename(dir.path().join("results"), dir.path().join("away")).expect("moved");
            for _ in 0..5 {
                assert_eq!(outages.judge(job, &fault(operation), &store).await, Verdict::Pause);
            }
            std::fs::rename(dir.path().join("away"), dir.path().join("results")).expect("moved");
        }
        assert_eq!(outages.check_storage(&fault(Operation::Write { bytes: 10 }), &store).await, Ok(()));
        let left = std::fs::read_dir(dir.path().join("results")).expect("readable").count();
        assert_eq!(left, 1, "only .staging");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_result_that_cannot_be_published_is_found_although_files_can_be_staged() {
        use std::os::unix::fs::MetadataExt;

        let dir = tempfile::tempdir().expect("a folder");
        let store = store(&dir).await;
        assert_eq!(test_storage(store.clone(), Operation::Write { bytes: 1 << 16 }).await, Ok(()));
        // Staged on another disk, from which nothing can be renamed to its place.
        let device = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |metadata| metadata.dev());
        let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
        if device(other.path()) == device(dir.path()) {
            return;
        }
        let staging = dir.path().join("results/.staging");
        std::fs::remove_dir(&staging).expect("empty");
        std::os::unix::fs::symlink(other.path(), staging).expect("linked");
        assert_eq!(test_storage(store.clone(), Operation::Read).await, Ok(()));
        assert!(test_storage(store, Operation::Write { bytes: 10 }).await.is_err());
    }

    #[tokio::test]
    async fn faults_of_several_jobs_in_a_row_pause_the_worker() {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, outages) = (store(&dir).await, outages(8));
        for n in 1..=MAX_FAULTY_JOBS_IN_A_ROW {
            let verdict = outages.judge(JobId::new_v4(), &fault(Operation::RunEngine), &store).await;
            assert_eq!(verdict == Verdict::Pause, n == MAX_FAULTY_JOBS_IN_A_ROW, "{n}: {verdict:?}");
        }
    }
}

//! What a worker does when the storage or the system under it fails: it gives the job back, waits with growing pauses
//! until what failed works again, and lets no job be tried for ever.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobs::{JobId, Store};
use service::error_chain;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::config::Retry;
use crate::run::{Fault, Part};

/// How long one look at the storage may take.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);

/// How many different jobs may meet faults in a row before the worker pauses although the storage passes its check.
const MOST_IN_A_ROW: usize = 3;

/// Written beyond what the failed attempt had written, in bytes, to see whether there is room again.
const ROOM: u64 = 1 << 20;

/// The most that is written for that, in bytes.
const MOST_WRITTEN: u64 = 256 << 20;

/// Jobs whose tries are remembered.
const MOST_REMEMBERED: usize = 10_000;

/// The pause after `before` others, of which a random part is left out: many workers shall not come back at once.
fn pause(retry: &Retry, before: u32) -> Duration {
    let whole = retry.first.saturating_mul(2_u32.saturating_pow(before.min(30))).min(retry.longest);
    whole.mul_f64(rand::random_range(0.5..=1.0))
}

/// What is to become of a job whose surroundings failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Others would fail as well: the job goes back, and the worker pauses.
    Pause,
    /// The storage works for others: the job is tried again after this time, and others come first.
    Later(Duration),
    /// It was tried this often: it fails.
    Fail { tries: u32 },
}

/// The faults that a worker has met.
#[derive(Debug, Default)]
pub(crate) struct Outages {
    retry: Retry,
    met: Mutex<Met>,
    /// A look at the storage that has not ended: a storage that hangs gets no second one.
    looking: tokio::sync::Mutex<Option<JoinHandle<Result<(), String>>>>,
}

#[derive(Debug, Default)]
struct Met {
    /// How often jobs met faults while the storage passed its check.
    tries: HashMap<JobId, u32>,
    /// Jobs that met one since the last one that did not.
    in_a_row: HashSet<JobId>,
    /// Pauses since then.
    pauses: u32,
}

impl Outages {
    pub(crate) fn new(retry: Retry) -> Self {
        Self { retry, ..Self::default() }
    }

    /// Looks whether the storage works, and says what to do with the job.
    pub(crate) async fn judge(&self, job: JobId, fault: &Fault, store: &Store) -> Verdict {
        let works = self.look(fault, store).await.is_ok();
        let mut met = self.lock();
        met.in_a_row.insert(job);
        if !works {
            return Verdict::Pause;
        }
        if met.tries.len() >= MOST_REMEMBERED {
            met.tries.clear();
        }
        let tries = met.tries.entry(job).or_default();
        *tries += 1;
        let tries = *tries;
        if tries >= self.retry.tries {
            met.tries.remove(&job);
            return Verdict::Fail { tries };
        }
        if met.in_a_row.len() >= MOST_IN_A_ROW { Verdict::Pause } else { Verdict::Later(pause(&self.retry, tries - 1)) }
    }

    /// An attempt at the job came to an end without a fault.
    pub(crate) fn over(&self, job: JobId) {
        let mut met = self.lock();
        met.tries.remove(&job);
        met.in_a_row.clear();
        met.pauses = 0;
    }

    /// How long to pause before looking again.
    pub(crate) fn next_pause(&self) -> Duration {
        let mut met = self.lock();
        let wait = pause(&self.retry, met.pauses);
        met.pauses = met.pauses.saturating_add(1);
        wait
    }

    /// Looks whether the storage can be used for what has failed.
    ///
    /// # Errors
    /// Why it cannot, on one line.
    pub(crate) async fn look(&self, fault: &Fault, store: &Store) -> Result<(), String> {
        let mut slot = self.looking.lock().await;
        let mut looking = match slot.take() {
            Some(before) => before,
            None => tokio::spawn(check(store.clone(), fault.part)),
        };
        match timeout(CHECK_PATIENCE, &mut looking).await {
            Ok(ended) => ended.unwrap_or_else(|crash| Err(format!("the check of the storage broke off: {crash}"))),
            Err(_) => {
                *slot = Some(looking);
                Err(format!("the storage has not responded for {} s", CHECK_PATIENCE.as_secs()))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn check(store: Store, part: Part) -> Result<(), String> {
    store.check_anew().await.map_err(|error| error_chain(&error))?;
    let Part::Write { bytes } = part else { return Ok(()) };
    // Publishing may fail where a small temporary file can be written: no room, or no right to rename.
    let id = JobId::new_v4();
    let staging = store.make_staging(id).await.map_err(|error| error_chain(&error))?;
    let fill = move || fill(staging.dir(), bytes.saturating_add(ROOM).min(MOST_WRITTEN)).map(|()| staging);
    let filled = spawn_blocking(fill).await.map_err(|error| error.to_string())?;
    let staging = filled.map_err(|error| format!("a test file could not be written: {error}"))?;
    store.publish(staging).await.map_err(|error| error_chain(&error))?;
    store.delete_result(id).await.map(drop).map_err(|error| error_chain(&error))
}

/// Writes a file of a result with that many bytes.
fn fill(folder: &std::path::Path, bytes: u64) -> io::Result<()> {
    let mut file = std::fs::File::create(folder.join("metadata.json"))?;
    let block = vec![b' '; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        file.write_all(&block[..part])?;
        left -= part as u64;
    }
    // A file system may find only then that there is no room.
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

    fn fault(part: Part) -> Fault {
        Fault::new(part, "the test said so".to_owned())
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
        let judged = async || outages.judge(job, &fault(Part::Read), &store).await;
        assert!(matches!(judged().await, Verdict::Later(_)));
        // Another job's success between says that the storage works, not that this job's does.
        outages.over(JobId::new_v4());
        assert!(matches!(judged().await, Verdict::Later(_)));
        assert_eq!(judged().await, Verdict::Fail { tries: 3 });
    }

    #[tokio::test]
    async fn faults_of_a_storage_that_fails_its_check_are_never_counted() {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, outages, job) = (store(&dir).await, outages(2), JobId::new_v4());
        for part in [Part::Read, Part::Write { bytes: 10 }] {
            std::fs::rename(dir.path().join("results"), dir.path().join("away")).expect("moved");
            for _ in 0..5 {
                assert_eq!(outages.judge(job, &fault(part), &store).await, Verdict::Pause);
            }
            std::fs::rename(dir.path().join("away"), dir.path().join("results")).expect("moved");
        }
        assert_eq!(outages.look(&fault(Part::Write { bytes: 10 }), &store).await, Ok(()));
        let left = std::fs::read_dir(dir.path().join("results")).expect("readable").count();
        assert_eq!(left, 1, "only .staging");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_result_that_cannot_be_published_is_found_although_files_can_be_staged() {
        use std::os::unix::fs::MetadataExt;

        let dir = tempfile::tempdir().expect("a folder");
        let store = store(&dir).await;
        assert_eq!(check(store.clone(), Part::Write { bytes: 1 << 16 }).await, Ok(()));
        // Staged on another disk, from which nothing can be renamed to its place.
        let device = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |metadata| metadata.dev());
        let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
        if device(other.path()) == device(dir.path()) {
            return;
        }
        let staging = dir.path().join("results/.staging");
        std::fs::remove_dir(&staging).expect("empty");
        std::os::unix::fs::symlink(other.path(), staging).expect("linked");
        assert_eq!(check(store.clone(), Part::Read).await, Ok(()));
        assert!(check(store, Part::Write { bytes: 10 }).await.is_err());
    }

    #[tokio::test]
    async fn faults_of_several_jobs_in_a_row_pause_the_worker() {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, outages) = (store(&dir).await, outages(8));
        for n in 1..=MOST_IN_A_ROW {
            let verdict = outages.judge(JobId::new_v4(), &fault(Part::Engine), &store).await;
            assert_eq!(verdict == Verdict::Pause, n == MOST_IN_A_ROW, "{n}: {verdict:?}");
        }
    }
}

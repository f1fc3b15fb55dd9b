use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use service::Failure;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use ureq::http::StatusCode;

use super::hub::Hub;
use super::plan::{Checksum, Plan, PlannedFile};

/// A transfer without data for this long is aborted.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// After this many attempts in a row without new data, a file fails.
const MAX_ATTEMPTS: u32 = 5;

/// Fetches the files of a plan.
pub(super) struct Transfer<'a> {
    /// Where they come from and go to.
    pub hub: &'a Hub,
    /// The progress.
    pub meter: &'a Meter,
}

/// Shows the progress and tracks when data last arrived.
pub(super) struct Meter {
    bar: ProgressBar,
    active_at: Mutex<Instant>,
}

impl Meter {
    /// A progress bar for `bytes` bytes, hidden unless stderr is a terminal.
    pub(super) fn new(bytes: u64) -> Self {
        let bar = if io::stderr().is_terminal() { ProgressBar::new(bytes) } else { ProgressBar::hidden() };
        let template = "[{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, active_at: Mutex::new(Instant::now()) }
    }

    /// Time since data was last fetched or verified.
    pub(super) fn idle(&self) -> Duration {
        self.active_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn touch(&self) {
        *self.active_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
enum TransferError {
    #[error(transparent)]
    Request(ureq::Error),
    #[error("the connection was lost: {0}")]
    Reading(io::Error),
    #[error("the response ended {0} bytes too early")]
    Short(u64),
    #[error(transparent)]
    Writing(io::Error),
}

impl Transfer<'_> {
    /// Fetches and verifies all files of `plan`.
    ///
    /// # Errors
    /// When a file fails for good. Data that arrived is kept for the next run.
    pub(super) fn run(&self, plan: &Plan) -> Result<(), Failure> {
        let mut done = 0;
        for file in &plan.files {
            self.meter.bar.set_message(file.path.clone());
            self.meter.bar.set_position(done);
            let action = self.obtain(file, done)?;
            done += file.bytes;
            self.meter.bar.suspend(|| println!("{action} {}/{}", file.commit.repository, file.path));
        }
        for commit in &plan.commits {
            self.hub.finish(commit).map_err(|error| cannot_write(self.hub.dir(), &error))?;
        }
        self.meter.bar.finish_and_clear();
        println!("All files are complete and verified.");
        Ok(())
    }

    /// Puts the verified file into its place; returns whether it was kept or fetched.
    fn obtain(&self, file: &PlannedFile, start: u64) -> Result<&'static str, Failure> {
        let place = self.hub.place(&file.commit, &file.path);
        let blob = self.hub.blob(&file.commit, file.checksum.text());
        let fault = |error: &io::Error| cannot_write(&place, error);
        if self.is_intact(&place, file).map_err(|e| fault(&e))? {
            return Ok("kept   ");
        }
        remove(&place).map_err(|e| fault(&e))?;
        // Another commit, or an interrupted run, may have left the content.
        let part = part_path(&blob);
        for found in [&blob, &part] {
            if self.is_intact(found, file).map_err(|e| fault(&e))? {
                link(found, &blob, &place).map_err(|e| fault(&e))?;
                return Ok("kept   ");
            }
        }
        remove(&blob).map_err(|e| fault(&e))?;
        if length(&part) >= file.bytes {
            remove(&part).map_err(|e| fault(&e))?;
        }
        for _ in 0..2 {
            self.fetch(file, start, &part)?;
            if self.is_intact(&part, file).map_err(|e| fault(&e))? {
                link(&part, &blob, &place).map_err(|e| fault(&e))?;
                return Ok("fetched");
            }
            remove(&part).map_err(|e| fault(&e))?;
            self.meter.bar.suspend(|| eprintln!("unflatten: {} arrived damaged; fetching it again", file.path));
        }
        Err(Failure::Failed(format!(
            "{} of {} arrived damaged twice: expected {} bytes with checksum {}; try again later, or use another \
             HF_ENDPOINT",
            file.path,
            file.commit.repository,
            file.bytes,
            file.checksum.text()
        )))
    }

    /// Fetches the file into `part`, resuming at its end, with retries.
    fn fetch(&self, file: &PlannedFile, start: u64, part: &Path) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            let before = length(part);
            let Err(error) = self.receive(file, start, part) else { return Ok(()) };
            tries = if length(part) > before { 1 } else { tries + 1 };
            if tries >= MAX_ATTEMPTS || !is_transient(&error) {
                return Err(self.failure(file, part, &error));
            }
            let pause = Duration::from_millis(250 << tries);
            tracing::debug!(file = file.path, %error, ?pause, "a transfer was interrupted; retrying");
            sleep(pause);
        }
    }

    /// Makes one request and appends its content to `part`.
    fn receive(&self, file: &PlannedFile, start: u64, part: &Path) -> Result<(), TransferError> {
        let mut done = length(part);
        let answer = self.hub.open(&file.commit, &file.path, done).map_err(TransferError::Request)?;
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            // The server does not support ranges and sends the whole file.
            done = 0;
        }
        if let Some(folder) = part.parent() {
            fs::create_dir_all(folder).map_err(TransferError::Writing)?;
        }
        let mut out = OpenOptions::new().create(true).append(true).open(part).map_err(TransferError::Writing)?;
        out.set_len(done).map_err(TransferError::Writing)?;
        // One extra byte is enough to detect a different file.
        let mut body = answer.into_body().into_reader().take((file.bytes - done).saturating_add(1));
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = body.read(&mut buffer).map_err(TransferError::Reading)?;
            if count == 0 {
                break;
            }
            out.write_all(&buffer[..count]).map_err(TransferError::Writing)?;
            done += count as u64;
            self.meter.bar.set_position(start + done);
            self.meter.touch();
        }
        out.sync_all().map_err(TransferError::Writing)?;
        if done < file.bytes { Err(TransferError::Short(file.bytes - done)) } else { Ok(()) }
    }

    fn failure(&self, file: &PlannedFile, part: &Path, error: &TransferError) -> Failure {
        match error {
            TransferError::Request(request) => {
                self.hub.request_failure(&format!("{}/{}", file.commit.repository, file.path), request)
            }
            TransferError::Writing(error) => cannot_write(part, error),
            other => Failure::Failed(format!(
                "{} cannot be fetched: {other}; run the same command again: it resumes where it stopped",
                file.path
            )),
        }
    }

    fn is_intact(&self, path: &Path, file: &PlannedFile) -> io::Result<bool> {
        if length(path) != file.bytes || !path.is_file() {
            return Ok(false);
        }
        let found = match &file.checksum {
            Checksum::Sha256(_) => self.digest(Sha256::new(), path)?,
            Checksum::Git(_) => self.digest(Sha1::new_with_prefix(format!("blob {}\0", file.bytes)), path)?,
        };
        Ok(found == file.checksum.text())
    }

    /// Adds the file to `hash` and returns the digest in hexadecimal.
    fn digest(&self, mut hash: impl Digest, path: &Path) -> io::Result<String> {
        let mut file = File::open(path)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
            }
            hash.update(&buffer[..count]);
            self.meter.touch();
        }
    }
}

/// The file for the part of a blob that has arrived.
pub(super) fn part_path(blob: &Path) -> PathBuf {
    blob.with_extension("part")
}

/// Whether a retry may succeed.
fn is_transient(error: &TransferError) -> bool {
    match error {
        TransferError::Request(ureq::Error::StatusCode(code)) => *code == 429 || *code >= 500,
        TransferError::Request(_) | TransferError::Reading(_) | TransferError::Short(_) => true,
        // A full disk stays full.
        TransferError::Writing(_) => false,
    }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Moves `found` to the blob and links the blob into the snapshot. A hard link, because symbolic links need privileges on
/// some systems.
fn link(found: &Path, blob: &Path, place: &Path) -> io::Result<()> {
    if found != blob {
        fs::rename(found, blob)?;
    }
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::hard_link(blob, place)
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!(
        "{} cannot be written: {error}; check its permissions and the free space, or set MODEL_CACHE_DIR to another folder",
        path.display()
    ))
}

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hf_hub::api::Progress;
use hf_hub::api::sync::ApiError;
use indicatif::{ProgressBar, ProgressStyle};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::hub::{Hub, request_error};
use super::plan::{Checksum, Plan, Wanted};
use crate::failure::Failure;

/// A transfer that brings nothing for so long is given up.
pub const STALL: Duration = Duration::from_secs(60);

/// How often in a row a transfer may fail without having brought anything.
const TRIES: u32 = 5;

/// Fetches what a plan lists.
pub struct Transfer<'a> {
    pub hub: &'a Hub,
    pub meter: &'a Meter,
}

/// Shows how far it is and knows when something last happened.
pub struct Meter {
    bar: ProgressBar,
    moved: Mutex<Instant>,
}

impl Meter {
    pub fn new(bytes: u64) -> Self {
        let bar = if io::stderr().is_terminal() { ProgressBar::new(bytes) } else { ProgressBar::hidden() };
        let template = "[{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, moved: Mutex::new(Instant::now()) }
    }

    /// Time since something was fetched or checked.
    pub fn idle(&self) -> Duration {
        self.moved.lock().unwrap_or_else(|broken| broken.into_inner()).elapsed()
    }

    fn touch(&self) {
        *self.moved.lock().unwrap_or_else(|broken| broken.into_inner()) = Instant::now();
    }
}

/// The client's view of the meter, for one file that begins at `start` of all bytes.
struct FileMeter<'a> {
    meter: &'a Meter,
    start: u64,
    fetched: &'a mut u64,
}

impl Progress for FileMeter<'_> {
    fn init(&mut self, _size: usize, _filename: &str) {
        *self.fetched = 0;
    }

    fn update(&mut self, size: usize) {
        *self.fetched += size as u64;
        self.meter.bar.set_position(self.start + *self.fetched);
        self.meter.touch();
    }

    fn finish(&mut self) {}
}

impl Transfer<'_> {
    /// # Errors
    /// What went wrong for good. What has arrived is kept for the next run.
    pub fn run(&self, plan: &Plan) -> Result<(), Failure> {
        let mut done = 0;
        for file in &plan.files {
            self.meter.bar.set_message(file.path.clone());
            self.meter.bar.set_position(done);
            let word = self.bring(file, done)?;
            done += file.bytes;
            self.meter.bar.suspend(|| println!("{word} {}/{}", file.commit.repository, file.path));
        }
        for commit in &plan.commits {
            self.hub.finish(commit).map_err(|error| cannot_write(self.hub.dir(), &error))?;
        }
        self.meter.bar.finish_and_clear();
        println!("Everything is there and checked.");
        Ok(())
    }

    /// Has the file in its place, checked; answers with what it took.
    fn bring(&self, file: &Wanted, start: u64) -> Result<&'static str, Failure> {
        let place = self.hub.place(&file.commit, &file.path);
        let blob = self.hub.local(&file.commit).blob_path(file.checksum.text());
        let fault = |error: &io::Error| cannot_write(&place, error);
        if self.is_intact(&place, file).map_err(|e| fault(&e))? {
            return Ok("kept   ");
        }
        remove(&place).map_err(|e| fault(&e))?;
        // Another commit, or a run that ended between the two, may have left the content.
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
            if self.is_intact(&place, file).map_err(|e| fault(&e))? {
                return Ok("fetched");
            }
            for damaged in [&place, &blob, &part] {
                remove(damaged).map_err(|e| fault(&e))?;
            }
            self.meter.bar.suspend(|| eprintln!("unflatten: {} arrived damaged; fetching it again", file.path));
        }
        Err(Failure::Failed(format!(
            "{} of {} arrived damaged twice: its checksum is not {}; try again later, or another HF_ENDPOINT",
            file.path,
            file.commit.repository,
            file.checksum.text()
        )))
    }

    /// Fetches the file, going on where `part` ends, through interruptions.
    fn fetch(&self, file: &Wanted, start: u64, part: &Path) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            let before = length(part);
            let mut fetched = 0;
            let meter = FileMeter { meter: self.meter, start, fetched: &mut fetched };
            let error = match self.hub.remote(&file.commit).download_with_progress(&file.path, meter) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            tries = if length(part) > before { 1 } else { tries + 1 };
            if tries >= TRIES || !may_pass(&error) {
                return Err(self.explain(file, &error));
            }
            let pause = Duration::from_millis(250 << tries);
            tracing::info!(file = file.path, %error, ?pause, "a transfer was interrupted");
            sleep(pause);
        }
    }

    fn explain(&self, file: &Wanted, error: &ApiError) -> Failure {
        if let Some(request) = request_error(error) {
            return self.hub.explain(&format!("{}/{}", file.commit.repository, file.path), request);
        }
        match error {
            ApiError::LockAcquisition(path) => Failure::Failed(format!(
                "another process fetches {} already; wait for it, or remove {} if there is none",
                file.path,
                path.display()
            )),
            other => Failure::Failed(format!(
                "{} cannot be fetched: {other}; run the same command again, it goes on where it stopped",
                file.path
            )),
        }
    }

    fn is_intact(&self, path: &Path, file: &Wanted) -> io::Result<bool> {
        if length(path) != file.bytes || !path.is_file() {
            return Ok(false);
        }
        let found = match &file.checksum {
            Checksum::Sha256(_) => self.digest(Sha256::new(), path)?,
            Checksum::Git(_) => self.digest(Sha1::new_with_prefix(format!("blob {}\0", file.bytes)), path)?,
        };
        Ok(found == file.checksum.text())
    }

    /// The digest of what `hash` has seen and the file, in hexadecimal.
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

/// Where the client keeps what has arrived of a blob.
pub fn part_path(blob: &Path) -> PathBuf {
    blob.with_extension("part")
}

/// Whether an error may be gone at the next try.
fn may_pass(error: &ApiError) -> bool {
    match (request_error(error), error) {
        (Some(ureq::Error::StatusCode(code)), _) => *code == 429 || *code >= 500,
        (Some(_), _) | (None, ApiError::IoError(_)) => true,
        _ => false,
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

/// Makes `found` the blob, and the blob a file of the snapshot. A hard link, because
/// symbolic ones are not for everybody on every system.
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
        "{} cannot be written: {error}; check the disk and its rights, or set MODEL_CACHE_DIR to another folder",
        path.display()
    ))
}

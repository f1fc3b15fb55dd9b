use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use service::Failure;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use ureq::http::StatusCode;

use super::hub::Hub;
use super::plan::{Checksum, Plan, Wanted};

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

/// Why a transfer ended early.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error(transparent)]
    Request(ureq::Error),
    #[error("the connection broke: {0}")]
    Reading(io::Error),
    #[error("it ended {0} bytes too early")]
    Short(u64),
    #[error(transparent)]
    Writing(io::Error),
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
        let blob = self.hub.blob(&file.commit, file.checksum.text());
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
            if self.is_intact(&part, file).map_err(|e| fault(&e))? {
                link(&part, &blob, &place).map_err(|e| fault(&e))?;
                return Ok("fetched");
            }
            remove(&part).map_err(|e| fault(&e))?;
            self.meter.bar.suspend(|| eprintln!("unflatten: {} arrived damaged; fetching it again", file.path));
        }
        Err(Failure::Failed(format!(
            "{} of {} arrived damaged twice: it is not the {} bytes with checksum {} that were promised; try again \
             later, or another HF_ENDPOINT",
            file.path,
            file.commit.repository,
            file.bytes,
            file.checksum.text()
        )))
    }

    /// Fetches the file into `part`, going on where it ends, through interruptions.
    fn fetch(&self, file: &Wanted, start: u64, part: &Path) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            let before = length(part);
            let Err(error) = self.receive(file, start, part) else { return Ok(()) };
            tries = if length(part) > before { 1 } else { tries + 1 };
            if tries >= TRIES || !may_pass(&error) {
                return Err(self.explain(file, part, &error));
            }
            let pause = Duration::from_millis(250 << tries);
            tracing::debug!(file = file.path, %error, ?pause, "a transfer was interrupted");
            sleep(pause);
        }
    }

    /// One request, written behind what `part` holds.
    fn receive(&self, file: &Wanted, start: u64, part: &Path) -> Result<(), Interrupted> {
        let mut done = length(part);
        let answer = self.hub.open(&file.commit, &file.path, done).map_err(Interrupted::Request)?;
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            // The server does not know ranges: it begins anew, and so do we.
            done = 0;
        }
        if let Some(folder) = part.parent() {
            fs::create_dir_all(folder).map_err(Interrupted::Writing)?;
        }
        let mut out = OpenOptions::new().create(true).append(true).open(part).map_err(Interrupted::Writing)?;
        out.set_len(done).map_err(Interrupted::Writing)?;
        // One byte more than there should be is enough to see that it is another file.
        let mut body = answer.into_body().into_reader().take((file.bytes - done).saturating_add(1));
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = body.read(&mut buffer).map_err(Interrupted::Reading)?;
            if count == 0 {
                break;
            }
            out.write_all(&buffer[..count]).map_err(Interrupted::Writing)?;
            done += count as u64;
            self.meter.bar.set_position(start + done);
            self.meter.touch();
        }
        out.sync_all().map_err(Interrupted::Writing)?;
        if done < file.bytes { Err(Interrupted::Short(file.bytes - done)) } else { Ok(()) }
    }

    fn explain(&self, file: &Wanted, part: &Path, error: &Interrupted) -> Failure {
        match error {
            Interrupted::Request(request) => {
                self.hub.explain(&format!("{}/{}", file.commit.repository, file.path), request)
            }
            Interrupted::Writing(error) => cannot_write(part, error),
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

/// Where what has arrived of a blob is kept.
pub fn part_path(blob: &Path) -> PathBuf {
    blob.with_extension("part")
}

/// Whether an error may be gone at the next try.
fn may_pass(error: &Interrupted) -> bool {
    match error {
        Interrupted::Request(ureq::Error::StatusCode(code)) => *code == 429 || *code >= 500,
        Interrupted::Request(_) | Interrupted::Reading(_) | Interrupted::Short(_) => true,
        // A full disk does not empty itself.
        Interrupted::Writing(_) => false,
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
        "{} cannot be written: {error}; check its rights and the free space, or set MODEL_CACHE_DIR to another folder",
        path.display()
    ))
}

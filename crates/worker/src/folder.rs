//! Decomposes pictures into folders without a queue, for the command line.

use std::fs;
use std::io::{self, BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::{Choice, EngineChoice, Failure, MAX_SEED, Message, Params, Stop};
use jobs::{InputInfo, Metadata, Progress};
use layers::{DecodeError, Limits};
use service::hex;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::Config;
use crate::equipment::Equipment;
use crate::run::{Reporter, RunError, RunJob, Runner, WriteError, failure_of};
use crate::staging::Staging;
use crate::write::{self, ResultJob, is_layer_name, is_picture_name};

/// How long an engine may take to clean up after a picture.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(30);

/// A picture to decompose and a folder for its layers.
#[derive(Debug, Clone)]
pub struct FolderJob {
    /// The picture.
    pub image: PathBuf,
    /// The folder for the result, created if missing. Layers of an earlier result in it are replaced.
    pub out: PathBuf,
    /// Parameters of the job.
    pub params: Params,
    /// Limits of decoding.
    pub limits: Limits,
}

/// Why a picture was not decomposed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The picture cannot be read. The caller adds its path.
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The picture cannot be decoded.
    #[error("{}", crate::advice::decode(.0))]
    Decode(#[from] DecodeError),
    /// The output folder cannot be written.
    #[error("{path} cannot be written: {source}; choose another folder with -o", path = path.display())]
    Write { path: PathBuf, source: io::Error },
    /// The output folder holds layer files of something else.
    #[error(
        "{path} holds layer files that are not from Unflatten; choose another folder with -o, or empty this one",
        path = path.display()
    )]
    Occupied { path: PathBuf },
    /// The engine failed, or a limit ended the run.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// `stop` was raised by the caller.
    #[error("cancelled")]
    Cancelled,
}

/// A finished picture.
#[derive(Debug, Clone)]
pub struct FolderResult {
    /// What was written to `metadata.json`.
    pub metadata: Metadata,
    /// Whether layers of an earlier result were replaced.
    pub replaced: bool,
}

/// An event of a running decomposition.
#[derive(Debug, Clone, Copy)]
pub enum Update<'a> {
    /// Progress and remaining time.
    Progress(&'a Progress),
    /// Information other than progress.
    Note(&'a Message),
}

/// Engines for the command line: started once, used for every picture.
pub struct FolderRunner(Runner);

impl FolderRunner {
    /// Starts the engine thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(config: &Config, equipment: &Equipment) -> io::Result<Self> {
        Runner::start(equipment, equipment.engines.available(), config).map(Self)
    }

    /// Chooses the engine for `wanted`, with the reason.
    ///
    /// # Errors
    /// When this machine does not have it.
    pub fn choose(&self, wanted: EngineChoice) -> Result<Choice, Failure> {
        self.0.choose(wanted)
    }

    /// Decomposes a picture. Everything is written into a hidden folder first, so a run that fails or is cancelled leaves
    /// the output folder as it was. A killed run leaves the hidden folder, which the next run into the same place removes.
    ///
    /// # Errors
    /// See [`FolderError`]; raising `stop` gives [`FolderError::Cancelled`].
    pub async fn decompose(
        &self,
        job: FolderJob,
        stop: &Stop,
        on_update: &(dyn Fn(Update) + Sync),
    ) -> Result<FolderResult, FolderError> {
        let created = missing_folders(&job.out);
        // A stop of its own: a stall ends this picture, not the following ones.
        let result = self.make(job, &stop.child(), on_update).await;
        // A stuck engine does not clean up either.
        let _ = timeout(CLEANUP_TIMEOUT, self.0.job_ended()).await;
        if result.is_err() {
            // `remove_dir` keeps folders that are not empty.
            let _ = created.iter().try_for_each(fs::remove_dir);
        }
        result
    }

    async fn make(
        &self,
        job: FolderJob,
        stop: &Stop,
        on_update: &(dyn Fn(Update) + Sync),
    ) -> Result<FolderResult, FolderError> {
        let choice = self.choose(job.params.engine).map_err(FolderError::Failed)?;
        let (old, staging) = prepare(&job.out)?;
        let FolderJob { image, out, mut params, limits } = job;
        let (picture, input_info) = join(spawn_blocking(move || read(&image, &limits)).await)??;
        // Drawn here, as the API does, so that the seed in the metadata reproduces the result.
        params.seed.get_or_insert_with(|| rand::random_range(0..=MAX_SEED));
        let input = Arc::new(picture);
        let run_job =
            RunJob { job_id: None, input: Arc::clone(&input), params: params.clone(), of: None, describe: false };
        let reporter = Callback(on_update);
        let mut run = self.0.begin(stop, &reporter);
        let made = run.compute(&run_job, choice).await.map_err(|error| folder_error(error, stop))?;
        let result = ResultJob { job_id: None, input_info, params };
        let (dir, target) = (staging.path().to_owned(), out.clone());
        let finish = move |metadata| {
            replace(&target, &old, staging.path(), &metadata)?;
            Ok(FolderResult { metadata, replaced: !old.is_empty() })
        };
        run.write(dir, result, input, made, finish).await.map_err(|error| match error {
            WriteError::Run(error) => folder_error(error, stop),
            WriteError::Stuck => FolderError::Cancelled,
            WriteError::Io(source) => FolderError::Write { path: out, source },
        })
    }
}

fn folder_error(error: RunError, stop: &Stop) -> FolderError {
    match error {
        RunError::Failed(failure) => FolderError::Failed(failure),
        RunError::Environment(fault) => FolderError::Failed(fault.failure(1)),
        RunError::Stopped | RunError::Stuck => {
            stop.reason().and_then(failure_of).map_or(FolderError::Cancelled, FolderError::Failed)
        }
    }
}

struct Callback<'a>(&'a (dyn Fn(Update) + Sync));

impl Reporter for Callback<'_> {
    async fn progress(&self, progress: Progress) {
        (self.0)(Update::Progress(&progress));
    }

    async fn note(&self, note: Message) {
        (self.0)(Update::Note(&note));
    }

    async fn engine_changed(&self, choice: &Choice) {
        (self.0)(Update::Note(&choice.reason));
    }
}

/// Resumes the panic of a blocking task: it is a bug, and must not look like a cancel.
fn join<T>(joined: Result<T, tokio::task::JoinError>) -> Result<T, FolderError> {
    joined.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => FolderError::Cancelled,
    })
}

fn read(path: &Path, limits: &Limits) -> Result<(image::RgbaImage, InputInfo), FolderError> {
    let bytes = fs::read(path).map_err(FolderError::Read)?;
    let sha256 = hex(&Sha256::digest(&bytes));
    let picture = layers::decode(BufReader::new(Cursor::new(bytes)), limits)?;
    let filename = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let info = InputInfo::of(&picture, filename, sha256);
    Ok((picture.pixels, info))
}

/// The folders that have to be created for `folder`, innermost first.
fn missing_folders(folder: &Path) -> Vec<PathBuf> {
    let around = folder.ancestors().filter(|one| !one.as_os_str().is_empty());
    around.take_while(|one| !one.exists()).map(Path::to_owned).collect()
}

/// Creates the folder and a staging folder inside it; returns the files of an earlier result.
fn prepare(out: &Path) -> Result<(Vec<String>, Staging), FolderError> {
    let write_error = |source| FolderError::Write { path: out.to_owned(), source };
    fs::create_dir_all(out).map_err(write_error)?;
    let old = earlier_result(out).map_err(write_error)?;
    let unlisted = fs::read_dir(out).map_err(write_error)?.filter_map(Result::ok).any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        is_layer_name(&name) && !old.contains(&name)
    });
    if unlisted {
        return Err(FolderError::Occupied { path: out.to_owned() });
    }
    let staging = Staging::inside(out).map_err(write_error)?;
    Ok((old, staging))
}

/// The files that `metadata.json` lists, without itself; empty when there is no result.
fn earlier_result(out: &Path) -> io::Result<Vec<String>> {
    let text = match fs::read(out.join("metadata.json")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // A metadata.json of another program lists no file of ours.
    let Ok(metadata) = serde_json::from_slice::<Metadata>(&text) else { return Ok(Vec::new()) };
    // The file may have been edited: only names that Unflatten writes are ever removed.
    let others: Vec<_> = metadata.other_files().map(str::to_owned).collect();
    let files = metadata.layers.into_iter().map(|layer| layer.file).chain(others);
    Ok(files.filter(|name| is_picture_name(name)).collect())
}

/// Removes the old layers and moves the new ones in. `metadata.json` is removed first and moved last, so that it never
/// lists a missing file.
fn replace(out: &Path, old: &[String], staging: &Path, metadata: &Metadata) -> io::Result<()> {
    for name in ["metadata.json"].into_iter().chain(old.iter().map(String::as_str)) {
        match fs::remove_file(out.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for name in write::names(metadata) {
        fs::rename(staging.join(name), out.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_layer_files_are_never_mixed_with_ours() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(prepare(dir.path()).is_ok(), "an empty folder can be used");
        fs::write(dir.path().join("notes.txt"), "mine").expect("written");
        assert!(prepare(dir.path()).is_ok(), "other files do not matter");
        fs::write(dir.path().join("layer_7.png"), "foreign").expect("written");
        assert!(matches!(prepare(dir.path()), Err(FolderError::Occupied { .. })));
        assert_eq!(fs::read(dir.path().join("layer_7.png")).expect("still there"), b"foreign");
    }
}

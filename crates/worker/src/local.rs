//! One picture at a time without a queue, for the command line.

use std::fs;
use std::io::{self, BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobs::{EngineChoice, Failure, FailureCode, InputInfo, MAX_SEED, Metadata, Params, Progress};
use layers::{DecodeError, Limits};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::analysis::{Analyzer, AnalyzerChoice};
use crate::config::Config;
use crate::engines::{EngineSet, Installed, after_failure, choose, device_of};
use crate::follow::{Reports, follow, run_engine, saving};
use crate::host::{Host, HostError, Made, Work};
use crate::progress::Meter;
use crate::result::{self, ResultJob};
use crate::staging::Staging;
use crate::stop::{Stop, StopReason};

/// How long an engine may take to tidy up after a picture.
const TIDYING: Duration = Duration::from_secs(30);

/// A picture to decompose and a folder for its layers.
#[derive(Debug, Clone)]
pub struct LocalJob {
    pub image: PathBuf,
    /// Made where missing. Layers of an earlier result in it are replaced.
    pub out: PathBuf,
    pub params: Params,
    pub limits: Limits,
}

/// Why a picture was not decomposed.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    // Who asked names the picture that an error is of.
    #[error("cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{}", crate::advice::decode(source))]
    Decode { path: PathBuf, source: DecodeError },
    #[error("{path} cannot be written: {source}; choose another folder with -o", path = path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "{path} holds layer files that no result of Unflatten lists; choose another folder with -o, or empty this one",
        path = path.display()
    )]
    Occupied { path: PathBuf },
    #[error("{}", .0.message)]
    Failed(Failure),
    #[error("cancelled")]
    Cancelled,
}

/// A finished picture.
#[derive(Debug, Clone)]
pub struct LocalDone {
    pub metadata: Metadata,
    /// Whether layers of an earlier result were replaced.
    pub replaced: bool,
}

/// What is told of a picture on its way.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    Progress(&'a Progress),
    /// Something worth knowing that is no progress.
    Note(&'a str),
}

/// Engines for the command line: made once, used for every picture.
pub struct Local {
    config: Config,
    engines: Arc<dyn EngineSet>,
    host: Host,
    analyzer: Analyzer,
}

impl Local {
    /// # Errors
    /// When the engine thread cannot be started.
    pub fn new(config: &Config) -> io::Result<Self> {
        let engines: Arc<dyn EngineSet> = Arc::new(Installed::new(config));
        let host = Host::start(Arc::clone(&engines))?;
        Ok(Self { config: config.clone(), engines, host, analyzer: Analyzer::new(config) })
    }

    /// The engine that `asked` means here, and why.
    ///
    /// # Errors
    /// When this machine does not have it.
    pub fn choose(&self, asked: EngineChoice) -> Result<crate::engines::Choice, Failure> {
        choose(asked, &self.engines.available())
    }

    /// Decomposes a picture. Everything is written into a hidden folder first,
    /// so a run that fails or is cancelled leaves what was there before, and no empty folder; of one
    /// that is killed only the hidden folder stays, until the next run into the same place.
    ///
    /// # Errors
    /// See [`LocalError`]; raising `stop` gives [`LocalError::Cancelled`].
    pub async fn decompose(
        &self,
        job: LocalJob,
        stop: &Stop,
        report: &(dyn Fn(Told) + Sync),
    ) -> Result<LocalDone, LocalError> {
        let made = missing(&job.out);
        let done = self.make(job, stop, report).await;
        // There is no other attempt. An engine that does not react any more would not tidy up either.
        let _ = timeout(TIDYING, self.host.settle(None)).await;
        if done.is_err() {
            // They go only while they are empty; one that holds something is left to whoever put it there.
            let _ = made.iter().try_for_each(fs::remove_dir);
        }
        done
    }

    async fn make(&self, job: LocalJob, stop: &Stop, report: &(dyn Fn(Told) + Sync)) -> Result<LocalDone, LocalError> {
        let mut choice = self.choose(job.params.engine).map_err(LocalError::Failed)?;
        let (old, staging) = prepare(&job.out)?;
        let image = job.image.clone();
        let limits = job.limits;
        let read = join(spawn_blocking(move || read(&image, &limits)).await)?;
        let (picture, input_info) = read?;
        let input = Arc::new(picture);
        let mut params = job.params.clone();
        // As the API draws it: whoever asks that for the same result again can.
        params.seed.get_or_insert_with(|| rand::random_range(0..=MAX_SEED));
        let mut meter = Meter::new(Instant::now());
        let reports = Callback(report);
        let made = loop {
            let work = Work {
                job_id: None,
                engine: choice.engine,
                input: Arc::clone(&input),
                params: params.clone(),
                describe: self.config.analyzer.choice == AnalyzerChoice::Local,
                memory_limit: self.config.job_memory_limit,
                // Of its own: an engine that gets nowhere ends this picture, not those after it.
                stop: Stop::default(),
                resumed: false,
            };
            match self.run(work, stop, &mut meter, &reports).await {
                Ok(made) => break made,
                Err(HostError::Stopped) => return Err(LocalError::Cancelled),
                Err(HostError::Environment(fault)) => return Err(LocalError::Failed(fault.failure(1))),
                Err(HostError::Failed(failure)) => {
                    let next = after_failure(job.params.engine, choice.engine, &failure);
                    choice = next.ok_or(LocalError::Failed(failure))?;
                }
            }
        };
        let made = self.analyzer.look(made, &input, stop).await;
        let result = ResultJob { job_id: None, input_info, params, reason: choice.reason };
        let (sender, mut steps) = mpsc::unbounded_channel();
        let (save_stop, out) = (stop.clone(), job.out.clone());
        let writing = spawn_blocking(move || {
            let metadata = result::write(staging.path(), result, &input, made, &mut saving(&save_stop, &sender))?;
            replace(&out, &old, staging.path(), &metadata)?;
            Ok(LocalDone { metadata, replaced: !old.is_empty() })
        });
        let written = follow(&mut steps, writing, &mut meter, |step| step, &reports).await;
        join(written)?.map_err(|source| {
            if stop.reason().is_some() {
                return LocalError::Cancelled;
            }
            LocalError::Write { path: job.out, source }
        })
    }

    /// Has the engine do `work` until it is done, `stop` is raised, or it gets nowhere.
    async fn run(&self, work: Work, stop: &Stop, meter: &mut Meter, reports: &Callback<'_>) -> Result<Made, HostError> {
        let own = work.stop.clone();
        let device = device_of(work.engine, &self.engines.available());
        let running = run_engine(&self.host, work, &device, self.config.stall_timeout, meter, reports);
        let passed_on = async {
            stop.raised().await;
            own.raise(stop.reason().cloned().unwrap_or(StopReason::Cancelled));
            std::future::pending().await
        };
        let made = tokio::select! {
            made = running => made,
            never = passed_on => never,
            // An engine that does not react any more ends with the process.
            () = self.stalled(&own) => Err(HostError::Stopped),
        };
        match (made, own.reason()) {
            (Err(HostError::Stopped), Some(StopReason::Stalled { message })) => {
                Err(HostError::Failed(Failure { code: FailureCode::TimedOut, message: message.clone() }))
            }
            (made, _) => made,
        }
    }

    /// Waits until the engine was told to stop because it got nowhere, and did not. Other reasons it answers itself.
    async fn stalled(&self, own: &Stop) {
        own.raised().await;
        if !matches!(own.reason(), Some(StopReason::Stalled { .. })) {
            std::future::pending::<()>().await;
        }
        sleep(self.config.engine_stop_grace).await;
    }
}

struct Callback<'a>(&'a (dyn Fn(Told) + Sync));

impl Reports for Callback<'_> {
    async fn report(&self, progress: Progress) {
        (self.0)(Told::Progress(&progress));
    }

    async fn note(&self, message: String) {
        (self.0)(Told::Note(&message));
    }
}

/// A blocking task that panicked is a bug; let it be seen as one.
fn join<T>(joined: Result<T, tokio::task::JoinError>) -> Result<T, LocalError> {
    joined.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => LocalError::Cancelled,
    })
}

fn read(path: &Path, limits: &Limits) -> Result<(image::RgbaImage, InputInfo), LocalError> {
    let bytes = fs::read(path).map_err(|source| LocalError::Read { path: path.to_owned(), source })?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let decoded = layers::decode(BufReader::new(Cursor::new(bytes)), limits);
    let picture = decoded.map_err(|source| LocalError::Decode { path: path.to_owned(), source })?;
    let info = InputInfo {
        filename: path.file_name().map(|name| name.to_string_lossy().into_owned()),
        format: picture.format.to_owned(),
        width: picture.pixels.width(),
        height: picture.pixels.height(),
        has_alpha: picture.has_alpha,
        sha256,
        parent: None,
    };
    Ok((picture.pixels, info))
}

/// What has to be made for a folder to be there: itself, then those around it.
fn missing(folder: &Path) -> Vec<PathBuf> {
    let around = folder.ancestors().filter(|one| !one.as_os_str().is_empty());
    around.take_while(|one| !one.exists()).map(Path::to_owned).collect()
}

/// Makes the folder and a hidden one inside it; answers with the files of an earlier result.
fn prepare(out: &Path) -> Result<(Vec<String>, Staging), LocalError> {
    let write_error = |source| LocalError::Write { path: out.to_owned(), source };
    fs::create_dir_all(out).map_err(write_error)?;
    let old = earlier_result(out).map_err(write_error)?;
    let unlisted = fs::read_dir(out).map_err(write_error)?.filter_map(Result::ok).any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        is_layer_name(&name) && !old.contains(&name)
    });
    if unlisted {
        return Err(LocalError::Occupied { path: out.to_owned() });
    }
    let staging = Staging::inside(out).map_err(write_error)?;
    Ok((old, staging))
}

fn is_layer_name(name: &str) -> bool {
    let number = name.strip_prefix("model_").unwrap_or(name);
    let number = number.strip_prefix("layer_").and_then(|rest| rest.strip_suffix(".png"));
    number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Files of the result that `metadata.json` describes, without it; none when there is no result.
fn earlier_result(out: &Path) -> io::Result<Vec<String>> {
    let text = match fs::read(out.join("metadata.json")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // A metadata.json of something else lists nothing of ours.
    let Ok(metadata) = serde_json::from_slice::<Metadata>(&text) else { return Ok(Vec::new()) };
    // Names come from a file that anyone may have edited: only ours are ever removed.
    let others: Vec<_> = metadata.other_files().map(str::to_owned).collect();
    let files = metadata.layers.into_iter().map(|layer| layer.file).chain(others);
    Ok(files.filter(|name| is_layer_name(name) || name == result::RENDERING).collect())
}

/// Removes the old layers and moves the new ones in; `metadata.json` goes first
/// and comes last, so that it never describes files that are not there.
fn replace(out: &Path, old: &[String], staging: &Path, metadata: &Metadata) -> io::Result<()> {
    for name in ["metadata.json"].into_iter().chain(old.iter().map(String::as_str)) {
        match fs::remove_file(out.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let files = metadata.layers.iter().map(|layer| layer.file.as_str()).chain(metadata.other_files());
    for name in files.chain(["preview.jpg", "metadata.json"]) {
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
        assert!(matches!(prepare(dir.path()), Err(LocalError::Occupied { .. })));
        assert_eq!(fs::read(dir.path().join("layer_7.png")).expect("still there"), b"foreign");
    }

    #[test]
    fn only_layer_names_are_ever_removed() {
        for name in ["layer_0.png", "layer_12.png"] {
            assert!(is_layer_name(name), "{name}");
        }
        for name in ["layer_.png", "layer_x.png", "../layer_0.png", "layer_0.png/..", "metadata.json", ""] {
            assert!(!is_layer_name(name), "{name}");
        }
    }
}

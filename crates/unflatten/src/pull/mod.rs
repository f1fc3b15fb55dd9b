//! `unflatten pull`: fetches the weights of Qwen-Image-Layered, or of the segmenter, into a cache with Hugging Face's layout.
//!
//! The plan lists the files of one commit with sizes and checksums; each is fetched, resumed or kept, and verified.
//! `refs/main` is moved last, so that an interrupted pull of a newer commit leaves the older one usable.

mod hub;
mod lora;
mod plan;
mod transfer;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use service::{ByteSize, Failure, Settings};
use tokio::task::spawn_blocking;
use worker::free_disk_bytes;
use worker::model::{HF_ENDPOINT, HF_TOKEN, ModelConfig};

use crate::arguments::{PullArguments, PullTarget};

use hub::Hub;
use plan::Plan;
use transfer::{Meter, STALL_TIMEOUT, Transfer};

/// Exit code after Ctrl-C: 128 + SIGINT, the convention of shells.
const INTERRUPTED: u8 = 130;

/// Free space to leave on the disk.
const SPARE_BYTES: u64 = 256 << 20;

/// Runs the command.
///
/// # Errors
/// When a setting is not valid, the disk is too small, or a file cannot be fetched.
pub(crate) async fn pull(arguments: &PullArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let model = ModelConfig::from_settings(settings)?;
    let endpoint: String = settings.require(&HF_ENDPOINT)?;
    let token = settings.text(&HF_TOKEN);
    if let Some(wanted) = &arguments.lora {
        let hub = Hub::new(&endpoint, token, &absolute(&model.lora_dir, "LORA_DIR")?)?;
        return lora::pull(wanted, hub, &endpoint).await;
    }
    let target = arguments.target;
    if target == PullTarget::Model && Path::new(&model.name).is_dir() {
        return Err(Failure::BadUse(format!(
            "MODEL_NAME={} is a local folder; to pull a repository, set it to owner/name",
            model.name
        )));
    }
    let hub = Hub::new(&endpoint, token, &absolute(&model.cache_dir, "MODEL_CACHE_DIR")?)?;
    let variant = arguments.variant;
    match target {
        PullTarget::Model => println!("{} ({variant}) from {endpoint}", model.name),
        PullTarget::Segment => println!("MobileSAM from {endpoint}"),
    }

    run(hub, move |hub| match target {
        PullTarget::Model => Plan::make(hub, &model.name, variant),
        PullTarget::Segment => Plan::segmenter(hub),
    })
    .await
}

/// Makes a plan and fetches its files.
async fn run(hub: Hub, make: impl FnOnce(&Hub) -> Result<Plan, Failure> + Send + 'static) -> Result<ExitCode, Failure> {
    let work = async {
        let planned = hub.clone();
        let plan = blocking(move || make(&planned)).await?;
        let missing = plan.missing_bytes(&hub);
        println!(
            "{} files, {}; {} to fetch into {}",
            plan.files.len(),
            ByteSize(plan.bytes()),
            ByteSize(missing),
            hub.dir().display()
        );
        check_space(hub.dir(), missing)?;
        fetch(hub, plan).await
    };
    tokio::select! {
        result = work => result.map(|()| ExitCode::SUCCESS),
        _ = tokio::signal::ctrl_c() => {
            eprintln!("unflatten: interrupted; run the same command again to resume");
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

fn absolute(dir: &Path, setting: &str) -> Result<PathBuf, Failure> {
    let made = std::fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
    made.map_err(|error| {
        Failure::Failed(format!("{} cannot be created: {error}; set {setting} to another folder", dir.display()))
    })
}

fn check_space(dir: &Path, missing: u64) -> Result<(), Failure> {
    match free_disk_bytes(dir) {
        Some(free) if free < missing.saturating_add(SPARE_BYTES) => Err(Failure::Failed(format!(
            "{} has {} free, but {} are needed; set MODEL_CACHE_DIR or LORA_DIR to a larger disk, or pull a smaller --variant",
            dir.display(),
            ByteSize(free),
            ByteSize(missing + SPARE_BYTES)
        ))),
        _ => Ok(()),
    }
}

/// Runs the transfer and watches it for stalls.
async fn fetch(hub: Hub, plan: Plan) -> Result<(), Failure> {
    let meter = Arc::new(Meter::new(plan.bytes()));
    let watched = Arc::clone(&meter);
    let running = blocking(move || Transfer { hub: &hub, meter: &meter }.run(&plan));
    tokio::pin!(running);
    loop {
        tokio::select! {
            result = &mut running => return result,
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                if watched.idle() > STALL_TIMEOUT {
                    return Err(Failure::Failed(format!(
                        "no data arrived for {} s; check the network, then run the same command again: it resumes where it \
                         stopped",
                        STALL_TIMEOUT.as_secs()
                    )));
                }
            }
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Failure::Failed("the transfer panicked; please report this bug".to_owned())))
}

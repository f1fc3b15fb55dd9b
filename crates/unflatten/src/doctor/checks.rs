use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jobs::broker::{Backend, BrokerConfig, connect};
use jobs::store::{Place, StoreConfig};
use service::{ByteSize, SettingError, Settings, error_chain};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;
use unflatten::equip;
use worker::model::{ModelConfig, survey};
use worker::{free_bytes, free_disk_bytes, total_bytes};

use super::Finding;

/// What one 1328x1328 poster needs with the draft engine, with room to spare.
const MIN_MEMORY: u64 = 1 << 30;
/// Uploads and results of a few dozen posters.
const MIN_DISK: u64 = 1 << 30;

/// How long something that should answer at once is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

pub async fn all(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![processor(), memory()];
    findings.extend(storage(settings).await);
    findings.push(queue(settings).await);
    findings.push(port(settings).await);
    findings.push(gpu().await);
    findings.push(weights(settings));
    findings.extend(plans(settings));
    findings.extend(engines(settings));
    findings
}

fn bad_setting(subject: &'static str, error: &SettingError) -> Finding {
    Finding::bad(subject, error.to_string(), format!("correct {} in the environment or in .env", error.name))
}

fn processor() -> Finding {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut features: Vec<&str> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    for (name, present) in [
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("AVX-512", std::arch::is_x86_feature_detected!("avx512f")),
        ("AVX-512 BF16", std::arch::is_x86_feature_detected!("avx512bf16")),
    ] {
        if present {
            features.push(name);
        }
    }
    let features = if features.is_empty() { String::new() } else { format!(" with {}", features.join(", ")) };
    Finding::good("CPU", format!("{threads} threads, {}{features}", std::env::consts::ARCH))
}

fn memory() -> Finding {
    let (Some(free), Some(total)) = (free_bytes(), total_bytes()) else {
        return Finding::optional("memory", "this system does not tell", "look at it yourself");
    };
    let text = format!("{} free of {}", ByteSize(free), ByteSize(total));
    if free < MIN_MEMORY {
        let fix = format!("close other programs: a poster needs about {}", ByteSize(MIN_MEMORY));
        return Finding::bad("memory", text, fix);
    }
    Finding::good("memory", text)
}

async fn storage(settings: &Settings) -> Vec<Finding> {
    let config = match StoreConfig::from_settings(settings) {
        Ok(config) => config,
        Err(error) => return vec![bad_setting("storage", &error)],
    };
    let place = &config.place;
    let writable = match config.open().await {
        Ok(_) => Finding::good("storage", format!("{place} can be written")),
        Err(error) => {
            let fix = match place {
                Place::Folders { uploads, results } => {
                    format!("mkdir -p {} {} && chown $USER them", uploads.display(), results.display())
                }
                Place::Objects { .. } => "check STORAGE_URL and the provider's credentials".to_owned(),
            };
            Finding::bad("storage", format!("{place}: {}", error_chain(&error)), fix)
        }
    };
    match place {
        Place::Folders { results, .. } => vec![writable, disk(results)],
        Place::Objects { .. } => vec![writable],
    }
}

fn disk(results: &Path) -> Finding {
    let path = std::path::absolute(results).unwrap_or_else(|_| results.to_owned());
    match free_disk_bytes(&path) {
        Some(free) if free < MIN_DISK => {
            let fix = "make room, lower CLEANUP_AFTER_HOURS, or set RESULTS_DIR and UPLOAD_DIR to another disk";
            Finding::bad("disk", format!("{} free for results", ByteSize(free)), fix)
        }
        Some(free) => Finding::good("disk", format!("{} free for results", ByteSize(free))),
        None => Finding::optional("disk", "the free space cannot be told", "look at it yourself: df -h"),
    }
}

async fn queue(settings: &Settings) -> Finding {
    let config = match BrokerConfig::from_settings(settings) {
        Ok(config) => config,
        Err(error) => return bad_setting("queue", &error),
    };
    let address = match &config.backend {
        // Not opened: a service that runs may hold it.
        Backend::Embedded(file) => {
            return Finding::good("queue", format!("embedded, in {}; no server is needed", file.display()));
        }
        Backend::Redis(address) => address.to_string(),
    };
    let fix = "start it (apt-get install redis-server && redis-server), or unset REDIS_URL and REDIS_HOST";
    match timeout(PATIENCE, connect(&config)).await {
        Ok(Ok(_)) => Finding::good("queue", format!("{address} answers")),
        Ok(Err(error)) => Finding::bad("queue", format!("{address}: {}", error_chain(&error)), fix),
        Err(_) => Finding::bad("queue", format!("{address} does not answer within {} s", PATIENCE.as_secs()), fix),
    }
}

async fn port(settings: &Settings) -> Finding {
    let config = match api::Config::from_settings(settings) {
        Ok(config) => config,
        Err(error) => return bad_setting("port", &error),
    };
    let address = SocketAddr::new(config.host, config.port);
    match TcpListener::bind(address).await {
        Ok(_) => Finding::good("port", format!("{address} is free")),
        Err(error) => {
            let fix = "if that is not Unflatten itself, use another: unflatten serve --port 8001";
            Finding::optional("port", format!("{address}: {error}"), fix)
        }
    }
}

async fn gpu() -> Finding {
    let mut query = Command::new("nvidia-smi");
    query.args(["--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader"]);
    query.kill_on_drop(true);
    let answer = timeout(PATIENCE, query.output()).await;
    if let Ok(Ok(output)) = &answer
        && output.status.success()
        && !output.stdout.is_empty()
    {
        let text = String::from_utf8_lossy(&output.stdout);
        let cards: Vec<_> = text.lines().map(str::trim).collect();
        return Finding::good("GPU", cards.join("; "));
    }
    // The kernel's side of the driver shows even where its tools are not installed.
    if Path::new("/proc/driver/nvidia/version").exists() {
        return Finding::optional(
            "GPU",
            "an NVIDIA driver is loaded, but nvidia-smi does not work",
            "install the driver's tools, or give the container the `utility` capability",
        );
    }
    let fix =
        "needed for --engine qwen on a GPU only: install NVIDIA's driver, 580 or newer; docs/gpu.md says what else";
    Finding::optional("GPU", "no NVIDIA GPU with a driver; the draft engine needs none", fix)
}

fn weights(settings: &Settings) -> Finding {
    let model = match ModelConfig::from_settings(settings) {
        Ok(model) => model,
        Err(error) => return bad_setting("weights", &error),
    };
    match model.locate() {
        Ok(located) => {
            let variant = located.variant.map(|variant| format!(" ({variant})")).unwrap_or_default();
            let (size, folder) = (ByteSize(located.bytes()), located.files.folder);
            Finding::good("weights", format!("{}{variant}, {size}, in {}", model.name, folder.display()))
        }
        Err(absent) => {
            Finding::optional("weights", format!("{}; needed for --engine qwen only", absent.why), absent.fix)
        }
    }
}

/// What the qwen engine would run with, where there are weights.
fn plans(settings: &Settings) -> Vec<Finding> {
    // Settings that cannot be read are named by other checks.
    let Ok(config) = worker::Config::from_settings(settings) else { return Vec::new() };
    if config.model.locate().is_err() {
        return Vec::new();
    }
    match survey(&config.model, config.limits.memory) {
        Ok(lines) => lines.into_iter().map(|line| Finding::good("plan", line)).collect(),
        Err(why) => vec![Finding::optional("plan", why, "the draft engine needs none of it")],
    }
}

fn engines(settings: &Settings) -> Vec<Finding> {
    let config = match worker::Config::from_settings(settings) {
        Ok(config) => config,
        Err(error) => return vec![bad_setting("engine", &error)],
    };
    let entries = match equip(settings, &config) {
        Ok(equipment) => equipment.engines.available(),
        Err(error) => return vec![bad_setting("engine", &error)],
    };
    let none = entries.iter().all(|entry| entry.state.is_err());
    let findings = entries.into_iter().map(|entry| match entry.state {
        Ok(offer) => Finding::good("engine", format!("{} on {}", entry.name, offer.device)),
        Err(missing) => {
            let text = format!("{}: {}", entry.name, missing.why);
            if none {
                Finding::bad("engine", text, missing.fix)
            } else {
                Finding::optional("engine", text, missing.fix)
            }
        }
    });
    findings.collect()
}

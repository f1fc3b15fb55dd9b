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
use worker::model::{ModelConfig, describe_plans};
use worker::{free_bytes, free_disk_bytes, total_bytes};

use super::Finding;

/// Enough for a 1328x1328 poster with the draft engine.
const MIN_MEMORY_BYTES: u64 = 1 << 30;
/// Enough for uploads and results of a few dozen posters.
const MIN_DISK_BYTES: u64 = 1 << 30;

/// Timeout of Redis and nvidia-smi.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs all checks.
pub(super) async fn all(settings: &Settings) -> Vec<Finding> {
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
        return Finding::optional(
            "memory",
            "this system does not report its memory",
            format!("a poster needs about {}", ByteSize(MIN_MEMORY_BYTES)),
        );
    };
    let text = format!("{} free of {}", ByteSize(free), ByteSize(total));
    if free < MIN_MEMORY_BYTES {
        let fix = format!("close other programs: a poster needs about {}", ByteSize(MIN_MEMORY_BYTES));
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
        Some(free) if free < MIN_DISK_BYTES => {
            let fix = "free some space, lower CLEANUP_AFTER_HOURS, or set RESULTS_DIR and UPLOAD_DIR to another disk";
            Finding::bad("disk", format!("{} free for results", ByteSize(free)), fix)
        }
        Some(free) => Finding::good("disk", format!("{} free for results", ByteSize(free))),
        None => Finding::optional("disk", "the free space cannot be read", "check it with df -h"),
    }
}

async fn queue(settings: &Settings) -> Finding {
    let config = match BrokerConfig::from_settings(settings) {
        Ok(config) => config,
        Err(error) => return bad_setting("queue", &error),
    };
    let address = match &config.backend {
        // Not opened: a running service may have it locked.
        Backend::Embedded(file) => {
            return Finding::good("queue", format!("embedded, in {}; needs no server", file.display()));
        }
        Backend::Redis(address) => address.to_string(),
    };
    let fix = "start Redis (apt-get install redis-server && redis-server), or unset REDIS_URL and REDIS_HOST";
    match timeout(RESPONSE_TIMEOUT, connect(&config)).await {
        Ok(Ok(_)) => Finding::good("queue", format!("{address} answers")),
        Ok(Err(error)) => Finding::bad("queue", format!("{address}: {}", error_chain(&error)), fix),
        Err(_) => {
            Finding::bad("queue", format!("{address} did not answer within {} s", RESPONSE_TIMEOUT.as_secs()), fix)
        }
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
            let fix = "unless Unflatten itself uses it, choose another port: unflatten serve --port 8001";
            Finding::optional("port", format!("{address}: {error}"), fix)
        }
    }
}

async fn gpu() -> Finding {
    let mut query = Command::new("nvidia-smi");
    query.args(["--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader"]);
    query.kill_on_drop(true);
    let answer = timeout(RESPONSE_TIMEOUT, query.output()).await;
    if let Ok(Ok(output)) = &answer
        && output.status.success()
        && !output.stdout.is_empty()
    {
        let text = String::from_utf8_lossy(&output.stdout);
        let gpus: Vec<_> = text.lines().map(str::trim).collect();
        return Finding::good("GPU", gpus.join("; "));
    }
    // The kernel module is visible even where the driver's tools are not installed.
    if Path::new("/proc/driver/nvidia/version").exists() {
        return Finding::optional(
            "GPU",
            "an NVIDIA driver is loaded, but nvidia-smi does not work",
            "install the driver's tools, or give the container the `utility` capability",
        );
    }
    let fix = "for --engine qwen on a GPU, install NVIDIA's driver 580 or newer; see docs/gpu.md";
    Finding::optional("GPU", "no NVIDIA GPU with a driver; only --engine qwen needs one", fix)
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

/// The memory plans of the qwen engine, if there are weights.
fn plans(settings: &Settings) -> Vec<Finding> {
    // Other checks report settings that are not valid.
    let Ok(config) = worker::Config::from_settings(settings) else { return Vec::new() };
    if config.model.locate().is_err() {
        return Vec::new();
    }
    match describe_plans(&config.model, config.limits.memory) {
        Ok(lines) => lines.into_iter().map(|line| Finding::good("plan", line)).collect(),
        Err(why) => vec![Finding::optional("plan", why, "or use the draft engine, which needs none of it")],
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

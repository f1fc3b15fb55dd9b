use std::sync::Arc;
use std::time::Duration;

use engine::{EngineChoice, EngineName};
use jobs::Typefaces;
use service::{ByteSize, SettingError, Settings, Variable};

use crate::describe::{self, AnalyzerConfig};
use crate::model::{self, ModelConfig};

const ENGINES: Variable = Variable {
    name: "ENGINES",
    default: "",
    about: "Engines that a worker offers, such as qwen,draft; empty: all that it can run",
};
const JOB_TIMEOUT_S: Variable = Variable {
    name: "JOB_TIMEOUT_S",
    default: "3600",
    about: "Seconds that one job may run on the engine before it fails",
};
const STALL_TIMEOUT_S: Variable = Variable {
    name: "STALL_TIMEOUT_S",
    default: "600",
    about: "Seconds without any progress after which a job fails; the error says what its device was doing",
};
const JOB_MEMORY_LIMIT: Variable = Variable {
    name: "JOB_MEMORY_LIMIT",
    default: "",
    about: "Memory limit of one job, such as 8GiB; empty: what is free when it starts",
};
const SHUTDOWN_GRACE_S: Variable = Variable {
    name: "SHUTDOWN_GRACE_S",
    default: "20",
    about: "Seconds that a running job gets to finish when the worker shuts down, before it goes back to the queue",
};
const ENGINE_STOP_GRACE_S: Variable = Variable {
    name: "ENGINE_STOP_GRACE_S",
    default: "30",
    about: "Seconds that an engine gets to react to a stop before its thread is abandoned",
};

/// Every variable that the worker reads.
pub const VARIABLES: &[Variable] = &[
    ENGINES,
    JOB_TIMEOUT_S,
    STALL_TIMEOUT_S,
    JOB_MEMORY_LIMIT,
    SHUTDOWN_GRACE_S,
    ENGINE_STOP_GRACE_S,
    describe::ANALYZER,
    describe::ANALYZER_TIMEOUT_S,
    model::MODEL_NAME,
    model::MODEL_CACHE_DIR,
    model::MODEL_VARIANT,
    model::DEVICE,
    model::DTYPE,
    model::DEVICE_MEMORY_LIMIT,
    model::GUIDED_STEPS_PERCENT,
    model::STEP_CACHE_PERCENT,
    model::FP8_PRODUCTS,
    model::LORA_DIR,
    model::HF_ENDPOINT,
    model::HF_TOKEN,
];

/// Settings of a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `ENGINES`: the engines to offer; empty: all.
    pub engines: Vec<EngineName>,
    /// Limits of one run.
    pub limits: RunLimits,
    /// `FONTS_DIR`, the fonts that ship and the system's.
    pub typefaces: Arc<Typefaces>,
    /// `SHUTDOWN_GRACE_S`.
    pub shutdown_grace: Duration,
    /// Backoff after failures of the storage or the system.
    pub retry: Retry,
    /// Weights and device of the qwen engine.
    pub model: ModelConfig,
    /// How the layers are described.
    pub analyzer: AnalyzerConfig,
}

/// Limits of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunLimits {
    /// `JOB_TIMEOUT_S`.
    pub time: Duration,
    /// `STALL_TIMEOUT_S`.
    pub stall: Duration,
    /// `JOB_MEMORY_LIMIT` in bytes; `None`: what is free when the job starts.
    pub memory: Option<u64>,
    /// `ENGINE_STOP_GRACE_S`: how long an engine may take to react to a stop.
    pub stop_grace: Duration,
}

/// Backoff of jobs that met a fault, and of the storage checks of a paused worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The first pause; each following one is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// After this many faults while the storage passes its check, the job fails. At least 1.
    pub tries: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(60), tries: 8 }
    }
}

impl Config {
    /// Reads the settings of [`VARIABLES`].
    ///
    /// # Errors
    /// The first setting that is not valid.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let memory: Option<ByteSize> = settings.parse(&JOB_MEMORY_LIMIT)?;
        Ok(Self {
            engines: engines(settings)?,
            limits: RunLimits {
                time: seconds(settings, &JOB_TIMEOUT_S, 1)?,
                stall: seconds(settings, &STALL_TIMEOUT_S, 1)?,
                memory: memory.map(|limit| limit.0),
                stop_grace: seconds(settings, &ENGINE_STOP_GRACE_S, 1)?,
            },
            typefaces: Arc::new(Typefaces::from_settings(settings)),
            shutdown_grace: seconds(settings, &SHUTDOWN_GRACE_S, 0)?,
            retry: Retry::default(),
            model: ModelConfig::from_settings(settings)?,
            analyzer: AnalyzerConfig::from_settings(settings)?,
        })
    }

    /// The longest that a shutdown takes: the grace of the running job, the time that the engine has to stop, and a few
    /// seconds for the queue to record the outcome.
    pub fn shutdown_limit(&self) -> Duration {
        self.shutdown_grace.saturating_add(self.limits.stop_grace).saturating_add(Duration::from_secs(10))
    }
}

fn engines(settings: &Settings) -> Result<Vec<EngineName>, SettingError> {
    let Some(value) = settings.text(&ENGINES) else { return Ok(Vec::new()) };
    let mut engines = Vec::new();
    for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name.parse() {
            // "auto" in the list means every engine.
            Ok(EngineChoice::Auto) => return Ok(Vec::new()),
            Ok(EngineChoice::Named(engine)) => engines.push(engine),
            Err(err) => return Err(ENGINES.refuse(&value, format!("cannot be read: {err}"))),
        }
    }
    Ok(engines)
}

/// Reads whole seconds from `min` to one year.
fn seconds(settings: &Settings, variable: &Variable, min: u64) -> Result<Duration, SettingError> {
    const YEAR: u64 = 366 * 24 * 3600;
    settings.number(variable, min..=YEAR).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Config, SettingError> {
        Config::from_settings(&Settings::from_pairs([(name, value)]))
    }

    #[test]
    fn defaults_and_values_are_read() {
        let config = read("UNRELATED", "1").expect("defaults");
        assert_eq!(config.limits.time, Duration::from_secs(3600));
        assert_eq!(config.limits.memory, None);
        assert_eq!(read("JOB_MEMORY_LIMIT", "2GiB").expect("a size").limits.memory, Some(2 << 30));
        let engines = read("ENGINES", "draft, qwen").expect("a list").engines;
        assert_eq!(engines, [EngineName::Draft, EngineName::Qwen]);
        assert!(read("ENGINES", "auto").expect("all").engines.is_empty());
    }

    #[test]
    fn bad_values_name_their_variable() {
        for (name, value) in [
            ("JOB_TIMEOUT_S", "0"),
            ("JOB_TIMEOUT_S", "soon"),
            ("JOB_TIMEOUT_S", "18446744073709551615"),
            ("JOB_MEMORY_LIMIT", "lots"),
            ("ENGINES", "draft,magic"),
            ("GUIDED_STEPS_PERCENT", "101"),
            ("STEP_CACHE_PERCENT", "0.1"),
            ("FP8_PRODUCTS", "a bit"),
        ] {
            let error = read(name, value).expect_err(value);
            assert_eq!(error.name, name);
        }
    }
}

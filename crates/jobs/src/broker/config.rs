use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Broker, BrokerError, EmbeddedBroker, RedisAddress, RedisBroker, Rules};
use service::{SettingError, Settings, Variable};

pub(crate) const EMBEDDED_QUEUE_FILE: Variable = Variable {
    name: "EMBEDDED_QUEUE_FILE",
    default: "storage/queue.sqlite",
    about: "File of the embedded queue; used when neither REDIS_URL nor REDIS_HOST is set",
};
pub(crate) const REDIS_URL: Variable = Variable {
    name: "REDIS_URL",
    default: "",
    about: "Redis: redis://user:password@host:6379/0, redis+sentinel://host,host/master or redis+cluster://host,host; \
                rediss:// for TLS",
};
pub(crate) const REDIS_HOST: Variable =
    Variable { name: "REDIS_HOST", default: "", about: "Host name of Redis; an alternative to REDIS_URL" };
pub(crate) const REDIS_PORT: Variable =
    Variable { name: "REDIS_PORT", default: "6379", about: "Port of Redis, with REDIS_HOST" };
pub(crate) const REDIS_DB: Variable =
    Variable { name: "REDIS_DB", default: "0", about: "Number of the Redis database, with REDIS_HOST" };
pub(crate) const REDIS_PASSWORD: Variable =
    Variable { name: "REDIS_PASSWORD", default: "", about: "Password of Redis, unless REDIS_URL contains one" };
pub(crate) const REDIS_CA_FILE: Variable = Variable {
    name: "REDIS_CA_FILE",
    default: "",
    about: "CA certificates (PEM) for Redis over TLS; empty: those of the system",
};
pub(crate) const QUEUE_LIMIT: Variable = Variable {
    name: "QUEUE_LIMIT",
    default: "100",
    about: "Maximum number of waiting jobs; further jobs are refused with 429",
};
pub(crate) const QUEUE_LIMIT_PER_CLIENT: Variable = Variable {
    name: "QUEUE_LIMIT_PER_CLIENT",
    default: "",
    about: "Maximum number of waiting jobs per client (CLIENT_KEY_HEADER); empty: half of QUEUE_LIMIT; 0: all of it",
};
pub(crate) const JOB_LEASE_S: Variable = Variable {
    name: "JOB_LEASE_S",
    default: "30",
    about: "Seconds without a heartbeat from its worker after which a job is given to another one",
};
pub(crate) const JOB_MAX_ATTEMPTS: Variable = Variable {
    name: "JOB_MAX_ATTEMPTS",
    default: "3",
    about: "A job fails when this many workers were lost while running it",
};

pub(crate) const VERTEX_FALLBACK_AFTER_S: Variable = Variable {
    name: "VERTEX_FALLBACK_AFTER_S",
    default: "30",
    about: "Seconds that a job with engine=auto waits for a busy GPU worker before Vertex AI (or draft) takes it",
};

/// Which queue to use, and its rules.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    pub backend: Backend,
    pub rules: Rules,
}

/// Where the queue is.
#[derive(Debug, Clone)]
pub enum Backend {
    /// A file that one process holds (`EMBEDDED_QUEUE_FILE`).
    Embedded(PathBuf),
    /// Redis, shared by many processes.
    Redis(RedisAddress),
}

impl BrokerConfig {
    /// Redis when `REDIS_URL` or `REDIS_HOST` is set, otherwise the embedded queue.
    ///
    /// # Errors
    /// When a setting is malformed or out of range.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let backend = match redis_address(settings)? {
            Some(address) => Backend::Redis(address),
            None => Backend::Embedded(settings.require(&EMBEDDED_QUEUE_FILE)?),
        };
        let queue_limit = settings.number(&QUEUE_LIMIT, 1_u32..)?;
        let client_limit = match settings.parse(&QUEUE_LIMIT_PER_CLIENT)? {
            None => queue_limit.div_ceil(2),
            Some(0) => queue_limit,
            Some(limit) => limit,
        };
        let rules = Rules {
            queue_limit: queue_limit.into(),
            client_limit: client_limit.into(),
            lease: Duration::from_secs(settings.number(&JOB_LEASE_S, 1_u32..)?.into()),
            max_attempts: settings.number(&JOB_MAX_ATTEMPTS, 1_u32..)?,
            gpu_patience: Duration::from_secs(settings.require::<u32>(&VERTEX_FALLBACK_AFTER_S)?.into()),
            ..Rules::default()
        };
        Ok(Self { backend, rules })
    }
}

fn redis_address(settings: &Settings) -> Result<Option<RedisAddress>, SettingError> {
    let address = if let Some(url) = settings.text(&REDIS_URL) {
        // The value may hold a password.
        RedisAddress::parse(&url)
            .map_err(|err| REDIS_URL.refuse("...", format!("is not an address such as redis://host:6379/0: {err}")))?
    } else if let Some(host) = settings.text(&REDIS_HOST) {
        let (port, database) = (settings.require(&REDIS_PORT)?, settings.require(&REDIS_DB)?);
        RedisAddress::server(host.clone(), port, database).map_err(|err| REDIS_HOST.refuse(host, err.to_string()))?
    } else {
        return Ok(None);
    };
    let address = match settings.text(&REDIS_PASSWORD) {
        Some(password) if !address.has_password() => address.with_password(&password),
        _ => address,
    };
    let Some(file) = settings.text(&REDIS_CA_FILE) else { return Ok(Some(address)) };
    let pem = std::fs::read(&file).map_err(|err| REDIS_CA_FILE.refuse(&file, format!("cannot be read: {err}")))?;
    Ok(Some(address.with_ca(pem)))
}

/// Opens the queue that `config` names.
///
/// # Errors
/// When Redis does not answer, or the embedded queue's file cannot be used.
pub async fn connect(config: &BrokerConfig) -> Result<Arc<dyn Broker>, BrokerError> {
    Ok(match &config.backend {
        Backend::Embedded(file) => Arc::new(EmbeddedBroker::open(file, config.rules).await?),
        Backend::Redis(address) => Arc::new(RedisBroker::connect(address, config.rules).await?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<BrokerConfig, SettingError> {
        BrokerConfig::from_settings(&Settings::from_pairs(pairs.iter().copied()))
    }

    #[test]
    fn the_defaults_are_an_embedded_queue_with_the_default_rules() {
        let config = read(&[]).unwrap();
        assert_eq!(config.rules, Rules::default());
        assert!(matches!(config.backend, Backend::Embedded(file) if file.as_os_str() == "storage/queue.sqlite"));
    }

    #[test]
    fn a_client_may_have_half_of_the_queue_unless_told_otherwise() {
        let limits = |pairs: &[(&str, &str)]| {
            let rules = read(pairs).unwrap().rules;
            (rules.queue_limit, rules.client_limit)
        };
        assert_eq!(limits(&[]), (100, 50));
        assert_eq!(limits(&[("QUEUE_LIMIT", "1")]), (1, 1));
        assert_eq!(limits(&[("QUEUE_LIMIT", "7")]), (7, 4));
        assert_eq!(limits(&[("QUEUE_LIMIT", "7"), ("QUEUE_LIMIT_PER_CLIENT", "0")]), (7, 7));
        assert_eq!(limits(&[("QUEUE_LIMIT", "7"), ("QUEUE_LIMIT_PER_CLIENT", "2")]), (7, 2));
    }

    #[test]
    fn redis_is_named_by_an_address_or_by_its_parts() {
        for pairs in [
            &[("REDIS_URL", "redis://:hush@queue:6380/2")][..],
            &[("REDIS_URL", "redis://queue:6380/2"), ("REDIS_PASSWORD", "hush")],
            &[("REDIS_HOST", "queue"), ("REDIS_PORT", "6380"), ("REDIS_DB", "2"), ("REDIS_PASSWORD", "hush")],
        ] {
            let Backend::Redis(address) = read(pairs).unwrap().backend else { panic!("{pairs:?} gave no Redis") };
            assert_eq!(address.nodes[0].redis_settings().password(), Some("hush"));
            assert_eq!(format!("{address} {address:?}"), "redis://queue:6380/2 redis://queue:6380/2");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused_without_telling_secrets() {
        for (name, value) in [
            ("QUEUE_LIMIT", "0"),
            ("QUEUE_LIMIT_PER_CLIENT", "-1"),
            ("JOB_LEASE_S", "soon"),
            ("JOB_MAX_ATTEMPTS", "-1"),
            ("REDIS_URL", "http://:hush@queue"),
            ("REDIS_URL", "redis+sentinel://:hush@queue"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert_eq!(error.name, name);
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }
}

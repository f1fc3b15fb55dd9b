//! The settings of the API.

pub(crate) mod access;
pub(crate) mod secrets;
pub(crate) mod variables;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use jobs::{EngineChoice, JobDefaults, Priority, Typefaces};
use service::{ByteSize, SettingError, Settings};

use self::access::AccessConfig;
use self::secrets::Secrets;
use self::variables::*;
use crate::http::prefix;

/// The settings of the API.
#[derive(Debug, Clone)]
pub struct Config {
    /// `HOST`: the address to listen on.
    pub host: IpAddr,
    /// `PORT`; 0 takes any that is free.
    pub port: u16,
    /// Tokens, limits of clients, and the public address.
    pub access: AccessConfig,
    /// `ALLOWED_HOSTS` and the host of `PUBLIC_URL`: names in lower case, `*.` in front for all below, or `*`.
    pub allowed_hosts: Vec<String>,
    /// `BASE_PATH`, or the path of `PUBLIC_URL`, without the slash at its end; empty for none.
    pub base_path: Arc<str>,
    /// `MAX_CONNECTIONS` and the timeouts of connections.
    pub connections: ConnectionLimits,
    /// `MAX_FILE_SIZE` in bytes.
    pub max_file_size: u64,
    /// `EXPORT_MEMORY_LIMIT` in bytes.
    pub export_memory: u64,
    /// The parameters of jobs that leave them out.
    pub defaults: JobDefaults,
    /// `CORS_ORIGINS`: origins such as `https://example.org`.
    pub cors_origins: Vec<HeaderValue>,
    /// `DOWNLOAD_REDIRECT`
    pub download_redirect: bool,
    /// `HIGHEST_PRIORITY`
    pub highest_priority: Priority,
    /// `CLIENT_KEY_HEADER`
    pub client_key_header: Option<HeaderName>,
    /// `WEBHOOK_...`; `None` while there is no secret.
    pub webhooks: Option<WebhookConfig>,
    /// `OPENAI_WAIT_S`
    pub openai_wait: Duration,
    /// `OPENAI_MODEL_ALIASES`: names and the engines that they stand for.
    pub openai_models: Vec<(String, EngineChoice)>,
    /// `CLEANUP_AFTER_HOURS`, a variable of `jobs`; `None` keeps everything.
    pub cleanup_after: Option<Duration>,
    /// `MAX_KEEP_HOURS`: for how long from now a result may be kept beyond that.
    pub max_keep_hours: u32,
    /// The fonts that ship, those of `FONTS_DIR`, a variable of `jobs`, and the system's.
    pub typefaces: Arc<Typefaces>,
}

/// The limits of connections.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// `MAX_CONNECTIONS`; `None` is as many as the process may open files for.
    pub max: Option<u32>,
    /// `HEADER_TIMEOUT_S`: from the first byte of a request (or the start of the connection) to the end of its headers.
    pub header_timeout: Duration,
    /// `IDLE_TIMEOUT_S`: between two requests.
    pub idle_timeout: Duration,
    /// `TRANSFER_TIMEOUT_S`: how far a client may lag behind.
    pub transfer_timeout: Duration,
}

/// How webhooks are posted.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// `WEBHOOK_SECRET`
    pub secrets: Secrets,
    /// `WEBHOOK_ALLOW_PRIVATE`
    pub allow_private: bool,
    /// `WEBHOOK_ATTEMPTS`
    pub attempts: u32,
    /// `WEBHOOK_RETRY_S`: the wait before the second attempt; each further one is four times as long.
    pub retry: Duration,
}

impl Config {
    /// Reads and checks all settings.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let access = AccessConfig::from_settings(settings)?;
        Ok(Self {
            host: host(settings)?,
            port: settings.require(&PORT)?,
            allowed_hosts: allowed_hosts(settings, &access)?,
            base_path: base_path(settings, &access)?,
            access,
            connections: connections(settings)?,
            max_file_size: settings.require::<ByteSize>(&MAX_FILE_SIZE)?.0,
            export_memory: settings.require::<ByteSize>(&EXPORT_MEMORY_LIMIT)?.0,
            defaults: JobDefaults::from_settings(settings)?,
            cors_origins: origins(settings)?,
            download_redirect: settings.flag(&DOWNLOAD_REDIRECT)?,
            highest_priority: settings.require(&HIGHEST_PRIORITY)?,
            client_key_header: settings.parse(&CLIENT_KEY_HEADER)?,
            webhooks: webhooks(settings)?,
            openai_wait: Duration::from_secs(settings.number(&OPENAI_WAIT_S, 1..)?),
            openai_models: openai_models(settings)?,
            cleanup_after: jobs::cleanup_after(settings)?,
            max_keep_hours: settings.number(&MAX_KEEP_HOURS, 0..=87_600)?,
            typefaces: Arc::new(Typefaces::from_settings(settings)),
        })
    }

    /// The origin of `PUBLIC_URL`, such as `https://poster.example`.
    pub(crate) fn public_origin(&self) -> Option<String> {
        Some(self.access.public_url.as_ref()?.origin().ascii_serialization())
    }

    /// These settings with the address that the command line names.
    ///
    /// # Errors
    /// When that address lets strangers in.
    pub fn at(self, host: Option<IpAddr>, port: Option<u16>) -> Result<Self, SettingError> {
        let config = Self { host: host.unwrap_or(self.host), port: port.unwrap_or(self.port), ..self };
        config.access.check(config.host)?;
        Ok(config)
    }
}

fn host(settings: &Settings) -> Result<IpAddr, SettingError> {
    match settings.require::<String>(&HOST)?.as_str() {
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        _ => settings.require(&HOST),
    }
}

fn connections(settings: &Settings) -> Result<ConnectionLimits, SettingError> {
    let max = match settings.require::<String>(&MAX_CONNECTIONS)?.as_str() {
        "auto" => None,
        _ => Some(settings.number(&MAX_CONNECTIONS, 1..)?),
    };
    // A longer timeout would not protect anything.
    let seconds = |variable| settings.number(variable, 1..=86_400).map(Duration::from_secs);
    Ok(ConnectionLimits {
        max,
        header_timeout: seconds(&HEADER_TIMEOUT_S)?,
        idle_timeout: seconds(&IDLE_TIMEOUT_S)?,
        transfer_timeout: seconds(&TRANSFER_TIMEOUT_S)?,
    })
}

fn allowed_hosts(settings: &Settings, access: &AccessConfig) -> Result<Vec<String>, SettingError> {
    let text = settings.text(&ALLOWED_HOSTS).unwrap_or_default();
    let public = access.public_url.as_ref().and_then(|url| url.host_str()).map(|host| Ok(host.to_owned()));
    let names = text.split(',').map(|name| name.trim().trim_end_matches('.').to_ascii_lowercase());
    names
        .filter(|name| !name.is_empty())
        .map(|name| {
            let bare = name.strip_prefix("*.").unwrap_or(&name);
            let is_name = bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
            if name == "*" || (is_name && !bare.starts_with('.')) {
                return Ok(name);
            }
            let problem = format!("lists \"{name}\", which is not a host name such as poster.example");
            Err(ALLOWED_HOSTS.refuse(&text, problem))
        })
        .chain(public)
        .collect()
}

fn base_path(settings: &Settings, access: &AccessConfig) -> Result<Arc<str>, SettingError> {
    let public = access.public_url.as_ref().map(|url| url.path().to_owned());
    let text = settings.text(&BASE_PATH).or(public).unwrap_or_default();
    let path = prefix::parse(&text).map(Arc::from);
    path.ok_or_else(|| BASE_PATH.refuse(&text, "is not a path such as /layers".to_owned()))
}

fn openai_models(settings: &Settings) -> Result<Vec<(String, EngineChoice)>, SettingError> {
    let text = settings.require::<String>(&OPENAI_MODEL_ALIASES)?;
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (name, engine) = entry.split_once('=').map_or((entry, "auto"), |(name, engine)| (name.trim(), engine));
            let refuse = |what: &str| OPENAI_MODEL_ALIASES.refuse(&text, format!("lists \"{entry}\", {what}"));
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(refuse("which has no name such as gpt-image-1"));
            }
            let engine =
                engine.trim().parse().map_err(|_| refuse("whose engine is not auto, qwen, draft or vertex"))?;
            Ok((name.to_owned(), engine))
        })
        .collect()
}

fn webhooks(settings: &Settings) -> Result<Option<WebhookConfig>, SettingError> {
    let secrets = settings.parse(&WEBHOOK_SECRET).map_err(|err| SettingError { value: "...".to_owned(), ..err })?;
    let config = WebhookConfig {
        secrets: match secrets {
            Some(secrets) => secrets,
            None => return Ok(None),
        },
        allow_private: settings.flag(&WEBHOOK_ALLOW_PRIVATE)?,
        attempts: settings.number(&WEBHOOK_ATTEMPTS, 1_u32..)?,
        retry: Duration::from_secs(settings.number(&WEBHOOK_RETRY_S, 1..)?),
    };
    Ok(Some(config))
}

fn origins(settings: &Settings) -> Result<Vec<HeaderValue>, SettingError> {
    let text = settings.text(&CORS_ORIGINS).unwrap_or_default();
    text.split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        .map(|origin| {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let bare = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ']));
            HeaderValue::from_str(origin).ok().filter(|_| bare).ok_or_else(|| {
                let problem = format!("lists \"{origin}\", which is not an origin such as https://example.org");
                CORS_ORIGINS.refuse(&text, problem)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound() {
        let config = Config::from_settings(&Settings::from_pairs([])).unwrap();
        assert_eq!((config.port, config.max_file_size), (8000, 50_000_000));
        assert!(config.cors_origins.is_empty());
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        for (name, value) in [
            ("HOST", "example.org"),
            ("PORT", "70000"),
            ("MAX_CONNECTIONS", "0"),
            ("MAX_CONNECTIONS", "many"),
            ("HEADER_TIMEOUT_S", "0"),
            ("IDLE_TIMEOUT_S", "-1"),
            ("TRANSFER_TIMEOUT_S", "1000000"),
            ("ALLOWED_HOSTS", "https://poster.example"),
            ("ALLOWED_HOSTS", "poster.example:8000"),
            ("BASE_PATH", "layers"),
            ("BASE_PATH", "//example.org"),
            ("MAX_FILE_SIZE", "much"),
            ("CORS_ORIGINS", "https://a.example, *"),
            ("HIGHEST_PRIORITY", "urgent"),
            ("CLIENT_KEY_HEADER", "no header"),
            ("WEBHOOK_SECRET", "hush"),
            ("API_TOKENS", "alice:read:hush"),
            ("API_TOKENS_FILE", "/no/such/file"),
            ("JOBS_VISIBLE_TO", "nobody"),
            ("SIGNING_SECRET", "hush"),
            ("RATE_LIMIT", "-1"),
            ("UPLOADS_PER_CLIENT", "0"),
            ("STORED_PER_CLIENT", "much"),
            ("PUBLIC_URL", "poster.example"),
            ("OPENAI_WAIT_S", "0"),
            ("OPENAI_MODEL_ALIASES", "gpt-image-1=magic"),
            ("OPENAI_MODEL_ALIASES", "=draft"),
        ] {
            let err = Config::from_settings(&Settings::from_pairs([(name, value)])).unwrap_err();
            assert_eq!(err.name, name);
            assert!(!err.to_string().contains("hush"), "{err}");
        }
    }
    #[test]
    fn other_machines_are_let_in_with_tokens_or_on_purpose() {
        let at = |pairs: &[(&str, &str)], host: Option<&str>| {
            let config = Config::from_settings(&Settings::from_pairs(pairs.iter().copied())).unwrap();
            config.at(host.map(|host| host.parse().unwrap()), None).map(drop)
        };
        let error = at(&[("HOST", "0.0.0.0")], None).unwrap_err();
        assert!(error.name == "HOST" && error.to_string().contains("API_TOKENS"), "{error}");
        assert!(at(&[], Some("10.0.0.1")).is_err() && at(&[], Some("::")).is_err());
        assert!(at(&[("HOST", "0.0.0.0")], Some("::1")).is_ok());
        assert!(at(&[("ALLOW_ANONYMOUS", "true")], Some("::")).is_ok());
        assert!(at(&[("API_TOKENS", "alice:read:correct-horse-battery-staple")], Some("::")).is_ok());
    }

    #[test]
    fn the_public_address_is_a_host_and_a_path() {
        let config =
            |pairs: &[(&str, &str)]| Config::from_settings(&Settings::from_pairs(pairs.iter().copied())).unwrap();
        let public = ("PUBLIC_URL", "https://Poster.example:8443/layers/");
        let both = config(&[public, ("ALLOWED_HOSTS", "lab.example")]);
        assert_eq!(
            (&*both.base_path, both.allowed_hosts),
            ("/layers", ["lab.example", "poster.example"].map(str::to_owned).to_vec())
        );
        assert_eq!(&*config(&[public, ("BASE_PATH", "/u")]).base_path, "/u");
    }
}

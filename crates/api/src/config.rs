use std::net::IpAddr;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use jobs::{JobDefaults, Priority};
use service::{ByteSize, SettingError, Settings, Variable};

use crate::server::ConnectionLimits;
use crate::webhooks::WebhookConfig;

/// The environment variables of the API.
pub const VARIABLES: &[Variable] = &[
    HOST,
    PORT,
    ALLOWED_HOSTS,
    MAX_CONNECTIONS,
    HEADER_TIMEOUT_S,
    IDLE_TIMEOUT_S,
    TRANSFER_TIMEOUT_S,
    MAX_FILE_SIZE,
    EXPORT_MEMORY_LIMIT,
    CORS_ORIGINS,
    DOWNLOAD_REDIRECT,
    HIGHEST_PRIORITY,
    CLIENT_KEY_HEADER,
    WEBHOOK_SECRET,
    WEBHOOK_ALLOW_PRIVATE,
    WEBHOOK_ATTEMPTS,
    WEBHOOK_RETRY_S,
    OPENAI_WAIT_S,
];

const HOST: Variable = Variable {
    name: "HOST",
    default: "127.0.0.1",
    about: "Address to listen on; 0.0.0.0 lets other machines in (containers need it)",
};
const PORT: Variable = Variable { name: "PORT", default: "8000", about: "Port of the page and the API" };
const ALLOWED_HOSTS: Variable = Variable {
    name: "ALLOWED_HOSTS",
    default: "",
    about: "Names the service answers under, separated by commas, such as poster.example or *.example; localhost and \
            addresses always work; empty: any name, but none other where HOST is 127.0.0.1 or ::1; * is any name there, too",
};
const MAX_CONNECTIONS: Variable = Variable {
    name: "MAX_CONNECTIONS",
    default: "auto",
    about: "The most connections at once; a new one then takes the place of one without a request; auto: as many as the \
            process may open files for, at most 10000",
};
const HEADER_TIMEOUT_S: Variable = Variable {
    name: "HEADER_TIMEOUT_S",
    default: "15",
    about: "Seconds that the headers of a request may take to arrive",
};
const IDLE_TIMEOUT_S: Variable = Variable {
    name: "IDLE_TIMEOUT_S",
    default: "75",
    about: "Seconds that a connection may wait for the next request; longer than the one of a proxy in front",
};
const TRANSFER_TIMEOUT_S: Variable = Variable {
    name: "TRANSFER_TIMEOUT_S",
    default: "60",
    about: "Seconds that a client may lag behind 1 KiB a second while it sends a body or reads an answer",
};
const MAX_FILE_SIZE: Variable = Variable {
    name: "MAX_FILE_SIZE",
    default: "50MB",
    about: "Largest upload: bytes, or with KB, MB, GB (or KiB, MiB, GiB)",
};
const EXPORT_MEMORY_LIMIT: Variable = Variable {
    name: "EXPORT_MEMORY_LIMIT",
    default: "1GiB",
    about: "Memory for the exports that run at once (PSD, ORA, edited pictures): bytes, or with KB, MB, GB, KiB, MiB, GiB",
};
const CORS_ORIGINS: Variable = Variable {
    name: "CORS_ORIGINS",
    default: "",
    about: "Other web origins that may use the API, separated by commas; empty for none",
};

const DOWNLOAD_REDIRECT: Variable = Variable {
    name: "DOWNLOAD_REDIRECT",
    default: "false",
    about: "true sends clients that fetch one file to a signed address of the bucket, for 15 minutes",
};
const HIGHEST_PRIORITY: Variable = Variable {
    name: "HIGHEST_PRIORITY",
    default: "normal",
    about: "Highest priority that a request may ask for: high, normal or low; jobs of a higher one always go first",
};
const CLIENT_KEY_HEADER: Variable = Variable {
    name: "CLIENT_KEY_HEADER",
    default: "",
    about: "Header that tells clients apart for their fair share, set by your proxy; empty: the address of the connection",
};
const WEBHOOK_SECRET: Variable = Variable {
    name: "WEBHOOK_SECRET",
    default: "",
    about: "Signs webhooks: whsec_ and 24 to 64 random bytes in base64, several with commas; empty: webhooks are off",
};
const WEBHOOK_ALLOW_PRIVATE: Variable = Variable {
    name: "WEBHOOK_ALLOW_PRIVATE",
    default: "false",
    about: "true lets webhooks call this machine, private networks and plain http://",
};
const WEBHOOK_ATTEMPTS: Variable = Variable {
    name: "WEBHOOK_ATTEMPTS",
    default: "8",
    about: "How often a webhook that does not arrive is tried before it is given up",
};
const WEBHOOK_RETRY_S: Variable = Variable {
    name: "WEBHOOK_RETRY_S",
    default: "5",
    about: "Seconds before the second attempt of a webhook; each further wait is four times as long, at most 6 hours",
};
const OPENAI_WAIT_S: Variable = Variable {
    name: "OPENAI_WAIT_S",
    default: "600",
    about: "Seconds that POST /v1/images/edits waits for its layers before it cancels the job",
};

/// What the API can be told from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// `HOST`: the address to listen on.
    pub host: IpAddr,
    /// `PORT`; 0 takes any that is free.
    pub port: u16,
    /// `ALLOWED_HOSTS`: names in lower case, `*.` in front for all below, or `*`.
    pub allowed_hosts: Vec<String>,
    /// `MAX_CONNECTIONS` and the timeouts of connections.
    pub connections: ConnectionLimits,
    /// `MAX_FILE_SIZE` in bytes.
    pub max_file_size: u64,
    /// `EXPORT_MEMORY_LIMIT` in bytes.
    pub export_memory: u64,
    /// What holds for a job that does not say otherwise.
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
    /// `CLEANUP_AFTER_HOURS`, a variable of `jobs`; `None` keeps everything.
    pub cleanup_after: Option<Duration>,
}

impl Config {
    /// # Errors
    /// When a setting cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            host: host(settings)?,
            port: settings.require(&PORT)?,
            allowed_hosts: allowed_hosts(settings)?,
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
            cleanup_after: jobs::cleanup_after(settings)?,
        })
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
    // A deadline further away than a day is none.
    let seconds = |variable| settings.number(variable, 1..=86_400).map(Duration::from_secs);
    Ok(ConnectionLimits {
        max,
        header_timeout: seconds(&HEADER_TIMEOUT_S)?,
        idle_timeout: seconds(&IDLE_TIMEOUT_S)?,
        transfer_timeout: seconds(&TRANSFER_TIMEOUT_S)?,
    })
}

fn allowed_hosts(settings: &Settings) -> Result<Vec<String>, SettingError> {
    let text = settings.text(&ALLOWED_HOSTS).unwrap_or_default();
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
                let problem = format!("lists \"{origin}\", which is no origin such as https://example.org");
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
            ("MAX_FILE_SIZE", "much"),
            ("CORS_ORIGINS", "https://a.example, *"),
            ("HIGHEST_PRIORITY", "urgent"),
            ("CLIENT_KEY_HEADER", "no header"),
            ("WEBHOOK_SECRET", "hush"),
            ("OPENAI_WAIT_S", "0"),
        ] {
            let err = Config::from_settings(&Settings::from_pairs([(name, value)])).unwrap_err();
            assert_eq!(err.name, name);
            assert!(!err.to_string().contains("hush"), "{err}");
        }
    }
}

//! Who may use the service, and how much of it.

use std::fs;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};

use service::{ByteSize, SettingError, Settings};
use url::Url;

use super::variables::*;
use crate::auth::signing::Secret;
use crate::auth::tokens::Tokens;

/// Shorter secrets could be guessed from a signature.
const MIN_SECRET: usize = 32;

/// Who sees a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisibleTo {
    /// The token that made it, and tokens with the scope `admin`.
    Owner,
    /// Every token.
    All,
}

/// The settings of access.
#[derive(Debug, Clone)]
pub struct AccessConfig {
    /// `API_TOKENS` and `API_TOKENS_FILE`; none leave the service open.
    pub tokens: Tokens,
    /// `ALLOW_ANONYMOUS`
    pub allow_anonymous: bool,
    /// `JOBS_VISIBLE_TO`
    pub visible_to: VisibleTo,
    /// `SIGNING_SECRET`
    pub signing_secret: Option<Secret>,
    /// `PUBLIC_URL`
    pub public_url: Option<Url>,
    /// `RATE_LIMIT`: requests of a client in a minute; `None` for any number.
    pub rate_limit: Option<NonZeroU32>,
    /// `UPLOADS_PER_CLIENT`; `None` for any number.
    pub uploads: Option<u64>,
    /// `STORED_PER_CLIENT` in bytes; `None` for any number.
    pub stored: Option<u64>,
}

impl AccessConfig {
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            tokens: tokens(settings)?,
            allow_anonymous: settings.flag(&ALLOW_ANONYMOUS)?,
            visible_to: visible_to(settings)?,
            signing_secret: signing_secret(settings)?,
            public_url: public_url(settings)?,
            rate_limit: settings.parse(&RATE_LIMIT)?,
            uploads: settings.parse::<NonZeroU64>(&UPLOADS_PER_CLIENT)?.map(NonZeroU64::get),
            stored: settings.parse::<ByteSize>(&STORED_PER_CLIENT)?.map(|size| size.0),
        })
    }

    /// Refuses to let other machines in when nobody needs a token.
    ///
    /// # Errors
    /// What to set.
    pub(super) fn check(&self, host: IpAddr) -> Result<(), SettingError> {
        if host.to_canonical().is_loopback() || !self.tokens.is_empty() || self.allow_anonymous {
            return Ok(());
        }
        let problem = "lets other machines in, and everybody there could use the service, because there are no tokens: \
                       make one with `unflatten token NAME` and set API_TOKENS or API_TOKENS_FILE; or set \
                       ALLOW_ANONYMOUS=true if something else keeps strangers out";
        Err(HOST.refuse(host, problem))
    }
}

fn tokens(settings: &Settings) -> Result<Tokens, SettingError> {
    let entries = settings.text(&API_TOKENS).unwrap_or_default();
    let path = settings.text(&API_TOKENS_FILE);
    let file = match &path {
        Some(path) => fs::read_to_string(path)
            .map_err(|error| API_TOKENS_FILE.refuse(path, format!("cannot be read: {error}; check its permissions")))?,
        None => String::new(),
    };
    let tokens = Tokens::parse(&entries, &file).map_err(|problem| match &path {
        Some(path) if problem.starts_with("names a file") => API_TOKENS_FILE.refuse(path, problem),
        // The value holds secrets.
        _ => API_TOKENS.refuse("...", problem),
    })?;
    if let Some(path) = path.filter(|_| tokens.is_empty()) {
        // An empty file must not open the service.
        return Err(
            API_TOKENS_FILE.refuse(path, "names a file without tokens; `unflatten token NAME` prints a line for it")
        );
    }
    Ok(tokens)
}

fn visible_to(settings: &Settings) -> Result<VisibleTo, SettingError> {
    match settings.require::<String>(&JOBS_VISIBLE_TO)?.as_str() {
        "owner" => Ok(VisibleTo::Owner),
        "all" => Ok(VisibleTo::All),
        other => Err(JOBS_VISIBLE_TO.refuse(other, "must be owner or all")),
    }
}

fn signing_secret(settings: &Settings) -> Result<Option<Secret>, SettingError> {
    let Some(text) = settings.text(&SIGNING_SECRET) else { return Ok(None) };
    if text.len() < MIN_SECRET {
        let problem = format!("must have at least {MIN_SECRET} characters, such as `openssl rand -hex 32` prints");
        return Err(SIGNING_SECRET.refuse("...", problem));
    }
    Ok(Some(Secret::new(text)))
}

fn public_url(settings: &Settings) -> Result<Option<Url>, SettingError> {
    let Some(text) = settings.text(&PUBLIC_URL) else { return Ok(None) };
    let is_plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    };
    match Url::parse(&text).ok().filter(is_plain) {
        Some(url) => Ok(Some(url)),
        None => Err(PUBLIC_URL
            .refuse(text, "is not an address such as https://poster.example or https://poster.example/layers")),
    }
}

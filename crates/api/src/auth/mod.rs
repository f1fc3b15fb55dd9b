//! Who a request comes from, and what it may do.
//!
//! The layer [`layer::identify`] puts a [`Caller`] into every request. Routes name the scopes that they need in
//! `router`, and whatever takes the id of a job or an upload asks [`Caller::may_see`].

pub(crate) mod caller;
pub(crate) mod layer;
pub(crate) mod owned_ids;
pub(crate) mod quota;
pub(crate) mod rate;
pub(crate) mod scopes;
pub(crate) mod session;
pub(crate) mod share;
pub(crate) mod signing;
pub(crate) mod tokens;

use std::sync::Arc;

use self::owned_ids::OwnedIds;
use self::quota::Quotas;
use self::rate::RateLimiter;
use self::signing::SigningKey;
use self::tokens::Tokens;
use crate::config::access::{AccessConfig, VisibleTo};

/// What the layer and the handlers need to tell callers apart.
#[derive(Debug)]
pub(crate) struct Auth {
    pub(crate) tokens: Tokens,
    pub(crate) visible_to: VisibleTo,
    pub(crate) key: SigningKey,
    pub(crate) ids: OwnedIds,
    pub(crate) rate: RateLimiter,
    pub(crate) quotas: Quotas,
    /// Whether `PUBLIC_URL` says that people come over https.
    pub(crate) is_https: bool,
}

impl Auth {
    pub(crate) fn new(config: &AccessConfig) -> Arc<Self> {
        let key = SigningKey::new(config.signing_secret.as_ref());
        Arc::new(Self {
            tokens: config.tokens.clone(),
            visible_to: config.visible_to,
            ids: OwnedIds::new(&key),
            key,
            rate: RateLimiter::new(config.rate_limit),
            quotas: Quotas::new(config),
            is_https: config.public_url.as_ref().is_some_and(|url| url.scheme() == "https"),
        })
    }

    /// Whether callers need a token.
    pub(crate) fn is_required(&self) -> bool {
        !self.tokens.is_empty()
    }
}

//! Who sends a request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use jobs::Priority;
use uuid::Uuid;

use super::Auth;
use super::owned_ids::Owner;
use super::scopes::Scope;
use super::tokens::{Token, TokenLimits};
use crate::config::Config;
use crate::config::access::VisibleTo;
use crate::http::error::Error;

/// Who sends a request, and what it may do. Every request has one.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    auth: Arc<Auth>,
    identity: Identity,
    /// Tells this client from others, for fair shares and limits: its token, `CLIENT_KEY_HEADER`, or its address.
    client: Arc<str>,
    /// The job or upload that a signed link of the request is for.
    shared: Option<Uuid>,
}

#[derive(Debug, Clone)]
pub(super) enum Identity {
    /// Somebody, where no tokens are needed.
    Anyone,
    Token(Token),
    /// Somebody without a token, where one is needed.
    Stranger,
}

impl Caller {
    pub(super) fn new(auth: Arc<Auth>, identity: Identity, client: &str, shared: Option<Uuid>) -> Self {
        let client = match &identity {
            Identity::Token(token) => format!("token {}", token.name).into(),
            Identity::Anyone | Identity::Stranger => client.into(),
        };
        Self { auth, identity, client, shared }
    }

    /// Tells this client from others.
    pub(crate) fn client(&self) -> &str {
        &self.client
    }

    /// The token that it came with.
    pub(crate) fn token(&self) -> Option<&Token> {
        match &self.identity {
            Identity::Token(token) => Some(token),
            Identity::Anyone | Identity::Stranger => None,
        }
    }

    /// The limits of its token; none of its own for others.
    pub(crate) fn limits(&self) -> TokenLimits {
        self.token().map(|token| token.limits).unwrap_or_default()
    }

    /// The highest priority that its jobs may have.
    pub(crate) fn highest_priority(&self, config: &Config) -> Priority {
        self.limits().priority.unwrap_or(config.highest_priority)
    }

    /// # Errors
    /// 401 without a token, 403 when the token lacks the scope.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Error> {
        match &self.identity {
            Identity::Anyone => Ok(()),
            Identity::Token(token) if token.scopes.has(scope) => Ok(()),
            Identity::Token(token) => {
                let message = format!(
                    "the token \"{}\" does not have the scope {}, which this needs; use another one, or ask the operator for it",
                    token.name,
                    scope.as_str()
                );
                Err(Error::new(StatusCode::FORBIDDEN, "scope_missing", message))
            }
            Identity::Stranger if scope == Scope::Read && self.shared.is_some() => Ok(()),
            Identity::Stranger => Err(token_missing()),
        }
    }

    /// Whether it may know of the job or upload `id`. What it may not see does not exist for it.
    pub(crate) fn may_see(&self, id: Uuid) -> bool {
        match &self.identity {
            Identity::Anyone => true,
            Identity::Token(token) => {
                token.scopes.has(Scope::Admin)
                    || self.auth.visible_to == VisibleTo::All
                    || self.owns(id)
                    || self.shared == Some(id)
            }
            Identity::Stranger => self.shared == Some(id),
        }
    }

    /// Whether the job or upload `id` was made by it.
    pub(crate) fn owns(&self, id: Uuid) -> bool {
        self.auth.ids.belongs(id, self.owner())
    }

    /// An id for a job or an upload of this caller.
    pub(crate) fn create_id(&self) -> Uuid {
        self.auth.ids.create(self.owner())
    }

    /// An id for a part of `whole`, which belongs to whoever has that.
    pub(crate) fn create_id_for_part(&self, whole: Uuid) -> Uuid {
        let ids = &self.auth.ids;
        let names = self.auth.tokens.iter().map(|token| Owner::Token(&token.name));
        ids.create(names.into_iter().find(|owner| ids.belongs(whole, *owner)).unwrap_or(self.owner()))
    }

    fn owner(&self) -> Owner<'_> {
        match &self.identity {
            Identity::Token(token) => Owner::Token(&token.name),
            Identity::Anyone | Identity::Stranger => Owner::Client(&self.client),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Self::of(&parts.extensions)
    }
}

impl Caller {
    /// The caller of a request.
    ///
    /// # Errors
    /// A bug: the layer was left out.
    pub(crate) fn of(extensions: &axum::http::Extensions) -> Result<Self, Error> {
        extensions.get::<Self>().cloned().ok_or_else(|| Error::internal("a request without a caller"))
    }
}

fn token_missing() -> Error {
    let message = "this service needs a token: send it as \"Authorization: Bearer TOKEN\", or sign in on the page; the \
                   operator gives them out";
    unauthorized("token_missing", message, "Bearer")
}

/// For a token that is not, or no longer, one of the service's.
pub(crate) fn token_invalid() -> Error {
    let message = "the token is not valid: it is misspelt, or was withdrawn; ask the operator for another one";
    unauthorized("token_invalid", message, "Bearer error=\"invalid_token\"")
}

/// For a signed link whose time is over, or that was changed.
pub(super) fn link_invalid() -> Error {
    let message = "the link is not valid, or its time is over; ask for a new one where you got it";
    unauthorized("link_invalid", message, "Bearer")
}

fn unauthorized(code: &'static str, message: &str, challenge: &'static str) -> Error {
    Error::new(StatusCode::UNAUTHORIZED, code, message)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

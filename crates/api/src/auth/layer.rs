//! The layers that find out who sends a request, and that refuse what it may not do.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Auth;
use super::caller::{Caller, Identity, link_invalid, token_invalid};
use super::scopes::Scope;
use super::{session, share};
use crate::config::Config;
use crate::http::body::discard;
use crate::http::client::client_key;
use crate::http::error::Error;

/// What is counted: the page's own files are not, of which there are many.
const COUNTED: [&str; 3] = ["/api/", "/v1/", "/metrics"];

/// Bytes of a refused body that are read, so that its client gets to read why.
const MOST_DISCARDED: u64 = 64 << 20;

/// Puts a [`Caller`] into the request; refuses tokens that are not valid, and clients that send too many requests.
pub(crate) async fn identify(
    State((auth, config)): State<(Arc<Auth>, Arc<Config>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = client_key(&config, request.headers(), request.extensions());
    let caller = caller(&auth, &client, &request);
    // Whoever guesses tokens is counted by its address.
    let counted = caller.as_ref().map_or(client.as_str(), Caller::client);
    let identified = count(&auth, request.uri().path(), counted).and(caller);
    match identified {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => refuse(request, error).await,
    }
}

fn count(auth: &Auth, path: &str, client: &str) -> Result<(), Error> {
    if !COUNTED.iter().any(|start| path.starts_with(start)) {
        return Ok(());
    }
    auth.rate.count(client, Instant::now()).map_err(|wait| {
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        let message = format!("you have sent too many requests; try again in {seconds} s");
        Error::retry_later(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message, seconds)
    })
}

fn caller(auth: &Arc<Auth>, client: &str, request: &Request) -> Result<Caller, Error> {
    let of = |identity, shared| Caller::new(Arc::clone(auth), identity, client, shared);
    if !auth.is_required() {
        // Clients that cannot do without a token, such as OpenAI's, may send any.
        return Ok(of(Identity::Anyone, None));
    }
    let link = request.uri().query().and_then(share::parameter).filter(|_| is_read(request.method()));
    let shared = link.and_then(|value| share::verify(&auth.key, request.uri().path(), value));
    if let Some(secret) = bearer(request.headers())? {
        let token = auth.tokens.find(secret).ok_or_else(|| {
            tracing::warn!(client, "a token that is not valid was refused");
            token_invalid()
        })?;
        return Ok(of(Identity::Token(token.clone()), shared));
    }
    if let Some(token) = session::token(auth, request.headers()) {
        return Ok(of(Identity::Token(token.clone()), shared));
    }
    if link.is_some() && shared.is_none() {
        return Err(link_invalid());
    }
    Ok(of(Identity::Stranger, shared))
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The token of `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let value = value.to_str().ok().filter(|_| values.next().is_none()).ok_or_else(token_invalid)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        // Proxies may ask for a password of their own, which they pass on.
        _ => Ok(None),
    }
}

/// An error in place of an answer, once the client has sent its picture and reads.
async fn refuse(request: Request, error: Error) -> Response {
    discard(request, MOST_DISCARDED).await;
    error.into_response()
}

/// Refuses callers without these scopes.
pub(crate) async fn require(State(scopes): State<&'static [Scope]>, request: Request, next: Next) -> Response {
    let caller = Caller::of(request.extensions());
    match caller.and_then(|caller| scopes.iter().try_for_each(|scope| caller.require(*scope))) {
        Ok(()) => next.run(request).await,
        Err(error) => refuse(request, error).await,
    }
}

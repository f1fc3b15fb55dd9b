//! Signing in on the page.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::caller::{Caller, token_invalid};
use crate::auth::scopes::Scope;
use crate::auth::session;
use crate::auth::tokens::Token;
use crate::http::answers::NoStore;
use crate::http::error::{Error, ErrorBody};
use crate::http::responses::JsonFaults;
use crate::http::{extract, prefix};
use crate::state::App;

/// Who the caller is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    /// Whether this service needs a token at all.
    needs_token: bool,
    /// The name of the caller's token; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The scopes of that token.
    scopes: Vec<Scope>,
}

impl Session {
    fn of(app: &App, token: Option<&Token>) -> Self {
        let name = token.map(|token| token.name.to_string());
        let scopes = token.map(|token| token.scopes.list().collect()).unwrap_or_default();
        Self { needs_token: app.auth.is_required(), name, scopes }
    }
}

/// A session that begins or ends.
pub(crate) struct SessionChange {
    status: StatusCode,
    cookie: Option<HeaderValue>,
    session: Option<Session>,
}

impl IntoResponse for SessionChange {
    fn into_response(self) -> Response {
        let mut response = match self.session {
            Some(session) => (self.status, NoStore(Json(session))).into_response(),
            None => self.status.into_response(),
        };
        if let Some(cookie) = self.cookie {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }
}

/// A token, to sign in with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    #[schema(max_length = 256)]
    token: String,
}

/// Who the caller is
///
/// Whether the service needs a token, and whose the caller's is. Open to all.
#[utoipa::path(
    get, path = "/api/session", operation_id = "get_session", tag = "access",
    responses(
        (status = 200, description = "The caller", body = Session),
        (status = 401, description = "The token of the request is not valid", body = ErrorBody),
        (status = 429, description = "The client has sent too many requests", body = ErrorBody, headers(("Retry-After" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn session(State(app): State<App>, caller: Caller) -> NoStore<Json<Session>> {
    NoStore(Json(Session::of(&app, caller.token())))
}

/// Sign in
///
/// For browsers: the answer sets a cookie that stands for the token for twelve hours, and that scripts cannot read.
/// Programs send the token itself with each request.
#[utoipa::path(
    post, path = "/api/session", operation_id = "sign_in", tag = "access",
    request_body = SignIn,
    responses(
        (status = 200, description = "Signed in", body = Session, headers(("Set-Cookie" = Option<String>, description = "The session, if the service needs a token"))),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The token is not valid", body = ErrorBody),
        (status = 403, description = "The request comes from a web page of another origin", body = ErrorBody),
        JsonFaults,
        (status = 422, description = "A field is missing or unknown", body = ErrorBody),
        (status = 429, description = "The client has sent too many requests", body = ErrorBody, headers(("Retry-After" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn sign_in(State(app): State<App>, request: Request) -> Result<SessionChange, Error> {
    let is_https = session::is_https(&app.auth, request.headers());
    let SignIn { token } = extract::json(request).await?;
    if !app.auth.is_required() {
        return Ok(SessionChange { status: StatusCode::OK, cookie: None, session: Some(Session::of(&app, None)) });
    }
    let token = app.auth.tokens.find(token.trim()).ok_or_else(|| {
        tracing::warn!("somebody tried to sign in with a token that is not valid");
        token_invalid()
    })?;
    tracing::info!(token = %token.name, "signed in");
    let cookie = session::start(&app.auth, token, &prefix::current(), is_https);
    Ok(SessionChange { status: StatusCode::OK, cookie, session: Some(Session::of(&app, Some(token))) })
}

/// Sign out
///
/// Removes the cookie.
#[utoipa::path(
    delete, path = "/api/session", operation_id = "sign_out", tag = "access",
    responses(
        (status = 204, description = "Signed out", headers(("Set-Cookie" = String, description = "An empty session"))),
        (status = 401, description = "The token of the request is not valid", body = ErrorBody),
        (status = 403, description = "The request comes from a web page of another origin", body = ErrorBody),
        (status = 429, description = "The client has sent too many requests", body = ErrorBody, headers(("Retry-After" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn sign_out(State(app): State<App>, headers: HeaderMap) -> SessionChange {
    let cookie = session::end(&prefix::current(), session::is_https(&app.auth, &headers));
    SessionChange { status: StatusCode::NO_CONTENT, cookie, session: None }
}

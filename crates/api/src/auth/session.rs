//! Sessions of the page: a signed cookie that stands for a token.

use axum::http::{HeaderMap, HeaderValue, header};
use time::OffsetDateTime;

use super::Auth;
use super::signing::Purpose;
use super::tokens::Token;

const COOKIE: &str = "unflatten_session";

/// A working day, after which people sign in again.
const LASTS_S: i64 = 12 * 3600;

/// The cookie of a new session. It holds no secret: the name of the token, when it ends, and a signature that ends with the
/// token.
pub(crate) fn start(auth: &Auth, token: &Token, path: &str, is_https: bool) -> Option<HeaderValue> {
    let ends_at = (OffsetDateTime::now_utc().unix_timestamp() + LASTS_S).to_string();
    let signature = auth.key.sign(Purpose::Session, &[&token.name, &token.fingerprint(), &ends_at]);
    cookie(&format!("{ends_at}.{signature}.{}", token.name), LASTS_S, path, is_https)
}

/// The cookie that ends a session.
pub(crate) fn end(path: &str, is_https: bool) -> Option<HeaderValue> {
    cookie("", 0, path, is_https)
}

fn cookie(value: &str, max_age_s: i64, path: &str, is_https: bool) -> Option<HeaderValue> {
    let secure = if is_https { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path={path}/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).ok()
}

/// The token of the session that a request is part of.
pub(super) fn token<'a>(auth: &'a Auth, headers: &HeaderMap) -> Option<&'a Token> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| if name == COOKIE { checked(auth, value) } else { None })
}

fn checked<'a>(auth: &'a Auth, value: &str) -> Option<&'a Token> {
    let mut parts = value.splitn(3, '.');
    let (ends_at, signature, name) = (parts.next()?, parts.next()?, parts.next()?);
    let token = auth.tokens.named(name)?;
    let is_ours = auth.key.verify(Purpose::Session, &[name, &token.fingerprint(), ends_at], signature);
    let is_alive = ends_at.parse::<i64>().is_ok_and(|ends_at| ends_at > OffsetDateTime::now_utc().unix_timestamp());
    (is_ours && is_alive).then_some(token)
}

/// Whether the client came over https, as far as the service can know: a proxy that ends TLS says so.
pub(crate) fn is_https(auth: &Auth, headers: &HeaderMap) -> bool {
    let forwarded = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok()).unwrap_or_default();
    auth.is_https || forwarded.split(',').next().is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}

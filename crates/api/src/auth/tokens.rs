//! The tokens that an operator gives out.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jobs::Priority;
use service::{ByteSize, hex};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::scopes::Scopes;

/// Shorter tokens could be guessed.
const MIN_LENGTH: usize = 24;
const MAX_LENGTH: usize = 256;
const MAX_NAME: usize = 64;

/// A token, without its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub name: Arc<str>,
    pub scopes: Scopes,
    pub limits: TokenLimits,
    /// SHA-256 of the secret, which is random and so needs no slow hash.
    hash: [u8; 32],
}

/// What a token has in place of the service's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenLimits {
    /// In place of `HIGHEST_PRIORITY`.
    pub priority: Option<Priority>,
    /// In place of `QUEUE_LIMIT_PER_CLIENT`.
    pub queued: Option<u64>,
    /// In place of `UPLOADS_PER_CLIENT`.
    pub uploads: Option<u64>,
    /// In place of `STORED_PER_CLIENT`, in bytes.
    pub stored: Option<u64>,
}

impl Token {
    /// A new token with a random secret, which is the second value.
    ///
    /// # Errors
    /// When the name cannot be used.
    pub fn generate(name: &str, scopes: Scopes, limits: TokenLimits) -> Result<(Self, String), String> {
        let secret = format!("unf_{}", BASE64.encode(rand::random::<[u8; 32]>()));
        Ok((Self { name: checked_name(name)?, scopes, limits, hash: Sha256::digest(&secret).into() }, secret))
    }

    /// An entry of `API_TOKENS`: `NAME:SCOPES:SECRET`.
    fn from_entry(entry: &str) -> Result<Self, String> {
        let mut parts = entry.splitn(3, ':');
        let (Some(name), Some(scopes), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("has an entry that is not NAME:SCOPES:TOKEN, such as alice:read+submit:unf_...".to_owned());
        };
        let name = checked_name(name)?;
        if !(MIN_LENGTH..=MAX_LENGTH).contains(&secret.len()) || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "has a token \"{name}\" that is not {MIN_LENGTH} to {MAX_LENGTH} printable ASCII characters; `unflatten \
                 token {name}` makes one"
            ));
        }
        let scopes = scopes.parse().map_err(|problem| format!("has a token \"{name}\" whose {problem}"))?;
        Ok(Self { name, scopes, limits: TokenLimits::default(), hash: Sha256::digest(secret).into() })
    }

    /// A line of the file: `NAME SCOPES sha256:HASH` and then limits such as `priority=high`.
    fn from_line(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let (Some(name), Some(scopes), Some(hash)) = (words.next(), words.next(), words.next()) else {
            return Err("is not NAME SCOPES sha256:HASH, as `unflatten token NAME` prints it".to_owned());
        };
        let hash = hash.strip_prefix("sha256:").and_then(from_hex);
        let hash = hash.ok_or("has no sha256: and 64 hexadecimal digits; `unflatten token NAME` prints the line")?;
        let limits = words.try_fold(TokenLimits::default(), TokenLimits::with)?;
        Ok(Self { name: checked_name(name)?, scopes: scopes.parse()?, limits, hash })
    }

    /// Stands for the secret where it is not known.
    pub(crate) fn fingerprint(&self) -> String {
        hex(&self.hash)
    }
}

/// The line for the file.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} sha256:{}", self.name, self.scopes, hex(&self.hash))?;
        let TokenLimits { priority, queued, uploads, stored } = self.limits;
        if let Some(priority) = priority {
            write!(f, " priority={priority}")?;
        }
        for (name, limit) in [("queued", queued), ("uploads", uploads), ("stored", stored)] {
            if let Some(limit) = limit {
                write!(f, " {name}={limit}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, {})", self.name, self.scopes)
    }
}

impl TokenLimits {
    /// These with a limit such as `priority=high`.
    ///
    /// # Errors
    /// When no limit has this name, or its value cannot be read.
    pub fn with(self, limit: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "has \"{limit}\", which is not priority=high|normal|low, queued=N, uploads=N or stored=SIZE (such as 20GB)"
            )
        };
        let (name, value) = limit.split_once('=').ok_or_else(bad)?;
        let number = || value.parse().map(Some).map_err(|_| bad());
        Ok(match name {
            "priority" => Self { priority: Some(value.parse().map_err(|_| bad())?), ..self },
            "queued" => Self { queued: number()?, ..self },
            "uploads" => Self { uploads: number()?, ..self },
            "stored" => Self { stored: Some(value.parse::<ByteSize>().map_err(|_| bad())?.0), ..self },
            _ => return Err(bad()),
        })
    }
}

/// Names are part of cookies and of the log.
fn checked_name(name: &str) -> Result<Arc<str>, String> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_plain && (1..=MAX_NAME).contains(&name.len()) {
        return Ok(name.into());
    }
    let shown: String = name.chars().take(MAX_NAME).collect();
    Err(format!(
        "has a token name \"{shown}\"; names are 1 to {MAX_NAME} letters, digits, hyphens, dots or underscores"
    ))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// All tokens; none leave the service open.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Arc<[Token]>);

impl Tokens {
    /// The tokens of `API_TOKENS`, separated by commas, and those of a file, one a line.
    ///
    /// # Errors
    /// A sentence about the first entry or line that cannot be used, without its secret.
    pub(crate) fn parse(entries: &str, file: &str) -> Result<Self, String> {
        let entries = entries.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(Token::from_entry);
        let lines =
            file.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let lines = lines.map(|(at, line)| {
            Token::from_line(line).map_err(|problem| format!("names a file whose line {} {problem}", at + 1))
        });
        let mut tokens: Vec<Token> = Vec::new();
        for token in entries.chain(lines) {
            let token = token?;
            if tokens.iter().any(|other| other.name == token.name) {
                return Err(format!("has two tokens with the name \"{}\"; give each a name of its own", token.name));
            }
            tokens.push(token);
        }
        Ok(Self(tokens.into()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Token> {
        self.0.iter()
    }

    /// The token with this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Token> {
        self.0.iter().find(|token| &*token.name == name)
    }

    /// The token with this secret. Looks at all of them, whichever it is.
    pub(crate) fn find(&self, secret: &str) -> Option<&Token> {
        let hash: [u8; 32] = Sha256::digest(secret).into();
        let none = u64::MAX;
        let found = (0..).zip(self.0.iter()).fold(none, |found, (at, token)| {
            let is_it: Choice = token.hash.ct_eq(&hash);
            u64::conditional_select(&found, &at, is_it)
        });
        usize::try_from(found).ok().and_then(|at| self.0.get(at))
    }
}

#[cfg(test)]
mod tests {
    use super::super::scopes::Scope;
    use super::*;

    const LONG: &str = "correct-horse-battery-staple";

    #[test]
    fn a_token_is_found_by_its_secret_alone() {
        let (made, secret) = Token::generate("ci", "submit".parse().unwrap(), TokenLimits::default()).unwrap();
        let file = format!("# comment\n\n{made}\n");
        let tokens = Tokens::parse(&format!("alice:read+submit:{LONG}"), &file).unwrap();
        assert_eq!(tokens.find(&secret), Some(&made));
        assert_eq!(tokens.find(LONG).map(|token| &*token.name), Some("alice"));
        for wrong in ["", "x", &LONG[1..], &made.fingerprint()] {
            assert_eq!(tokens.find(wrong), None, "{wrong}");
        }
        assert!(tokens.named("ci").unwrap().scopes.has(Scope::Submit));
        assert!(!format!("{tokens:?}").contains(LONG) && !file.contains(&secret));
    }

    #[test]
    fn limits_are_written_as_they_are_read() {
        let limits = ["priority=high", "queued=5", "uploads=7", "stored=20GB"];
        let limits = limits.into_iter().try_fold(TokenLimits::default(), TokenLimits::with).unwrap();
        assert_eq!((limits.queued, limits.stored), (Some(5), Some(20_000_000_000)));
        let (token, _) = Token::generate("a.b", "admin".parse().unwrap(), limits).unwrap();
        assert_eq!(Token::from_line(&token.to_string()), Ok(token));
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_secret() {
        let hash = "0".repeat(64);
        for (entries, file) in [
            (format!("alice:{LONG}"), String::new()),
            (format!("alice:write:{LONG}"), String::new()),
            ("alice:read:tooshort".to_owned(), String::new()),
            (format!("a b:read:{LONG}"), String::new()),
            (format!("alice:read:{LONG},alice:read:{LONG}x"), String::new()),
            (String::new(), format!("alice read {hash}")),
            (String::new(), format!("alice read sha256:{}", &hash[1..])),
            (String::new(), format!("alice read sha256:{hash} speed=high")),
            (format!("alice:read:{LONG}"), format!("alice read sha256:{hash}")),
        ] {
            let problem = Tokens::parse(&entries, &file).unwrap_err();
            assert!(!problem.contains(LONG) && !problem.contains("tooshort"), "{problem}");
        }
    }
}

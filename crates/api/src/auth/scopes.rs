//! What a token is good for.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;

/// One thing that a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// See jobs, follow them, and fetch their files.
    Read,
    /// Upload pictures; start, cancel and delete jobs.
    Submit,
    /// Change the layers of a result.
    Edit,
    /// All of this, for the jobs of every token.
    Admin,
}

impl Scope {
    /// All scopes, the weakest first.
    pub const ALL: [Self; 4] = [Self::Read, Self::Submit, Self::Edit, Self::Admin];

    /// The name in settings and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Edit => "edit",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes. `admin` has all others in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether `scope` is one of them.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// The scopes as they were given.
    pub fn list(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.list().map(Scope::as_str).collect();
        f.write_str(&names.join("+"))
    }
}

impl FromStr for Scopes {
    type Err = String;

    /// Names with `+` or commas between them.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut bits = 0;
        for name in text.split(['+', ',']).map(str::trim) {
            let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == name);
            bits |= scope
                .ok_or_else(|| format!("\"{name}\" is not a scope; scopes are read, submit, edit and admin"))?
                .bit();
        }
        Ok(Self(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_has_every_scope() {
        let all = |text: &str| Scope::ALL.map(|scope| text.parse::<Scopes>().unwrap().has(scope));
        assert_eq!(all("read"), [true, false, false, false]);
        assert_eq!(all("submit+edit"), [false, true, true, false]);
        assert_eq!(all("admin"), [true; 4]);
    }

    #[test]
    fn scopes_are_written_as_they_are_read() {
        assert_eq!("edit, read".parse::<Scopes>().unwrap().to_string(), "read+edit");
        for text in ["", "write", "read,,edit", "READ"] {
            assert!(text.parse::<Scopes>().is_err(), "{text}");
        }
    }
}

//! Settings come from environment variables only.
//!
//! Each crate lists its variables in one `VARIABLES` table; a test compares the
//! tables with `.env.example`.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use std::str::FromStr;

/// One environment variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    pub name: &'static str,
    /// The default; empty for none.
    pub default: &'static str,
    /// One line for `.env.example`.
    pub about: &'static str,
}

impl Variable {
    /// An error for a value that cannot be used. `problem` continues the sentence after the value, as in "must be a number".
    pub fn refuse(&self, value: impl Display, problem: impl Into<String>) -> SettingError {
        SettingError { name: self.name, value: value.to_string(), problem: problem.into() }
    }
}

/// Where settings are read from: the process's environment, or a map in tests.
#[derive(Debug, Clone)]
pub struct Settings {
    values: HashMap<String, String>,
}

/// A setting that cannot be used: its name, its value and the problem.
#[derive(Debug, thiserror::Error)]
#[error("{name}=\"{value}\" {problem}; see .env.example")]
pub struct SettingError {
    pub name: &'static str,
    pub value: String,
    pub problem: String,
}

impl Settings {
    /// Reads the process's environment.
    pub fn from_env() -> Self {
        // Values that are not Unicode are not ours.
        Self {
            values: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        }
    }

    /// Settings for a test.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self { values: pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect() }
    }

    /// Overrides the environment with a command-line option.
    pub fn set(&mut self, variable: &Variable, value: impl Display) {
        self.values.insert(variable.name.to_owned(), value.to_string());
    }

    /// The value or the default; `None` when both are empty.
    pub fn text(&self, variable: &Variable) -> Option<String> {
        let value = self.values.get(variable.name).map(|v| v.trim()).filter(|v| !v.is_empty());
        value.or(Some(variable.default).filter(|v| !v.is_empty())).map(str::to_owned)
    }

    /// Variables of other programs whose names start with a prefix, with names in lower case.
    pub fn starting_with(&self, prefixes: &[&str]) -> Vec<(String, String)> {
        let theirs = self.values.iter().filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)));
        theirs.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
    }

    /// Like [`Settings::text`], parsed.
    ///
    /// # Errors
    /// When the value does not parse.
    pub fn parse<T>(&self, variable: &Variable) -> Result<Option<T>, SettingError>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(value) = self.text(variable) else { return Ok(None) };
        match value.parse() {
            Ok(parsed) => Ok(Some(parsed)),
            Err(err) => Err(variable.refuse(value, format!("cannot be read: {err}"))),
        }
    }

    /// Like [`Settings::parse`], for a variable that has a default or is required.
    ///
    /// # Errors
    /// When the value does not parse or is missing.
    pub fn require<T>(&self, variable: &Variable) -> Result<T, SettingError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parse(variable)?.ok_or_else(|| variable.refuse("", "must be set"))
    }

    /// Like [`Settings::require`], for a switch.
    ///
    /// # Errors
    /// When the value is neither.
    pub fn flag(&self, variable: &Variable) -> Result<bool, SettingError> {
        let value: String = self.require(variable)?;
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Ok(true),
            "false" | "0" | "off" | "no" => Ok(false),
            _ => Err(variable.refuse(value, "must be true or false")),
        }
    }

    /// Like [`Settings::require`], for a number in `range`, such as `1..` or `1..=500`.
    ///
    /// # Errors
    /// When the value does not parse or is out of range.
    pub fn number<T>(&self, variable: &Variable, range: impl RangeBounds<T>) -> Result<T, SettingError>
    where
        T: FromStr + PartialOrd + Display,
        T::Err: Display,
    {
        let number: T = self.require(variable)?;
        if range.contains(&number) {
            return Ok(number);
        }
        let problem = match (range.start_bound(), range.end_bound()) {
            (Bound::Included(min), Bound::Included(max)) => format!("must be from {min} to {max}"),
            (Bound::Included(min), _) => format!("must be at least {min}"),
            _ => "is out of range".to_owned(),
        };
        Err(variable.refuse(number, problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: Variable = Variable { name: "COUNT", default: "3", about: "" };

    #[test]
    fn flags_are_on_or_off() {
        const FLAG: Variable = Variable { name: "FLAG", default: "false", about: "" };
        let flag = |value: &str| Settings::from_pairs([("FLAG", value)]).flag(&FLAG);
        assert_eq!(["true", "Yes", "0", ""].map(|value| flag(value).expect(value)), [true, true, false, false]);
        let error = flag("a bit").expect_err("neither").to_string();
        assert!(error.contains("FLAG") && error.contains("true or false"), "{error}");
    }

    #[test]
    fn numbers_lie_in_their_range() {
        let read = |value| Settings::from_pairs([("COUNT", value)]).number::<u8>(&COUNT, 1..=9);
        assert_eq!(read("9").expect("a number"), 9);
        assert_eq!(Settings::from_pairs([]).number::<u8>(&COUNT, 1..).expect("the default"), 3);
        for (value, word) in [("0", "from 1 to 9"), ("10", "from 1 to 9"), ("-1", "cannot be read"), ("x", "cannot")] {
            let error = read(value).expect_err(value).to_string();
            assert!(error.starts_with(&format!("COUNT=\"{value}\"")) && error.contains(word), "{error}");
        }
        let error = Settings::from_pairs([("COUNT", "0")]).number::<u8>(&COUNT, 1..).expect_err("too few");
        assert!(error.to_string().contains("at least 1"), "{error}");
    }
}

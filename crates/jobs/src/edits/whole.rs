//! Integers in JSON: `3.0` is one (JSON Schema, 6.1.1), `3.5` is not.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// The largest integer up to which a double represents every integer exactly (2^53 - 1).
const EXACT: f64 = 9_007_199_254_740_991.0;

/// Reads an integer, for `#[serde(deserialize_with)]`.
///
/// # Errors
/// When it is not a number, has a fraction or is out of range.
pub fn number<'de, T: Whole, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    // Any, because what an untagged enum has buffered gives a fraction to nothing else.
    deserializer.deserialize_any(Reader(PhantomData))
}

/// The same for a field that may be absent (with `#[serde(default)]`) or `null`.
///
/// # Errors
/// As [`number`].
pub fn optional<'de, T: Whole, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct Number<T>(T);
    impl<'de, T: Whole> Deserialize<'de> for Number<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            number(deserializer).map(Self)
        }
    }
    Ok(Option::<Number<T>>::deserialize(deserializer)?.map(|Number(number)| number))
}

/// Integer types of fields.
pub trait Whole: TryFrom<i64> {
    const LEAST: i64;
    const MOST: i64;
}

impl Whole for i32 {
    const LEAST: i64 = i32::MIN as i64;
    const MOST: i64 = i32::MAX as i64;
}

impl Whole for u32 {
    const LEAST: i64 = 0;
    const MOST: i64 = u32::MAX as i64;
}

struct Reader<T>(PhantomData<T>);

impl<T: Whole> Visitor<'_> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", T::LEAST, T::MOST)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        let signed = i64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))?;
        self.visit_i64(signed)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        if value.fract() == 0.0 && value.abs() <= EXACT {
            return self.visit_i64(value as i64);
        }
        Err(E::invalid_value(Unexpected::Float(value), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::super::LayerEdit;
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Patch {
        #[serde(default, deserialize_with = "optional")]
        order: Option<u32>,
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let x = |json: &str| serde_json::from_str::<LayerEdit>(json).map(|edit| edit.x).map_err(|err| err.to_string());
        for (json, expected) in
            [("3", 3), ("3.0", 3), ("-3792.0", -3792), ("1e2", 100), ("-0.0", 0), ("2147483647.0", i32::MAX)]
        {
            assert_eq!(x(&format!(r#"{{"x": {json}}}"#)), Ok(expected), "{json}");
        }
        assert_eq!(x("{}"), Ok(0));
        for json in ["0.5", "1e300", "2147483648", "2147483648.0", "99999999999999999999", "\"3\"", "null", "true"] {
            let error = x(&format!(r#"{{"x": {json}}}"#)).unwrap_err();
            assert!(error.contains("expected a whole number from -2147483648 to 2147483647"), "{json}: {error}");
        }
    }

    #[test]
    fn a_number_may_be_left_out() {
        let order = |json: &str| serde_json::from_str::<Patch>(json).ok().map(|patch| patch.order);
        assert_eq!(order("{}"), Some(None));
        assert_eq!(order(r#"{"order": null}"#), Some(None));
        assert_eq!(order(r#"{"order": 7.0}"#), Some(Some(7)));
        assert_eq!(order(r#"{"order": -1}"#), None);
        assert_eq!(order(r#"{"order": 0.5}"#), None);
    }
}

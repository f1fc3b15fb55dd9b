use std::fmt;
use std::str::FromStr;

/// A number of bytes, at least 1. Read from `52428800`, `50MB`, `1.5 GiB` or `2g` (which is `2GB`), in any case;
/// written in binary units: `1.5 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" => 1_000,
            "m" | "mb" => 1_000_000,
            "g" | "gb" => 1_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            other => return Err(format!("\"{other}\" is not a unit; use KB, MB, GB, KiB, MiB or GiB")),
        };
        let bytes = match number.parse::<u64>() {
            // Exact also beyond 2^53.
            Ok(whole) => whole.checked_mul(factor),
            Err(_) => {
                let number: f64 = number.parse().map_err(|_| "write a size such as 8GiB, 500MB or 1073741824")?;
                Some(number * factor as f64).filter(|bytes| *bytes < u64::MAX as f64).map(|bytes| bytes as u64)
            }
        };
        match bytes {
            Some(0) => Err("it must be at least 1 byte".to_owned()),
            Some(bytes) => Ok(Self(bytes)),
            None => Err("it is too large".to_owned()),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0 as f64;
        match self.0 {
            0..0x400 => write!(f, "{} B", self.0),
            0x400..0x10_0000 => write!(f, "{:.0} KiB", value / 1024.0),
            0x10_0000..0x4000_0000 => write!(f, "{:.0} MiB", value / 1024.0 / 1024.0),
            _ => write!(f, "{:.1} GiB", value / 1024.0 / 1024.0 / 1024.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        for (text, bytes) in [
            ("1", 1),
            ("4096", 4096),
            ("50MB", 50_000_000),
            ("500 MB", 500_000_000),
            ("50 MiB", 52_428_800),
            ("8GiB", 8 << 30),
            ("2g", 2_000_000_000),
            ("1.5 gib", 3 << 29),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in [
            "",
            "much",
            "MB",
            "-1",
            "-1GB",
            "0",
            "0.1",
            ".",
            "1.2.3",
            "nan",
            "inf",
            "5 parsecs",
            "99999999999999999999",
            "18446744073709551615KB",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn bytes_read_well() {
        assert_eq!(ByteSize(512).to_string(), "512 B");
        assert_eq!(ByteSize(3 << 29).to_string(), "1.5 GiB");
        assert_eq!(ByteSize(700 << 20).to_string(), "700 MiB");
    }
}

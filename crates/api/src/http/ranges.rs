//! The `Range` header (RFC 9110, 14).

use std::ops::Range;

use axum::http::{HeaderMap, header};
use http_range_header::{EndPosition, RangeUnsatisfiableError, StartPosition, parse_range_header};

/// The part of a file that a request asks for.
pub(crate) enum RequestedRange {
    Whole,
    Part(Range<u64>),
    Unsatisfiable,
}

impl RequestedRange {
    /// Reads the headers of a request for a file of `len` bytes. A range that cannot be read or makes no sense, several
    /// ranges, and ranges of another version count as the whole, as the RFC allows.
    pub(crate) fn from_headers(request: &HeaderMap, etag: &str, len: u64) -> Self {
        let Some(text) = request.get(header::RANGE).and_then(|value| value.to_str().ok()) else { return Self::Whole };
        if request.get(header::IF_RANGE).is_some_and(|version| version != etag) {
            return Self::Whole;
        }
        let range = match parse_range_header(text) {
            Ok(parsed) => match parsed.ranges.as_slice() {
                [one] => *one,
                _ => return Self::Whole,
            },
            Err(RangeUnsatisfiableError::ZeroSuffix) => return Self::Unsatisfiable,
            Err(_) => return Self::Whole,
        };
        match (range.start, range.end) {
            (StartPosition::Index(start), EndPosition::Index(last)) if last < start => Self::Whole,
            (StartPosition::Index(start), _) if start >= len => Self::Unsatisfiable,
            (StartPosition::Index(start), EndPosition::Index(last)) => {
                Self::Part(start..len.min(last.saturating_add(1)))
            }
            (StartPosition::Index(start), EndPosition::LastByte) => Self::Part(start..len),
            (StartPosition::FromLast(_), _) if len == 0 => Self::Unsatisfiable,
            // A suffix longer than the file is the whole file.
            (StartPosition::FromLast(count), _) => Self::Part(len.saturating_sub(count)..len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_file() {
        let of = |range: &str, len: u64| {
            let headers = HeaderMap::from_iter([(header::RANGE, range.parse().unwrap())]);
            match RequestedRange::from_headers(&headers, "\"a\"", len) {
                RequestedRange::Whole => "whole".to_owned(),
                RequestedRange::Part(range) => format!("{range:?}"),
                RequestedRange::Unsatisfiable => "nothing".to_owned(),
            }
        };
        for (range, part) in [
            ("bytes=0-3", "0..4"),
            ("bytes=4-", "4..10"),
            ("bytes=-3", "7..10"),
            ("bytes=5-100", "5..10"),
            ("bytes=-100", "0..10"),
            ("bytes=-10", "0..10"),
            ("bytes=9-9", "9..10"),
            ("bytes=0-18446744073709551615", "0..10"),
            ("bytes=10-", "nothing"),
            ("bytes=10-12", "nothing"),
            ("bytes=-0", "nothing"),
            ("bytes=5-3", "whole"),
            ("bytes=12-11", "whole"),
            ("bytes=0-1,4-5", "whole"),
            ("bytes=0-5,3-8", "whole"),
            ("bytes=0-1,100-", "whole"),
            ("bytes=x", "whole"),
            ("bytes=", "whole"),
            ("bytes=-", "whole"),
            ("bytes=99999999999999999999-", "whole"),
            ("lines=0-1", "whole"),
        ] {
            assert_eq!(of(range, 10), part, "{range}");
        }
        for (range, part) in [("bytes=0-", "nothing"), ("bytes=-5", "nothing")] {
            assert_eq!(of(range, 0), part, "{range} of an empty file");
        }
    }
}

use std::error::Error;
use std::fmt::Write;

/// An error and its causes on one line: `cannot connect: refused`. A cause that the text already contains is skipped.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let part = source.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = source.source();
    }
    text
}

/// "1 layer", "2 layers": `count` things called `noun`, whose plural ends in s.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Bytes in lower-case hexadecimal, two digits each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Outer(&'static str, #[source] std::io::Error);

    #[test]
    fn causes_are_named_once() {
        let cause = || std::io::Error::other("refused");
        assert_eq!(error_chain(&Outer("cannot connect", cause())), "cannot connect: refused");
        assert_eq!(error_chain(&Outer("cannot connect: refused", cause())), "cannot connect: refused");
    }

    #[test]
    fn hexadecimal_keeps_leading_zeros() {
        assert_eq!(hex(&[0, 0x0a, 0xff]), "000aff");
    }
}

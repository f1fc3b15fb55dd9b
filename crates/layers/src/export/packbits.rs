/// Appends one row of samples compressed with PackBits (TIFF 6.0, section 9),
/// the run-length code of PSD files. Returns the number of bytes.
pub(super) fn encode(row: &[u8], out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let mut at = 0;
    while at < row.len() {
        let run = run_length(&row[at..]);
        if run >= 3 {
            // A header of 1 - n, as a signed byte, repeats the next byte n times.
            out.push((257 - run) as u8);
            out.push(row[at]);
            at += run;
        } else {
            let length = literal_length(&row[at..]);
            out.push((length - 1) as u8);
            out.extend_from_slice(&row[at..at + length]);
            at += length;
        }
    }
    out.len() - start
}

/// The most bytes of a channel of `width` x `height` samples, with the two bytes of each row's length.
pub(super) fn most_bytes(width: u32, height: u32) -> u64 {
    let row = u64::from(width) + u64::from(width.div_ceil(128)) + 2;
    row.saturating_mul(height.into())
}

/// How often the first byte repeats, 1 to 128.
fn run_length(bytes: &[u8]) -> usize {
    bytes.iter().take(128).take_while(|byte| **byte == bytes[0]).count()
}

/// How many bytes come before a run of three, 1 to 128.
fn literal_length(bytes: &[u8]) -> usize {
    let limit = bytes.len().min(128);
    (1..limit).find(|at| run_length(&bytes[*at..]) >= 3).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::encode;
    use proptest::prelude::*;

    /// The decoder of the specification, for checking.
    fn decode(bytes: &[u8]) -> Vec<u8> {
        let (mut out, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let header = bytes[at] as i8;
            at += 1;
            if header >= 0 {
                let length = header as usize + 1;
                out.extend_from_slice(&bytes[at..at + length]);
                at += length;
            } else if header != -128 {
                out.extend(std::iter::repeat_n(bytes[at], (1 - isize::from(header)) as usize));
                at += 1;
            }
        }
        out
    }

    #[test]
    fn runs_and_literals() {
        let mut out = Vec::new();
        assert_eq!(encode(&[7; 300], &mut out), 6);
        assert_eq!(out, [129, 7, 129, 7, 213, 7]);
        out.clear();
        encode(&[1, 2, 3, 3, 3], &mut out);
        assert_eq!(out, [1, 1, 2, 254, 3]);
    }

    proptest! {
        #[test]
        fn decodes_to_the_same_row(row in prop::collection::vec(0_u8..4, 0..700)) {
            let mut out = Vec::new();
            let length = encode(&row, &mut out);
            prop_assert_eq!(length, out.len());
            prop_assert_eq!(decode(&out), row);
        }

        #[test]
        fn noise_stays_in_bounds(row in prop::collection::vec(any::<u8>(), 1..700)) {
            let mut out = Vec::new();
            prop_assert!(encode(&row, &mut out) <= row.len() + row.len().div_ceil(128) + row.len() / 3);
            prop_assert_eq!(decode(&out), row);
        }
    }
}

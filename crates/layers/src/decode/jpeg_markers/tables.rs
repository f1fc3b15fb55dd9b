use super::bits::Stop;

/// Tables that hold until they are replaced.
#[derive(Default)]
pub(super) struct Tables {
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    /// Units between restart markers; 0 for none.
    pub restart_interval: u16,
}

/// A Huffman code (ITU-T T.81, annex F.2.2.3).
pub(super) struct Huffman {
    /// For each length, one more than its last code, aligned to the left of 16 bits. Codes grow with their length.
    ends: [u32; 16],
    /// For each length, what to take from a code to get its value's index.
    offsets: [i32; 16],
    values: Vec<u8>,
}

impl Tables {
    /// From the data of a DHT segment, which may define several. Reads as far as they make sense.
    pub(super) fn define(&mut self, mut data: &[u8]) {
        while let [target, rest @ ..] = data {
            let Some((counts, rest)) = rest.split_first_chunk::<16>() else { return };
            let length = counts.iter().map(|count| usize::from(*count)).sum();
            let Some((values, rest)) = rest.split_at_checked(length) else { return };
            let tables = if target >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            if let Some(table) = tables.get_mut(usize::from(target & 15)) {
                *table = Some(Huffman::new(counts, values));
            }
            data = rest;
        }
    }

    pub(super) fn set_restart_interval(&mut self, data: &[u8]) {
        if let [high, low, ..] = data {
            self.restart_interval = u16::from_be_bytes([*high, *low]);
        }
    }

    pub(super) fn dc(&self, index: usize) -> Result<&Huffman, Stop> {
        self.dc.get(index).and_then(Option::as_ref).ok_or(Stop::Nonsense)
    }

    pub(super) fn ac(&self, index: usize) -> Result<&Huffman, Stop> {
        self.ac.get(index).and_then(Option::as_ref).ok_or(Stop::Nonsense)
    }
}

impl Huffman {
    fn new(counts: &[u8; 16], values: &[u8]) -> Self {
        let (mut ends, mut offsets) = ([0; 16], [0; 16]);
        let (mut code, mut index) = (0_i32, 0_i32);
        for (length, count) in counts.iter().enumerate() {
            offsets[length] = index - code;
            code += i32::from(*count);
            index += i32::from(*count);
            // At most 16 bits; more codes than that leave no room are never reached.
            ends[length] = (code.unsigned_abs() << (15 - length)).min(1 << 16);
            code *= 2;
        }
        Self { ends, offsets, values: values.to_vec() }
    }

    /// The value and the length of the code that the 16 bits of `peek` begin with.
    pub(super) fn decode(&self, peek: u32) -> Option<(u8, u32)> {
        let length = self.ends.iter().position(|end| peek < *end)?;
        let code = i32::try_from(peek >> (15 - length)).ok()?;
        let value = self.values.get(usize::try_from(code + self.offsets[length]).ok()?)?;
        Some((*value, length as u32 + 1))
    }
}

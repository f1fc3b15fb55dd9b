use super::tables::Huffman;

/// Why no more can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The data of the interval is at its end.
    Ended,
    /// A code that no table has.
    Nonsense,
}

/// The bits of entropy-coded data up to the next restart marker.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// Bits read ahead, from the left.
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, buffer: 0, count: 0 }
    }

    /// The next `count` bits, at most 16.
    pub(super) fn take(&mut self, count: u8) -> Result<u32, Stop> {
        let count = u32::from(count);
        self.refill();
        if count > self.count {
            return Err(Stop::Ended);
        }
        let bits = self.buffer.checked_shr(64 - count).unwrap_or(0);
        self.consume(count);
        // At most 16 bits.
        Ok(bits as u32)
    }

    pub(super) fn symbol(&mut self, table: &Huffman) -> Result<u8, Stop> {
        self.refill();
        match table.decode((self.buffer >> 48) as u32) {
            Some((value, length)) if length <= self.count => {
                self.consume(length);
                Ok(value)
            }
            // What is behind the end of the data may look like anything.
            _ if self.count < 16 => Err(Stop::Ended),
            _ => Err(Stop::Nonsense),
        }
    }

    /// Goes behind the next restart marker, if there is one.
    pub(super) fn restart(&mut self) -> bool {
        (self.buffer, self.count) = (0, 0);
        while let Some(found) = self.data[self.at..].iter().position(|byte| *byte == 0xFF) {
            self.at += found + 1;
            if matches!(self.data.get(self.at), Some(0xD0..=0xD7)) {
                self.at += 1;
                return true;
            }
        }
        self.at = self.data.len();
        false
    }

    fn consume(&mut self, count: u32) {
        self.buffer <<= count;
        self.count -= count;
    }

    fn refill(&mut self) {
        if self.count >= 16 {
            return;
        }
        while self.count <= 56 {
            let byte = match self.data[self.at..] {
                [0xFF, 0, ..] => {
                    self.at += 2;
                    0xFF
                }
                // A restart marker, or fill bytes before the end.
                [0xFF, ..] | [] => return,
                [byte, ..] => {
                    self.at += 1;
                    byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }
}

//! Whether the scans of a JPEG hold all blocks of the picture: their Huffman codes are read, and nothing is made of
//! them (ITU-T T.81, annexes F.2 and G.2).

use super::bits::{Bits, Stop};
use super::tables::Tables;

/// What a look at a scan found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// All blocks, or something that only the decoder can judge.
    Nothing,
    TooFewBlocks,
}

/// The picture as its frame header describes it.
#[derive(Default)]
pub(super) struct Frame {
    pub width: u16,
    pub height: u16,
    /// Baseline or extended sequential or progressive: what is read here.
    known: bool,
    progressive: bool,
    components: Vec<Component>,
    tables: Tables,
    /// Bits of blocks did not make sense, so what later scans say of them cannot be read.
    unsure: bool,
}

struct Component {
    id: u8,
    /// Sampling factors, 1 to 4.
    across: u8,
    down: u8,
    seen: bool,
    /// Coefficients that are exact, one bit each.
    exact: u64,
    /// In progressive pictures, which coefficients of each block are not zero.
    blocks: Vec<u64>,
    /// Blocks in a row of `blocks`.
    row: usize,
}

/// A scan header (T.81, B.2.3).
struct Scan {
    /// Index of the component, its DC and its AC table.
    components: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    first: u8,
    last: u8,
    /// Bit that came before, and that comes now.
    high: u8,
    low: u8,
}

/// Where the entropy-coded data that begins at `at` ends: before the next marker that is not part of it.
pub(super) fn end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == 0xFF) {
        at += found;
        match bytes.get(at + 1) {
            None => return bytes.len(),
            Some(0 | 0xD0..=0xD7) => at += 2,
            Some(0xFF) => at += 1,
            Some(_) => return at,
        }
    }
    bytes.len()
}

impl Frame {
    /// From the data of a frame header, if that is long enough.
    pub(super) fn new(marker: u8, data: &[u8]) -> Option<Self> {
        let [precision, h0, h1, w0, w1, count, rest @ ..] = data else { return None };
        let (width, height) = (u16::from_be_bytes([*w0, *w1]), u16::from_be_bytes([*h0, *h1]));
        let components: Vec<_> = rest.as_chunks::<3>().0.iter().take((*count).into()).map(Component::new).collect();
        if components.len() != usize::from(*count) {
            return None;
        }
        let sampled = components.iter().all(|part| (1..=4).contains(&part.across) && (1..=4).contains(&part.down));
        let known = matches!(marker, 0xC0..=0xC2) && *precision == 8 && (1..=3).contains(count) && sampled;
        Some(Self { width, height, known, progressive: marker == 0xC2, components, ..Self::default() })
    }

    /// The tables that came before the frame header hold for it. Of two headers, only the decoder knows which counts.
    pub(super) fn with_tables_of(mut self, before: Option<Self>) -> Self {
        if let Some(before) = before {
            self.known &= before.components.is_empty();
            self.tables = before.tables;
        }
        self
    }

    /// Takes a segment of Huffman tables (0xC4) or the restart interval (0xDD).
    pub(super) fn take_tables(&mut self, marker: u8, data: &[u8]) {
        if marker == 0xC4 { self.tables.define(data) } else { self.tables.set_restart_interval(data) }
    }

    /// Whether the scans seen make up the picture. Without an end marker all coefficients must be exact, since further
    /// scans may have been lost.
    pub(super) fn is_complete(&self, ended: bool) -> bool {
        if !self.known || self.unsure {
            return ended;
        }
        self.components.iter().all(|part| part.seen && (ended || part.exact == u64::MAX))
    }

    /// `header` is the data of a scan header, `data` what follows it up to the next marker.
    pub(super) fn check_scan(&mut self, header: &[u8], data: &[u8]) -> Found {
        if !self.known {
            return Found::Nothing;
        }
        let Some(scan) = self.scan(header) else {
            self.known = false;
            return Found::Nothing;
        };
        if !self.progressive && scan.components.iter().all(|(index, ..)| self.components[*index].seen) {
            // The decoder takes the first scan and leaves the rest.
            return Found::Nothing;
        }
        let covered = (u64::MAX >> (63 - scan.last)) & (u64::MAX << scan.first);
        for (index, ..) in &scan.components {
            self.components[*index].seen = true;
            if scan.low == 0 {
                self.components[*index].exact |= covered;
            }
        }
        self.check_intervals(&scan, data)
    }

    fn scan(&self, header: &[u8]) -> Option<Scan> {
        let (count, rest) = header.split_first()?;
        let (parts, rest) = rest.split_at_checked(usize::from(*count) * 2)?;
        let components = parts.as_chunks::<2>().0.iter().map(|[id, tables]| {
            let index = self.components.iter().position(|part| part.id == *id)?;
            Some((index, usize::from(tables >> 4), usize::from(tables & 15)))
        });
        let components = components.collect::<Option<Vec<_>>>().filter(|parts| !parts.is_empty())?;
        let [first, last, bits, ..] = *rest else { return None };
        if !self.progressive {
            return Some(Scan { components, first: 0, last: 63, high: 0, low: 0 });
        }
        let scan = Scan { components, first, last, high: bits >> 4, low: bits & 15 };
        let is_dc = scan.first == 0 && scan.last == 0;
        let is_ac = scan.first > 0 && scan.first <= scan.last && scan.last < 64 && scan.components.len() == 1;
        (is_dc || is_ac).then_some(scan)
    }

    /// Reads the data interval by interval. Only the last one can say that the picture ends too early.
    fn check_intervals(&mut self, scan: &Scan, data: &[u8]) -> Found {
        let (columns, rows) = self.units(scan);
        let units = columns * rows;
        let interval = match self.tables.restart_interval {
            0 => units,
            interval => usize::from(interval),
        };
        let mut unit = 0;
        let mut bits = Bits::new(data);
        while unit < units {
            let next = (unit + interval).min(units);
            let stop = self.check_units(scan, unit..next, columns, &mut bits).err();
            let more = bits.restart();
            match stop {
                Some(Stop::Ended) if !more => return Found::TooFewBlocks,
                Some(_) => self.unsure = true,
                None => {}
            }
            unit = next;
            if !more && unit < units {
                // After nonsense nobody can say where the blocks are that are missing.
                return if stop.is_none() { Found::TooFewBlocks } else { Found::Nothing };
            }
        }
        Found::Nothing
    }

    fn check_units(
        &mut self,
        scan: &Scan,
        units: std::ops::Range<usize>,
        columns: usize,
        bits: &mut Bits<'_>,
    ) -> Result<(), Stop> {
        let mut run = 0;
        for unit in units {
            let (x, y) = (unit % columns, unit / columns);
            for (index, dc, ac) in &scan.components {
                let part = &mut self.components[*index];
                // A scan of one component goes block by block, whatever its sampling.
                let (across, down) = if scan.components.len() == 1 { (1, 1) } else { (part.across, part.down) };
                for block in 0..usize::from(across) * usize::from(down) {
                    let (across, down) = (usize::from(across), usize::from(down));
                    let at = (y * down + block / across) * part.row + x * across + block % across;
                    let reader = BlockReader { scan, tables: &self.tables, dc: *dc, ac: *ac, unsure: self.unsure };
                    match part.blocks.get_mut(at) {
                        Some(nonzero) => reader.progressive(nonzero, &mut run, bits)?,
                        None => reader.sequential(bits)?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Columns and rows of what a scan goes through: blocks of one component, or units with blocks of several. Makes
    /// room for the blocks of a progressive picture.
    fn units(&mut self, scan: &Scan) -> (usize, usize) {
        let most = |side: fn(&Component) -> u8| self.components.iter().map(side).max().unwrap_or(1).max(1).into();
        let (across, down): (usize, usize) = (most(|part| part.across), most(|part| part.down));
        let (width, height) = (usize::from(self.width), usize::from(self.height));
        let (columns, rows) = (width.div_ceil(8 * across), height.div_ceil(8 * down));
        if self.progressive {
            for part in self.components.iter_mut().filter(|part| part.blocks.is_empty()) {
                part.row = columns * usize::from(part.across);
                part.blocks = vec![0; part.row * rows * usize::from(part.down)];
            }
        }
        match scan.components[..] {
            [(index, ..)] => {
                let part = &self.components[index];
                let side = |length: usize, factor: u8, most: usize| (length * usize::from(factor)).div_ceil(8 * most);
                (side(width, part.across, across), side(height, part.down, down))
            }
            _ => (columns, rows),
        }
    }
}

impl Component {
    fn new([id, sampling, _]: &[u8; 3]) -> Self {
        let (across, down) = (sampling >> 4, sampling & 15);
        Self { id: *id, across, down, seen: false, exact: 0, blocks: Vec::new(), row: 0 }
    }
}

/// Reads one block.
struct BlockReader<'a> {
    scan: &'a Scan,
    tables: &'a Tables,
    dc: usize,
    ac: usize,
    unsure: bool,
}

impl BlockReader<'_> {
    fn sequential(&self, bits: &mut Bits<'_>) -> Result<(), Stop> {
        self.difference(bits)?;
        let mut at = 1;
        while at < 64 {
            let (zeros, size) = self.coefficient(bits)?;
            match (zeros, size) {
                (15, 0) => at += 16,
                (_, 0) => return Ok(()),
                _ => {
                    bits.take(size)?;
                    at += u32::from(zeros) + 1;
                }
            }
        }
        Ok(())
    }

    /// `run` is how many blocks, this one included, have no further coefficients in this scan.
    fn progressive(&self, nonzero: &mut u64, run: &mut u32, bits: &mut Bits<'_>) -> Result<(), Stop> {
        match (self.scan.first, self.scan.high) {
            (0, 0) => self.difference(bits),
            (0, _) => bits.take(1).map(drop),
            (_, 0) => self.first_bits(nonzero, run, bits),
            _ if self.unsure => Err(Stop::Nonsense),
            _ => self.further_bits(nonzero, run, bits),
        }
    }

    /// T.81, G.1.2.2.
    fn first_bits(&self, nonzero: &mut u64, run: &mut u32, bits: &mut Bits<'_>) -> Result<(), Stop> {
        if *run > 0 {
            *run -= 1;
            return Ok(());
        }
        let mut at = self.scan.first;
        while at <= self.scan.last {
            let (zeros, size) = self.coefficient(bits)?;
            match (zeros, size) {
                (15, 0) => at += 16,
                (_, 0) => {
                    *run = (1 << zeros) - 1 + bits.take(zeros)?;
                    return Ok(());
                }
                _ => {
                    bits.take(size)?;
                    at += zeros;
                    *nonzero |= 1_u64.checked_shl(at.into()).unwrap_or(0);
                    at += 1;
                }
            }
        }
        Ok(())
    }

    /// T.81, G.1.2.3: every coefficient that is not zero already has a bit more, wherever one passes it.
    fn further_bits(&self, nonzero: &mut u64, run: &mut u32, bits: &mut Bits<'_>) -> Result<(), Stop> {
        let mut at = self.scan.first;
        while *run == 0 && at <= self.scan.last {
            let (mut zeros, size) = self.coefficient(bits)?;
            if size == 0 && zeros < 15 {
                *run = (1 << zeros) + bits.take(zeros)?;
                break;
            }
            if size > 0 {
                // The sign of a new coefficient.
                bits.take(1)?;
            }
            while at <= self.scan.last {
                if *nonzero >> at & 1 == 1 {
                    bits.take(1)?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                at += 1;
            }
            if size > 0 && at <= self.scan.last {
                *nonzero |= 1 << at;
            }
            at += 1;
        }
        if *run > 0 {
            while at <= self.scan.last {
                if *nonzero >> at & 1 == 1 {
                    bits.take(1)?;
                }
                at += 1;
            }
            *run -= 1;
        }
        Ok(())
    }

    fn difference(&self, bits: &mut Bits<'_>) -> Result<(), Stop> {
        let size = bits.symbol(self.tables.dc(self.dc)?)?;
        bits.take(size.min(16)).map(drop)
    }

    /// How many zeros come first, and the size of the coefficient.
    fn coefficient(&self, bits: &mut Bits<'_>) -> Result<(u8, u8), Stop> {
        let symbol = bits.symbol(self.tables.ac(self.ac)?)?;
        Ok((symbol >> 4, symbol & 15))
    }
}

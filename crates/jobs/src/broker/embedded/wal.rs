//! Checks SQLite's write-ahead log (<https://sqlite.org/fileformat2.html#walformat>). SQLite silently stops at the first
//! damaged record, but the operator has to know.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const MAGIC: u32 = 0x377f_0682;
const LARGEST_PAGE: u32 = 65536;
/// Records of earlier rounds may follow those of this one. Their first salt is smaller by one per round.
const ROUNDS: u32 = 1 << 20;

/// The state of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// It does not exist or has no content.
    Empty,
    /// Everything that was committed can be read. An incomplete change at the end is not damage.
    Whole { pages: u64 },
    /// Only the first `pages` can be read.
    Damaged { pages: u64 },
}

/// Reads a log to its end.
///
/// # Errors
/// When the file exists and cannot be read.
pub(super) fn inspect(log: &Path) -> io::Result<Log> {
    let file = match File::open(log) {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Log::Empty),
        Err(err) => return Err(err),
    };
    let mut file = BufReader::with_capacity(1 << 16, file);
    let mut header = [0; HEADER];
    match fill(&mut file, &mut header)? {
        0 => return Ok(Log::Empty),
        HEADER => {}
        _ => return Ok(Log::Damaged { pages: 0 }),
    }
    match Reader::start(&header) {
        Some(reader) => reader.read(file),
        None => Ok(Log::Damaged { pages: 0 }),
    }
}

struct Reader {
    is_big_endian: bool,
    page: usize,
    salts: [u32; 2],
    sum: [u32; 2],
}

impl Reader {
    /// `None` for an invalid header.
    fn start(header: &[u8; HEADER]) -> Option<Self> {
        let page = word(header, 8);
        let is_page = page.is_power_of_two() && (512..=LARGEST_PAGE).contains(&page);
        let is_big_endian = word(header, 0) == MAGIC + 1;
        if !is_page || (word(header, 0) != MAGIC && !is_big_endian) {
            return None;
        }
        let salts = [word(header, 16), word(header, 20)];
        let mut reader = Self { is_big_endian, page: page as usize, salts, sum: [0, 0] };
        reader.add(header.get(..24)?);
        (reader.sum == [word(header, 24), word(header, 28)]).then_some(reader)
    }

    fn read(mut self, mut file: impl Read) -> io::Result<Log> {
        let mut frame = vec![0; FRAME_HEADER + self.page];
        let (mut pages, mut is_readable, mut is_damaged) = (0, true, false);
        while fill(&mut file, &mut frame)? == frame.len() {
            let salts = [word(&frame, 8), word(&frame, 12)];
            if is_readable && salts == self.salts && self.continues(&frame) {
                pages += 1;
                continue;
            }
            is_readable = false;
            let is_commit = word(&frame, 4) != 0;
            let round = self.salts[0].wrapping_sub(salts[0]);
            let is_earlier = (1..ROUNDS).contains(&round);
            let is_blank = frame.iter().all(|byte| *byte == 0);
            // A commit behind unreadable records, or something that SQLite never writes.
            is_damaged |= if salts == self.salts { is_commit } else { !is_earlier && !is_blank };
        }
        Ok(if is_damaged { Log::Damaged { pages } } else { Log::Whole { pages } })
    }

    /// Whether a record's checksum, which continues that of the record before, is right.
    fn continues(&mut self, frame: &[u8]) -> bool {
        let before = self.sum;
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER..]);
        let is_right = self.sum == [word(frame, 16), word(frame, 20)];
        if !is_right {
            self.sum = before;
        }
        is_right
    }

    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            let number = |at: usize| {
                let number = word(pair, at);
                if self.is_big_endian { number } else { number.swap_bytes() }
            };
            let (first, second) = (number(0), number(4));
            self.sum[0] = self.sum[0].wrapping_add(first).wrapping_add(self.sum[1]);
            self.sum[1] = self.sum[1].wrapping_add(second).wrapping_add(self.sum[0]);
        }
    }
}

/// Four bytes as a big-endian number.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.iter().skip(at).take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Reads until `buffer` is full or the file ends; answers how much it read.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;

    /// The log of a database with some commits in it, while it is open.
    fn log(dir: &TempDir) -> (Connection, std::path::PathBuf) {
        let file = dir.path().join("a.sqlite");
        let db = Connection::open(&file).expect("a database");
        db.pragma_update(None, "journal_mode", "WAL").expect("a log");
        db.execute_batch("CREATE TABLE a (b TEXT)").expect("a table");
        for _ in 0..20 {
            db.execute("INSERT INTO a VALUES (hex(randomblob(500)))", []).expect("a row");
        }
        (db, dir.path().join("a.sqlite-wal"))
    }

    #[test]
    fn what_sqlite_wrote_is_whole_in_every_round() {
        let dir = TempDir::new().expect("a folder");
        assert_eq!(inspect(&dir.path().join("none")).expect("read"), Log::Empty);
        let (db, log) = log(&dir);
        let Log::Whole { pages } = inspect(&log).expect("read") else { panic!("it is damaged") };
        assert!(pages > 20, "{pages}");
        for round in 0..3 {
            db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).expect("a checkpoint");
            db.execute("INSERT INTO a VALUES ('b')", []).expect("a row");
            let found = inspect(&log).expect("read");
            assert!(matches!(found, Log::Whole { pages: 1..3 }), "round {round}: {found:?}");
        }
    }

    #[test]
    fn damage_is_seen_wherever_it_is() {
        let dir = TempDir::new().expect("a folder");
        let (_db, log) = log(&dir);
        let whole = fs::read(&log).expect("read");
        for (name, from, to) in [
            ("all", 0, whole.len()),
            ("the header", 0, 32),
            ("the first record", 40, 80),
            ("the middle", whole.len() / 2, whole.len() / 2 + 9),
            ("the second half", whole.len() / 2, whole.len()),
        ] {
            let mut bytes = whole.clone();
            bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0x5a);
            fs::write(&log, bytes).expect("written");
            assert!(matches!(inspect(&log).expect("read"), Log::Damaged { .. }), "{name}");
        }
        // A crash leaves a change half-written: that is no damage.
        fs::write(&log, &whole[..whole.len() - 5000]).expect("written");
        assert!(matches!(inspect(&log).expect("read"), Log::Whole { .. }));
        fs::write(&log, "").expect("written");
        assert_eq!(inspect(&log).expect("read"), Log::Empty);
    }
}

//! Opens the queue's file, and reports what was lost where it is damaged.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use time::OffsetDateTime;

use super::connection::{checkpoint_on_close, is_damage, keep_copy, lock};
use super::open_files::{OpenFiles, wal_path};
use super::rescue::rescue;
use super::schema::{self, migrate};
use super::wal::{self, Log};
use crate::broker::BrokerError;
use crate::broker::clock::{Clock, EvenTime, Moment, milliseconds};

type Result<T> = std::result::Result<T, BrokerError>;

/// A file that this process has to itself.
pub(super) struct QueueFile {
    pub(super) db: Connection,
    pub(super) files: OpenFiles,
    pub(super) time: EvenTime,
}

/// Opens the file for this process alone, and creates it where it is missing. A damaged file is copied aside, and the
/// queue continues with what can be read.
pub(super) fn open(file: &Path, clock: &Clock) -> Result<QueueFile> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut db = match lock(file) {
        Ok(db) => check(db, file, clock)?,
        Err(BrokerError::Sqlite(err)) if is_damage(&err) => rescue(file, clock)?,
        Err(err) => return Err(err),
    };
    migrate(&mut db)?;
    let last = last_time(&db)?.map(|(even_ms, wall_ms, _)| (even_ms, wall_ms));
    let time = EvenTime::resume(clock.clone(), last);
    checkpoint_on_close(&db, true)?;
    store_time(&db, time.now(), false)?;
    // So that the file itself says that there is a log, should the log get lost. Passive: the log keeps its content.
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(QueueFile { db, files: OpenFiles::of(file)?, time })
}

/// Stores the present time, for the process that opens the file next.
pub(super) fn store_time(db: &Connection, now: Moment, is_closed: bool) -> Result<()> {
    let mut store = db.prepare_cached(
        "INSERT INTO clock (id, even_ms, wall_ms, is_closed) VALUES (1, ?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET even_ms = ?1, wall_ms = ?2, is_closed = ?3",
    )?;
    store.execute(params![now.even_ms, milliseconds(now.wall), is_closed])?;
    Ok(())
}

/// The queue's own time and the wall clock when they were last stored, and whether the file was closed then.
fn last_time(db: &Connection) -> Result<Option<(i64, i64, bool)>> {
    // Before version 3 there was no table for it.
    if schema::version(db)? < 3 {
        return Ok(None);
    }
    let mut query = db.prepare("SELECT even_ms, wall_ms, is_closed FROM clock WHERE id = 1")?;
    Ok(query.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?)
}

/// Answers the connection if the file is intact; otherwise reports what was lost and answers one to what is left.
fn check(db: Connection, file: &Path, clock: &Clock) -> Result<Connection> {
    // A damaged file is copied before anything changes it. Its connection is closed first: reading a file that is open
    // drops its POSIX lock.
    if !is_intact(&db)? {
        drop(db);
        return rescue(file, clock);
    }
    let last = last_time(&db)?;
    let as_of = last.and_then(|(_, wall_ms, _)| shown(wall_ms)).unwrap_or_else(|| "an unknown time".to_owned());
    let was_open = last.is_some_and(|(_, _, is_closed)| !is_closed);
    let log = wal_path(file);
    match wal::inspect(&log)? {
        Log::Damaged { pages } => {
            drop(db);
            let copy = keep_copy(file, clock)?;
            tracing::error!(
                file = %file.display(), log = %log.display(), copy = %copy.display(), readable_pages = pages, as_of,
                "the write-ahead log of the embedded queue is damaged: jobs and events behind the damage are lost; the \
                 damaged files were copied"
            );
            return lock(file);
        }
        Log::Empty | Log::Whole { pages: 0 } if was_open => tracing::error!(
            file = %file.display(), log = %log.display(), as_of,
            "the write-ahead log of the embedded queue is missing or empty although the queue was not closed: jobs and \
             events in it are lost"
        ),
        Log::Empty | Log::Whole { .. } => {}
    }
    Ok(db)
}

fn is_intact(db: &Connection) -> Result<bool> {
    match db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)) {
        Ok(found) => Ok(found == "ok"),
        Err(err) if is_damage(&err) => Ok(false),
        Err(err) => Err(err.into()),
    }
}

fn shown(wall_ms: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(wall_ms) * 1_000_000).ok()?;
    at.format(&time::format_description::well_known::Rfc3339).ok()
}

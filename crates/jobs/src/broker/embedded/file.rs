//! Opens the queue's file, and says so when something in it was lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use time::OffsetDateTime;

use super::place::{Place, log_of, with_suffix};
use super::rescue;
use super::wal::{self, Log};
use crate::broker::BrokerError;
use crate::broker::clock::{Clock, EvenTime, Moment, milliseconds};

type Result<T> = std::result::Result<T, BrokerError>;

/// What brings a file from each version to the next; a new file gets all of them.
/// Fields that `Job` or `Event` gain later need `#[serde(default)]` instead: rows
/// that hold them as JSON stay.
const MIGRATIONS: [&str; 3] = [include_str!("schema.sql"), include_str!("schema_2.sql"), include_str!("schema_3.sql")];

/// How long to wait for a process that is just going away.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// A file that this process has to itself.
pub(super) struct Opened {
    pub(super) db: Connection,
    pub(super) place: Place,
    pub(super) time: EvenTime,
}

/// Opens the file for this process alone, and makes it where it is missing. What is damaged is kept aside, and
/// the queue goes on with what is whole.
pub(super) fn open(file: &Path, clock: &Clock) -> Result<Opened> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut db = match lock(file) {
        Ok(db) => sound(db, file, clock)?,
        Err(BrokerError::Sqlite(err)) if is_damage(&err) => rescue::rescue(file, clock)?,
        Err(err) => return Err(err),
    };
    migrate(&mut db)?;
    let last = last_time(&db)?.map(|(even_ms, wall_ms, _)| (even_ms, wall_ms));
    let time = EvenTime::resume(clock.clone(), last);
    tidy_up(&db, true)?;
    store_time(&db, time.now(), false)?;
    // So the file itself says that there is a log, should the log get lost. Passive: the log keeps what is in it.
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(Opened { db, place: Place::of(file)?, time })
}

/// Takes the file's lock, which lasts as long as the connection; the kernel drops it when the process dies.
/// What is in the log stays there when the connection is closed, unless [`tidy_up`] says otherwise.
pub(super) fn lock(file: &Path) -> Result<Connection> {
    let lock = || -> rusqlite::Result<Connection> {
        let db = Connection::open(file)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        // What was answered with "queued" must survive a power cut too.
        db.pragma_update(None, "synchronous", "FULL")?;
        Ok(db)
    };
    lock().map_err(|err| match err.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => BrokerError::FileInUse { file: file.to_owned() },
        Some(ErrorCode::NotADatabase) => BrokerError::NotAQueue { file: file.to_owned() },
        _ => err.into(),
    })
}

/// Lets a file be closed properly, with all that is in its log written into it.
pub(super) fn tidy_up(db: &Connection, when_closed: bool) -> Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !when_closed)?;
    Ok(())
}

/// Brings a file to the version that this program knows.
pub(super) fn migrate(db: &mut Connection) -> Result<()> {
    let version = version(db)?;
    let known = MIGRATIONS.len();
    let Some(missing) = usize::try_from(version).ok().and_then(|version| MIGRATIONS.get(version..)) else {
        let problem = format!("its version is {version}, this program knows {known}; use the newer program");
        return Err(BrokerError::Malformed(problem));
    };
    if !missing.is_empty() {
        let tx = db.transaction()?;
        for migration in missing {
            tx.execute_batch(migration)?;
        }
        tx.pragma_update(None, "user_version", i64::try_from(known).unwrap_or(i64::MAX))?;
        tx.commit()?;
    }
    Ok(())
}

fn version(db: &Connection) -> Result<i64> {
    Ok(db.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Writes down how late it is, for the process that has the file next.
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
    if version(db)? < 3 {
        return Ok(None);
    }
    let mut query = db.prepare("SELECT even_ms, wall_ms, is_closed FROM clock WHERE id = 1")?;
    Ok(query.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?)
}

/// Gives the file back if it is whole; otherwise says what was lost and gives what is left.
fn sound(db: Connection, file: &Path, clock: &Clock) -> Result<Connection> {
    // Nothing of damaged files is changed before they are kept; and a file that is read while it is open loses its
    // lock, as POSIX has it.
    if !is_sound(&db)? {
        drop(db);
        return rescue::rescue(file, clock);
    }
    let last = last_time(&db)?;
    let as_of = last.and_then(|(_, wall_ms, _)| shown(wall_ms)).unwrap_or_else(|| "an unknown time".to_owned());
    let was_open = last.is_some_and(|(_, _, is_closed)| !is_closed);
    let log = log_of(file);
    match wal::inspect(&log)? {
        Log::Damaged { pages } => {
            drop(db);
            let kept = keep(file, clock)?;
            tracing::error!(
                file = %file.display(), log = %log.display(), kept = %kept.display(), readable_pages = pages, as_of,
                "the log of the embedded queue is damaged: jobs and events that were written into it behind the damage \
                 are lost; the damaged files are kept"
            );
            return lock(file);
        }
        Log::Empty | Log::Whole { pages: 0 } if was_open => tracing::error!(
            file = %file.display(), log = %log.display(), as_of,
            "the log of the embedded queue is missing or empty, though the queue was not closed: jobs and events that \
             were in it are lost"
        ),
        Log::Empty | Log::Whole { .. } => {}
    }
    Ok(db)
}

fn is_sound(db: &Connection) -> Result<bool> {
    match db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)) {
        Ok(found) => Ok(found == "ok"),
        Err(err) if is_damage(&err) => Ok(false),
        Err(err) => Err(err.into()),
    }
}

pub(super) fn is_damage(err: &rusqlite::Error) -> bool {
    err.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// Copies the file and its log to names of their own; answers that of the file.
pub(super) fn keep(file: &Path, clock: &Clock) -> Result<PathBuf> {
    let now = clock.now();
    let stamp = format!("{}T{:02}{:02}{:02}Z", now.date(), now.hour(), now.minute(), now.second());
    let mut kept = with_suffix(file, &format!(".damaged-{stamp}"));
    for again in 2.. {
        if !kept.exists() {
            break;
        }
        kept = with_suffix(file, &format!(".damaged-{stamp}-{again}"));
    }
    fs::copy(file, &kept)?;
    if log_of(file).exists() {
        fs::copy(log_of(file), log_of(&kept))?;
    }
    Ok(kept)
}

fn shown(wall_ms: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(wall_ms) * 1_000_000).ok()?;
    at.format(&time::format_description::well_known::Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_an_older_version_opens() {
        for version in 1..MIGRATIONS.len() {
            let dir = tempfile::TempDir::new().expect("a folder");
            let file = dir.path().join("queue.sqlite");
            let db = lock(&file).expect("a file");
            MIGRATIONS[..version].iter().for_each(|migration| db.execute_batch(migration).expect("a migration"));
            db.pragma_update(None, "user_version", version as i64).expect("a version");
            if version == 2 {
                for (id, url) in [("a", "https://example.org/x/y"), ("b", "http://[::1]:90/"), ("c", "https://e.org")] {
                    let delivery = format!("{{\"url\": \"{url}\"}}");
                    let insert = "INSERT INTO deliveries (id, due_at, attempt, delivery) VALUES (?1, 7, 1, ?2)";
                    db.execute(insert, [id, &delivery]).expect("a delivery");
                }
            }
            drop(db);
            let opened = open(&file, &Clock::default()).expect("it opens");
            let mut query = opened.db.prepare("SELECT receiver FROM posting_receivers ORDER BY receiver").expect("sql");
            let receivers: Vec<String> =
                query.query_map([], |row| row.get(0)).expect("rows").collect::<rusqlite::Result<_>>().expect("text");
            let expected: &[&str] =
                if version == 2 { &["http://[::1]:90", "https://e.org", "https://example.org"] } else { &[] };
            assert_eq!(receivers, expected);
        }
    }
}

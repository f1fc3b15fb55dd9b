//! The connection to the queue's file, which holds the file's lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use super::open_files::{wal_path, with_suffix};
use crate::broker::BrokerError;
use crate::broker::clock::Clock;

type Result<T> = std::result::Result<T, BrokerError>;

/// How long to wait for a process that is just ending.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens the file and takes its lock, which lasts as long as the connection; the kernel drops it when the process dies.
/// Closing the connection leaves the write-ahead log in place unless [`checkpoint_on_close`] was called.
pub(super) fn lock(file: &Path) -> Result<Connection> {
    let lock = || -> rusqlite::Result<Connection> {
        let db = Connection::open(file)?;
        checkpoint_on_close(&db, false)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        // A job that was acknowledged as queued must survive a power cut too.
        db.pragma_update(None, "synchronous", "FULL")?;
        Ok(db)
    };
    lock().map_err(|err| match err.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => BrokerError::FileInUse { file: file.to_owned() },
        Some(ErrorCode::NotADatabase) => BrokerError::NotAQueue { file: file.to_owned() },
        _ => err.into(),
    })
}

/// Sets whether closing the connection writes the log into the file and removes it.
pub(super) fn checkpoint_on_close(db: &Connection, enabled: bool) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !enabled).map(drop)
}

pub(super) fn is_damage(err: &rusqlite::Error) -> bool {
    err.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// Copies the file and its log to unused names; answers the name of the file's copy.
pub(super) fn keep_copy(file: &Path, clock: &Clock) -> Result<PathBuf> {
    let now = clock.now();
    let stamp = format!("{}T{:02}{:02}{:02}Z", now.date(), now.hour(), now.minute(), now.second());
    let mut copy = with_suffix(file, &format!(".damaged-{stamp}"));
    for number in 2.. {
        if !copy.exists() {
            break;
        }
        copy = with_suffix(file, &format!(".damaged-{stamp}-{number}"));
    }
    fs::copy(file, &copy)?;
    if wal_path(file).exists() {
        fs::copy(wal_path(file), wal_path(&copy))?;
    }
    Ok(copy)
}

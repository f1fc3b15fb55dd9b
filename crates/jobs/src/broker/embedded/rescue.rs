//! Makes a new queue of what can be read of a damaged one.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, params_from_iter};

use super::connection::{checkpoint_on_close, keep_copy, lock};
use super::deliveries;
use super::open_files::{wal_path, with_suffix};
use super::order;
use super::schema::migrate;
use super::tables;
use crate::broker::BrokerError;
use crate::broker::clock::Clock;

type Result<T> = std::result::Result<T, BrokerError>;

/// The tables, and the columns by which each is stored.
const TABLES: [(&str, &[&str]); 6] = [
    ("clock", &["id"]),
    ("jobs", &["rowid"]),
    ("line", &["turn"]),
    ("rounds", &["class"]),
    ("events", &["job_id", "seq"]),
    ("deliveries", &["rowid"]),
];

/// Copies a damaged file aside and replaces it by what can be read of it.
pub(super) fn rescue(file: &Path, clock: &Clock) -> Result<Connection> {
    let copy = keep_copy(file, clock)?;
    let rescued = with_suffix(file, ".rescued");
    for leftover in [rescued.clone(), wal_path(&rescued)] {
        remove(&leftover)?;
    }
    let (jobs, events) = {
        let damaged = Connection::open(&copy)?;
        damaged.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        checkpoint_on_close(&damaged, false)?;
        let mut whole = lock(&rescued)?;
        checkpoint_on_close(&whole, true)?;
        migrate(&mut whole)?;
        salvage(&damaged, &mut whole)?
    };
    // The log of the damaged file must never be read into another one.
    remove(&wal_path(file))?;
    fs::rename(&rescued, file)?;
    tracing::error!(
        file = %file.display(), copy = %copy.display(), jobs, events,
        "the file of the embedded queue is damaged: this many jobs and events could be read, the others are lost; the \
         damaged file was copied"
    );
    lock(file)
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}

/// Copies what can be read; answers the numbers of jobs and events.
fn salvage(damaged: &Connection, whole: &mut Connection) -> Result<(u64, u64)> {
    let tx = whole.transaction()?;
    for (table, keys) in TABLES {
        copy(damaged, &tx, table, keys)?;
    }
    tx.execute("DELETE FROM line WHERE job_id NOT IN (SELECT id FROM jobs WHERE state = 'queued')", [])?;
    let unordered = "SELECT id FROM jobs WHERE state = 'queued' AND id NOT IN (SELECT job_id FROM line) ORDER BY rowid";
    for id in tables::ids(&tx, unordered, [])? {
        if let Ok(Some(record)) = tables::load(&tx, id) {
            order::insert(&tx, &record, false)?;
        }
    }
    deliveries::rebuild_turns(&tx)?;
    let count = |table: &str| tx.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u64>(0));
    let counts = (count("jobs")?, count("events")?);
    tx.commit()?;
    Ok(counts)
}

/// Copies the rows of a table up to the first that cannot be read, then those from its end down to the last.
fn copy(damaged: &Connection, whole: &Connection, table: &str, keys: &[&str]) -> Result<()> {
    let Ok(known) = columns(damaged, table) else { return Ok(()) };
    let columns: Vec<_> = columns(whole, table)?.into_iter().filter(|column| known.contains(column)).collect();
    if columns.is_empty() {
        return Ok(());
    }
    let names = columns.join(", ");
    let placeholders = vec!["?"; columns.len()].join(", ");
    let mut insert = whole.prepare(&format!("INSERT OR IGNORE INTO {table} ({names}) VALUES ({placeholders})"))?;
    for direction in ["ASC", "DESC"] {
        let order: Vec<_> = keys.iter().map(|key| format!("{key} {direction}")).collect();
        let sql = format!("SELECT {names} FROM {table} NOT INDEXED ORDER BY {}", order.join(", "));
        let Ok(mut query) = damaged.prepare(&sql) else { return Ok(()) };
        let Ok(mut rows) = query.query([]) else { return Ok(()) };
        loop {
            match rows.next() {
                Ok(Some(row)) => {
                    let values: rusqlite::Result<Vec<Value>> = (0..columns.len()).map(|at| row.get(at)).collect();
                    let Ok(values) = values else { continue };
                    match insert.execute(params_from_iter(values)) {
                        // A row that breaks the table's constraints is damaged too.
                        Err(err) if !is_refused(&err) => return Err(err.into()),
                        _ => {}
                    }
                }
                Ok(None) => return Ok(()),
                Err(_) => break,
            }
        }
    }
    Ok(())
}

fn is_refused(err: &rusqlite::Error) -> bool {
    matches!(err.sqlite_error_code(), Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch))
}

fn columns(db: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    db.prepare("SELECT name FROM pragma_table_info(?1)")?.query_map([table], |row| row.get(0))?.collect()
}

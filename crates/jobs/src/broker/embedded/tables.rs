//! The tables of the embedded queue (see `schema.sql`).

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use time::OffsetDateTime;
use uuid::Uuid;

use super::deliveries;
use crate::broker::{BrokerError, Idempotency, Stats};
use crate::{Event, EventKind, Job, JobId, State, Webhook};

type Result<T> = std::result::Result<T, BrokerError>;

/// What brings a file from each version to the next; a new file gets all of them.
/// Fields that `Job` or `Event` gain later need `#[serde(default)]` instead: rows
/// that hold them as JSON stay.
const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("schema_2.sql")];

/// How long to wait for a process that is just going away.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// A row of `jobs`.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) job: Job,
    pub(super) worker: Option<String>,
    pub(super) lost: u32,
    pub(super) client: String,
    pub(super) webhook: Option<Webhook>,
}

/// Opens the file for this process alone, and makes it where it is missing.
pub(super) fn open(file: &Path) -> Result<Connection> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    open_exclusively(file).map_err(|err| match err {
        BrokerError::Sqlite(err) if err.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            BrokerError::FileInUse { file: file.to_owned() }
        }
        other => other,
    })
}

fn open_exclusively(file: &Path) -> Result<Connection> {
    let mut db = Connection::open(file)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    // The lock lasts as long as the connection, and the kernel drops it when the process dies.
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // What was answered with "queued" must survive a power cut too.
    db.pragma_update(None, "synchronous", "FULL")?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
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
    Ok(db)
}

pub(super) fn load(db: &Connection, id: JobId) -> Result<Option<Record>> {
    let mut query = db.prepare_cached("SELECT job, worker, lost, client, webhook FROM jobs WHERE id = ?1")?;
    let read = |row: &Row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get::<_, Option<String>>(4)?))
    };
    let Some((job, worker, lost, client, webhook)) = query.query_row([id.to_string()], read).optional()? else {
        return Ok(None);
    };
    let webhook = webhook.map(|json| serde_json::from_str(&json)).transpose()?;
    Ok(Some(Record { job: serde_json::from_str(&job)?, worker, lost, client, webhook }))
}

pub(super) fn insert(db: &Connection, record: &Record, idempotency: Option<&Idempotency>) -> Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO jobs (id, state, upload_id, idempotency_key, fingerprint, client, webhook, job)
         VALUES (?1, '', ?2, ?3, ?4, ?5, ?6, '')",
    )?;
    let webhook = record.webhook.as_ref().map(serde_json::to_string).transpose()?;
    insert.execute(params![
        record.job.id.to_string(),
        record.job.upload_id.to_string(),
        idempotency.map(|given| &given.key),
        idempotency.map(|given| &given.fingerprint),
        record.client,
        webhook,
    ])?;
    save(db, record)
}

pub(super) fn save(db: &Connection, record: &Record) -> Result<()> {
    let mut update = db.prepare_cached(
        "UPDATE jobs SET state = ?2, finished_at = ?3, worker = ?4, lost = ?5, job = ?6 WHERE id = ?1",
    )?;
    update.execute(params![
        record.job.id.to_string(),
        record.job.state.as_str(),
        record.job.timings.finished_at.map(milliseconds),
        record.worker,
        record.lost,
        serde_json::to_string(&record.job)?,
    ])?;
    Ok(())
}

/// Changes a job as `kind` says, and writes both down.
pub(super) fn emit(db: &Connection, record: &mut Record, kind: EventKind) -> Result<()> {
    let at = OffsetDateTime::now_utc();
    record.job.apply(&kind, at);
    if record.job.state != State::Running {
        record.worker = None;
    }
    let event = Event { seq: record.job.seq, job_id: record.job.id, at, kind };
    let mut insert = db.prepare_cached("INSERT INTO events (job_id, seq, event) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![event.job_id.to_string(), event.seq, serde_json::to_string(&event)?])?;
    if let Some(webhook) = record.webhook.as_ref().filter(|webhook| webhook.wants(&event.kind)) {
        deliveries::add(db, event, record.job.upload_id, &webhook.url)?;
    }
    save(db, record)
}

/// The id of the job that used an idempotency key, and what was asked then.
pub(super) fn idempotent(db: &Connection, key: &str) -> Result<Option<(JobId, String)>> {
    let mut query = db.prepare_cached("SELECT id, fingerprint FROM jobs WHERE idempotency_key = ?1")?;
    let row = query.query_row([key], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).optional()?;
    row.map(|(id, fingerprint)| Ok((parse_id(&id)?, fingerprint))).transpose()
}

pub(super) fn delete(db: &Connection, id: JobId) -> Result<()> {
    db.execute("DELETE FROM jobs WHERE id = ?1", [id.to_string()])?;
    db.execute("DELETE FROM events WHERE job_id = ?1", [id.to_string()])?;
    Ok(())
}

pub(super) fn events_after(db: &Connection, id: JobId, after: u64, limit: usize) -> Result<Vec<Event>> {
    // SQLite's integers are signed; no job has that many events.
    let (after, limit) = (i64::try_from(after).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
    let mut query =
        db.prepare_cached("SELECT event FROM events WHERE job_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3")?;
    let rows = query.query_map(params![id.to_string(), after, limit], |row| row.get::<_, String>(0))?;
    rows.map(|json| Ok(serde_json::from_str(&json?)?)).collect()
}

pub(super) fn stats(db: &Connection) -> Result<Stats> {
    let count = |sql: &str| db.prepare_cached(sql)?.query_row([], |row| row.get(0));
    Ok(Stats {
        queued: count("SELECT count(*) FROM line")?,
        running: count("SELECT count(*) FROM jobs WHERE state = 'running'")?,
    })
}

pub(super) fn running(db: &Connection) -> Result<Vec<JobId>> {
    ids(db, "SELECT id FROM jobs WHERE state = 'running' ORDER BY rowid", [])
}

pub(super) fn uploads_in_use(db: &Connection) -> Result<Vec<Uuid>> {
    ids(db, "SELECT DISTINCT upload_id FROM jobs WHERE state IN ('queued', 'running')", [])
}

pub(super) fn finished_before(db: &Connection, cutoff: OffsetDateTime) -> Result<Vec<JobId>> {
    ids(db, "SELECT id FROM jobs WHERE finished_at < ?1", [milliseconds(cutoff)])
}

fn ids(db: &Connection, sql: &str, arguments: impl rusqlite::Params) -> Result<Vec<Uuid>> {
    let mut query = db.prepare_cached(sql)?;
    let rows = query.query_map(arguments, |row: &Row| row.get::<_, String>(0))?;
    rows.map(|id| parse_id(&id?)).collect()
}

pub(super) fn parse_id(text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| BrokerError::Malformed(format!("\"{text}\" is no id")))
}

pub(super) fn milliseconds(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

//! The tables of the embedded queue (see `schema.sql`).

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params, params_from_iter};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::broker::rules::rivals_of;
use crate::broker::{BrokerError, Idempotency, Stats};
use crate::{EngineChoice, Event, EventKind, Job, JobId, State};

type Result<T> = std::result::Result<T, BrokerError>;

const SCHEMA: &str = include_str!("schema.sql");

/// Raised when `schema.sql` changes. Fields that `Job` or `Event` gain later
/// need `#[serde(default)]` instead: rows that hold them as JSON stay.
const SCHEMA_VERSION: i64 = 1;

/// How long to wait for a process that is just going away.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// A row of `jobs`.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) job: Job,
    pub(super) worker: Option<String>,
    pub(super) lost: u32,
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
    match version {
        0 => {
            let tx = db.transaction()?;
            tx.execute_batch(SCHEMA)?;
            tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            tx.commit()?;
        }
        SCHEMA_VERSION => {}
        other => {
            let problem = format!("its version is {other}, this program knows {SCHEMA_VERSION}; use the newer program");
            return Err(BrokerError::Malformed(problem));
        }
    }
    Ok(db)
}

pub(super) fn load(db: &Connection, id: JobId) -> Result<Option<Record>> {
    let mut query = db.prepare_cached("SELECT job, worker, lost FROM jobs WHERE id = ?1")?;
    let row =
        query.query_row([id.to_string()], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))).optional()?;
    row.map(|(job, worker, lost)| Ok(Record { job: serde_json::from_str(&job)?, worker, lost })).transpose()
}

pub(super) fn insert(db: &Connection, record: &Record, idempotency: Option<&Idempotency>) -> Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO jobs (id, state, upload_id, idempotency_key, fingerprint, job) VALUES (?1, '', ?2, ?3, ?4, '')",
    )?;
    insert.execute(params![
        record.job.id.to_string(),
        record.job.upload_id.to_string(),
        idempotency.map(|given| &given.key),
        idempotency.map(|given| &given.fingerprint),
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

/// Puts a job into the queue: at the end, or, when it was taken before, in
/// front of all that were not.
pub(super) fn enqueue(db: &Connection, job: &Job, returned: bool) -> Result<()> {
    let mut insert = db.prepare_cached("INSERT INTO waiting (returned, lane, job_id) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![returned, job.params.engine.as_str(), job.id.to_string()])?;
    Ok(())
}

pub(super) fn dequeue(db: &Connection, id: JobId) -> Result<()> {
    db.prepare_cached("DELETE FROM waiting WHERE job_id = ?1")?.execute([id.to_string()])?;
    Ok(())
}

/// The job that is next in some lanes.
pub(super) fn head(db: &Connection, lanes: &[EngineChoice]) -> Result<Option<JobId>> {
    let sql = format!(
        "SELECT job_id FROM waiting WHERE lane IN ({}) ORDER BY returned DESC, turn LIMIT 1",
        placeholders(lanes.len())
    );
    let mut query = db.prepare_cached(&sql)?;
    let names = params_from_iter(lanes.iter().map(|lane| lane.as_str()));
    let id = query.query_row(names, |row| row.get::<_, String>(0)).optional()?;
    id.map(|id| parse_id(&id)).transpose()
}

/// How many waiting jobs can come before this one; `None` when it does not wait.
pub(super) fn position(db: &Connection, job: &Job) -> Result<Option<u64>> {
    let rivals = rivals_of(job.params.engine);
    let sql = format!(
        "SELECT (SELECT count(*) FROM waiting WHERE (1 - returned, turn) < (1 - own.returned, own.turn) AND lane IN ({}))
         FROM waiting own WHERE own.job_id = ?",
        placeholders(rivals.len())
    );
    let id = job.id.to_string();
    let arguments = rivals.iter().map(|lane| lane.as_str()).chain([id.as_str()]);
    let mut query = db.prepare_cached(&sql)?;
    Ok(query.query_row(params_from_iter(arguments), |row| row.get(0)).optional()?)
}

pub(super) fn stats(db: &Connection) -> Result<Stats> {
    let count = |sql: &str| db.prepare_cached(sql)?.query_row([], |row| row.get(0));
    Ok(Stats {
        queued: count("SELECT count(*) FROM waiting")?,
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

fn parse_id(text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| BrokerError::Malformed(format!("\"{text}\" is no id")))
}

fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn milliseconds(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

//! The tables of the embedded queue (see `schema.sql`).

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::deliveries;
use crate::broker::clock::Moment;
use crate::broker::{BrokerError, Idempotency, Stats};
use crate::{Delivery, Event, EventKind, Job, JobId, State, Webhook};

type Result<T> = std::result::Result<T, BrokerError>;

/// A row of `jobs`.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) job: Job,
    pub(super) worker: Option<String>,
    pub(super) lost: u32,
    pub(super) client: String,
    pub(super) webhook: Option<Webhook>,
    /// When it was submitted, in milliseconds of the queue's own time.
    pub(super) queued_at: i64,
}

pub(super) fn load(db: &Connection, id: JobId) -> Result<Option<Record>> {
    let mut query =
        db.prepare_cached("SELECT job, worker, lost, client, webhook, queued_at FROM jobs WHERE id = ?1")?;
    let read = |row: &Row| {
        let webhook = row.get::<_, Option<String>>(4)?;
        Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, webhook, row.get(5)?))
    };
    let Some((job, worker, lost, client, webhook, queued_at)) = query.query_row([id.to_string()], read).optional()?
    else {
        return Ok(None);
    };
    let webhook = webhook.map(|json| serde_json::from_str(&json)).transpose()?;
    Ok(Some(Record { job: serde_json::from_str(&job)?, worker, lost, client, webhook, queued_at }))
}

pub(super) fn insert(db: &Connection, record: &Record, idempotency: Option<&Idempotency>, now: Moment) -> Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO jobs (id, state, upload_id, idempotency_key, fingerprint, client, webhook, queued_at, job)
         VALUES (?1, '', ?2, ?3, ?4, ?5, ?6, ?7, '')",
    )?;
    let webhook = record.webhook.as_ref().map(serde_json::to_string).transpose()?;
    insert.execute(params![
        record.job.id.to_string(),
        record.job.upload_id.to_string(),
        idempotency.map(|given| &given.key),
        idempotency.map(|given| &given.fingerprint),
        record.client,
        webhook,
        record.queued_at,
    ])?;
    save(db, record, now)
}

pub(super) fn save(db: &Connection, record: &Record, now: Moment) -> Result<()> {
    let mut update = db.prepare_cached(
        "UPDATE jobs SET state = ?2, finished_at = ?3, worker = ?4, lost = ?5, job = ?6 WHERE id = ?1",
    )?;
    update.execute(params![
        record.job.id.to_string(),
        record.job.state.as_str(),
        record.job.state.is_terminal().then_some(now.even_ms),
        record.worker,
        record.lost,
        serde_json::to_string(&record.job)?,
    ])?;
    Ok(())
}

/// Applies an event to a job and stores both.
pub(super) fn emit(db: &Connection, record: &mut Record, kind: EventKind, now: Moment) -> Result<()> {
    let at = now.shown(&record.job.timings);
    record.job.apply(&kind, at);
    if record.job.state != State::Running {
        record.worker = None;
    }
    let event = Event { seq: record.job.seq, job_id: record.job.id, at, kind };
    let mut insert = db.prepare_cached("INSERT INTO events (job_id, seq, event) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![event.job_id.to_string(), event.seq, serde_json::to_string(&event)?])?;
    if let Some(webhook) = record.webhook.as_ref().filter(|webhook| webhook.wants(&event.kind)) {
        let (upload_id, client) = (record.job.upload_id, record.client.clone());
        let delivery = Delivery { event, upload_id, url: webhook.url.clone(), attempt: 0, client };
        deliveries::insert(db, &delivery, now)?;
    }
    save(db, record, now)
}

/// The id of the job that used an idempotency key, and the fingerprint of its request.
pub(super) fn by_idempotency_key(db: &Connection, key: &str) -> Result<Option<(JobId, String)>> {
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
    let (after, limit) = (i64::try_from(after).unwrap_or(i64::MAX), count(limit));
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

/// Up to `limit` uploads that waiting or running jobs need, with ids above `after`, in order.
pub(super) fn uploads_in_use(db: &Connection, after: &str, limit: usize) -> Result<Vec<Uuid>> {
    let sql = "SELECT DISTINCT upload_id FROM jobs WHERE state IN ('queued', 'running') AND upload_id > ?1
               ORDER BY upload_id LIMIT ?2";
    ids(db, sql, params![after, count(limit)])
}

/// A position in the list of finished jobs: when a job ended, and its row.
pub(super) type FinishedCursor = (i64, i64);

/// Up to `limit` jobs that ended before a moment of the queue's own time, behind the cursor `after`, the oldest
/// first; and the cursor of the last of them.
pub(super) fn finished_before(
    db: &Connection,
    before: i64,
    after: FinishedCursor,
    limit: usize,
) -> Result<(Vec<JobId>, Option<FinishedCursor>)> {
    let mut query = db.prepare_cached(
        "SELECT id, finished_at, rowid FROM jobs
         WHERE finished_at IS NOT NULL AND finished_at < ?1 AND (finished_at, rowid) > (?2, ?3)
         ORDER BY finished_at, rowid LIMIT ?4",
    )?;
    let read = |row: &Row| Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?)));
    let (mut ids, mut last) = (Vec::new(), None);
    for row in query.query_map(params![before, after.0, after.1, count(limit)], read)? {
        let (id, cursor) = row?;
        ids.push(parse_id(&id)?);
        last = Some(cursor);
    }
    Ok((ids, last))
}

/// The number of waiting jobs of a client, without those that a worker returned.
pub(super) fn queued_of(db: &Connection, client: &str) -> Result<u64> {
    let mut query = db.prepare_cached("SELECT count(*) FROM line WHERE class IN (1, 2, 3) AND client = ?1")?;
    Ok(query.query_row([client], |row| row.get(0))?)
}

/// Marks a job whose record cannot be read, so that nothing looks at it again.
pub(super) fn mark_unreadable(db: &Connection, id: JobId) -> Result<()> {
    db.execute("UPDATE jobs SET state = 'unreadable' WHERE id = ?1", [id.to_string()])?;
    Ok(())
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn ids(db: &Connection, sql: &str, arguments: impl rusqlite::Params) -> Result<Vec<Uuid>> {
    let mut query = db.prepare_cached(sql)?;
    let rows = query.query_map(arguments, |row: &Row| row.get::<_, String>(0))?;
    rows.map(|id| parse_id(&id?)).collect()
}

pub(super) fn parse_id(text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| BrokerError::Malformed(format!("\"{text}\" is not a valid id")))
}

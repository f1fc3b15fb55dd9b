//! The order in which waiting jobs are taken (table `line`): by class, then in rounds in which each client has one turn,
//! then by arrival. See "Order" in the README.

use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::tables::{Record, parse_id};
use crate::broker::BrokerError;
use crate::broker::rules::rivals_of;
use crate::{EngineChoice, Job, JobId};

type Result<T> = std::result::Result<T, BrokerError>;

/// Gives a waiting job its place; one that a worker `returned` goes ahead of all others.
pub(super) fn insert(db: &Connection, record: &Record, returned: bool) -> Result<()> {
    let lane = record.job.params.engine.as_str();
    let (class, round) = if returned {
        (0, 0)
    } else {
        let class = record.job.priority.class();
        (class, round_of(db, class, lane, &record.client)?)
    };
    let mut insert =
        db.prepare_cached("INSERT INTO line (class, round, lane, client, job_id) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    insert.execute(params![class, round, lane, record.client, record.job.id.to_string()])?;
    Ok(())
}

/// The round after the client's last one, but not before the current round.
fn round_of(db: &Connection, class: u8, lane: &str, client: &str) -> Result<i64> {
    let mut query = db.prepare_cached(
        "SELECT max(
             ifnull((SELECT max(round) + 1 FROM line WHERE class = ?1 AND client = ?3), 0),
             coalesce((SELECT min(round) FROM line WHERE class = ?1 AND lane = ?2),
                      (SELECT round FROM rounds WHERE class = ?1), 0))",
    )?;
    Ok(query.query_row(params![class, lane, client], |row| row.get(0))?)
}

/// Removes a job that did not have its turn.
pub(super) fn remove(db: &Connection, id: JobId) -> Result<()> {
    db.prepare_cached("DELETE FROM line WHERE job_id = ?1")?.execute([id.to_string()])?;
    Ok(())
}

/// Removes a job because it has its turn now.
pub(super) fn take(db: &Connection, id: JobId) -> Result<()> {
    let mut remember = db.prepare_cached(
        "INSERT OR REPLACE INTO rounds (class, round) SELECT class, round FROM line WHERE job_id = ?1",
    )?;
    remember.execute([id.to_string()])?;
    remove(db, id)
}

/// The first job of some lanes.
pub(super) fn first(db: &Connection, lanes: &[EngineChoice]) -> Result<Option<JobId>> {
    let sql = format!(
        "SELECT job_id FROM line WHERE lane IN ({}) ORDER BY class, round, turn LIMIT 1",
        placeholders(lanes.len())
    );
    let mut query = db.prepare_cached(&sql)?;
    let names = params_from_iter(lanes.iter().map(|lane| lane.as_str()));
    let id = query.query_row(names, |row| row.get::<_, String>(0)).optional()?;
    id.map(|id| parse_id(&id)).transpose()
}

/// How many waiting jobs can be taken before this one; `None` when it does not wait.
pub(super) fn position(db: &Connection, job: &Job) -> Result<Option<u64>> {
    let rivals = rivals_of(job.params.engine);
    let sql = format!(
        "SELECT (SELECT count(*) FROM line WHERE (class, round, turn) < (own.class, own.round, own.turn) AND lane IN ({}))
         FROM line own WHERE own.job_id = ?",
        placeholders(rivals.len())
    );
    let id = job.id.to_string();
    let arguments = rivals.iter().map(|lane| lane.as_str()).chain([id.as_str()]);
    let mut query = db.prepare_cached(&sql)?;
    Ok(query.query_row(params_from_iter(arguments), |row| row.get(0)).optional()?)
}

fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}

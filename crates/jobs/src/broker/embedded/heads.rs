//! Newest event and queue position of many jobs at once, for the poll that all followers share.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use crate::broker::rules::rivals_of;
use crate::broker::{BrokerError, Head};
use crate::{EngineChoice, JobId};

type Result<T> = std::result::Result<T, BrokerError>;

/// The heads of `ids`, in the same order; `None` for a job that does not exist.
pub(super) fn of(db: &Connection, ids: &[JobId]) -> Result<Vec<Option<Head>>> {
    let mut query = db.prepare_cached(
        "SELECT (SELECT ifnull(max(seq), 0) FROM events WHERE job_id = jobs.id), finished_at IS NOT NULL,
                state = 'queued'
         FROM jobs WHERE id = ?1",
    )?;
    let mut heads = Vec::with_capacity(ids.len());
    let mut waiting = HashMap::new();
    for (index, id) in ids.iter().enumerate() {
        let id = id.to_string();
        let read = |row: &rusqlite::Row| {
            let head = Head { seq: row.get(0)?, is_over: row.get(1)?, position: None };
            Ok((head, row.get::<_, bool>(2)?))
        };
        let found = query.query_row([&id], read).optional()?;
        if let Some((_, true)) = found {
            waiting.insert(id, index);
        }
        heads.push(found.map(|(head, _)| head));
    }
    set_positions(db, &waiting, &mut heads)?;
    Ok(heads)
}

/// Sets the positions of the jobs that wait, all in one pass over the queue.
fn set_positions(db: &Connection, waiting: &HashMap<String, usize>, heads: &mut [Option<Head>]) -> Result<()> {
    if waiting.is_empty() {
        return Ok(());
    }
    let mut query = db.prepare_cached("SELECT job_id, lane FROM line ORDER BY class, round, turn")?;
    let mut rows = query.query([])?;
    let mut passed: HashMap<EngineChoice, u64> = HashMap::new();
    let mut missing = waiting.len();
    while missing > 0
        && let Some(row) = rows.next()?
    {
        let name: String = row.get(1)?;
        let lane: EngineChoice =
            name.parse().map_err(|_| BrokerError::Malformed(format!("\"{name}\" is not a known lane")))?;
        if let Some(head) = waiting.get(row.get_ref(0)?.as_str().unwrap_or_default()).and_then(|at| heads.get_mut(*at))
        {
            missing -= 1;
            let ahead: u64 = rivals_of(lane).iter().filter_map(|rival| passed.get(rival)).sum();
            if let Some(head) = head {
                head.position = Some(ahead);
            }
        }
        *passed.entry(lane).or_default() += 1;
    }
    Ok(())
}

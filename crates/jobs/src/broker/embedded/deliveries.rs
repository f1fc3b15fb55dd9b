//! Webhook deliveries that are still to be made.

use std::time::Duration;

use rusqlite::{Connection, params};
use time::OffsetDateTime;
use uuid::Uuid;

use super::tables::milliseconds;
use crate::broker::BrokerError;
use crate::{Delivery, Event, Settled};

type Result<T> = std::result::Result<T, BrokerError>;

pub(super) fn add(db: &Connection, event: Event, upload_id: Uuid, url: &str) -> Result<()> {
    let delivery = Delivery { event, upload_id, url: url.to_owned(), attempt: 0 };
    let mut insert =
        db.prepare_cached("INSERT INTO deliveries (id, due_at, attempt, delivery) VALUES (?1, ?2, 0, ?3)")?;
    insert.execute(params![delivery.id(), milliseconds(delivery.at()), serde_json::to_string(&delivery)?])?;
    Ok(())
}

pub(super) fn claim(db: &Connection, limit: usize, lease: Duration) -> Result<Vec<Delivery>> {
    let now = OffsetDateTime::now_utc();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut query = db.prepare_cached(
        "UPDATE deliveries SET attempt = attempt + 1, due_at = ?2
         WHERE id IN (SELECT id FROM deliveries WHERE due_at <= ?1 ORDER BY due_at LIMIT ?3)
         RETURNING attempt, delivery",
    )?;
    let rows = query.query_map(params![milliseconds(now), milliseconds(now + lease), limit], |row| {
        Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?))
    })?;
    let read = |row: rusqlite::Result<(u32, String)>| {
        let (attempt, json) = row?;
        Ok(Delivery { attempt, ..serde_json::from_str(&json)? })
    };
    rows.map(read).collect()
}

pub(super) fn settle(db: &Connection, id: &str, attempt: u32, settled: Settled) -> Result<()> {
    match settled {
        Settled::Done => db.execute("DELETE FROM deliveries WHERE id = ?1", [id])?,
        Settled::RetryIn(wait) => {
            let due_at = milliseconds(OffsetDateTime::now_utc() + wait);
            db.execute(
                "UPDATE deliveries SET due_at = ?3 WHERE id = ?1 AND attempt = ?2",
                params![id, attempt, due_at],
            )?
        }
    };
    Ok(())
}

//! Webhook deliveries that are still to be made, and whose turn it is.
//!
//! Clients have turns, and the receivers of each client have turns within it, so that no client's deliveries wait behind
//! all those of another. `ready_at` (see `schema.sql`) may be too early, never too late; [`claim`] corrects it.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::broker::BrokerError;
use crate::broker::clock::Moment;
use crate::webhook::CANDIDATES;
use crate::{DeliveriesInFlight, Delivery, DeliveryOutcome};

type Result<T> = std::result::Result<T, BrokerError>;

/// Adds a delivery that is due now.
pub(super) fn insert(db: &Connection, delivery: &Delivery, now: Moment) -> Result<()> {
    let receiver = delivery.receiver();
    let mut insert = db.prepare_cached(
        "INSERT INTO deliveries (id, due_at, attempt, delivery, client, receiver) VALUES (?1, ?2, 0, ?3, ?4, ?5)",
    )?;
    let json = serde_json::to_string(delivery)?;
    insert.execute(params![delivery.id(), now.even_ms, json, delivery.client, receiver])?;
    grant_turn(db, &delivery.client, receiver, now.even_ms)
}

/// Takes up to `limit` deliveries that are due, one of each client in turn.
pub(super) fn claim(
    db: &Connection,
    limit: usize,
    mut in_flight: DeliveriesInFlight,
    lease: Duration,
    now: Moment,
) -> Result<Vec<Delivery>> {
    let mut taken = Vec::new();
    loop {
        let before = taken.len();
        for client in ready_clients(db, now)? {
            if taken.len() < limit
                && in_flight.has_room_for_client(&client)
                && let Some(delivery) = take(db, &client, &in_flight, lease, now)?
            {
                in_flight.add(&delivery);
                taken.push(delivery);
            }
        }
        if taken.len() == before {
            return Ok(taken);
        }
    }
}

/// Takes a delivery of a client whose turn it is, if one is due to a receiver that has room.
fn take(
    db: &Connection,
    client: &str,
    in_flight: &DeliveriesInFlight,
    lease: Duration,
    now: Moment,
) -> Result<Option<Delivery>> {
    let mut found = None;
    for receiver in ready_receivers(db, client, now)? {
        if found.is_none() && in_flight.has_room_for_receiver(&receiver) {
            found = take_from(db, client, &receiver, lease, now)?;
        }
    }
    let next: Option<i64> = db
        .prepare_cached("SELECT min(ready_at) FROM posting_receivers WHERE client = ?1")?
        .query_row([client], |row| row.get(0))?;
    match next {
        // A client that had its turn goes behind the others that wait.
        Some(at) => {
            let at = if found.is_some() { at.max(now.even_ms) } else { at };
            db.prepare_cached("UPDATE posting_clients SET ready_at = ?2 WHERE client = ?1")?
                .execute(params![client, at])?
        }
        None => db.prepare_cached("DELETE FROM posting_clients WHERE client = ?1")?.execute([client])?,
    };
    Ok(found)
}

fn take_from(db: &Connection, client: &str, receiver: &str, lease: Duration, now: Moment) -> Result<Option<Delivery>> {
    let mut found = None;
    let next = loop {
        match first(db, client, receiver)? {
            Some((id, due_at)) if due_at <= now.even_ms && found.is_none() => {
                found = lease_to_taker(db, &id, lease, now)?
            }
            Some((_, due_at)) => break Some(due_at),
            None => break None,
        }
    };
    match next {
        Some(at) => {
            let at = if found.is_some() { at.max(now.even_ms) } else { at };
            db.prepare_cached("UPDATE posting_receivers SET ready_at = ?3 WHERE client = ?1 AND receiver = ?2")?
                .execute(params![client, receiver, at])?
        }
        None => db
            .prepare_cached("DELETE FROM posting_receivers WHERE client = ?1 AND receiver = ?2")?
            .execute([client, receiver])?,
    };
    Ok(found)
}

/// The delivery to a receiver that is due first, and when it is due.
fn first(db: &Connection, client: &str, receiver: &str) -> Result<Option<(String, i64)>> {
    let mut query = db.prepare_cached(
        "SELECT id, due_at FROM deliveries WHERE client = ?1 AND receiver = ?2 ORDER BY due_at LIMIT 1",
    )?;
    Ok(query.query_row([client, receiver], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Leases a delivery to its taker. One that cannot be read is removed, because it would block all others.
fn lease_to_taker(db: &Connection, id: &str, lease: Duration, now: Moment) -> Result<Option<Delivery>> {
    let mut update = db.prepare_cached(
        "UPDATE deliveries SET attempt = attempt + 1, due_at = ?2 WHERE id = ?1 RETURNING attempt, delivery, client",
    )?;
    let read = |row: &rusqlite::Row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?));
    let (attempt, json, client) = update.query_row(params![id, now.after(lease)], read)?;
    match serde_json::from_str::<Delivery>(&json) {
        Ok(delivery) => Ok(Some(Delivery { attempt, client, ..delivery })),
        Err(err) => {
            tracing::error!(delivery = id, error = %err, "a webhook delivery cannot be read; dropping it");
            db.execute("DELETE FROM deliveries WHERE id = ?1", [id])?;
            Ok(None)
        }
    }
}

fn ready_clients(db: &Connection, now: Moment) -> Result<Vec<String>> {
    let mut query =
        db.prepare_cached("SELECT client FROM posting_clients WHERE ready_at <= ?1 ORDER BY ready_at LIMIT ?2")?;
    Ok(query.query_map(params![now.even_ms, CANDIDATES], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

fn ready_receivers(db: &Connection, client: &str, now: Moment) -> Result<Vec<String>> {
    let mut query = db.prepare_cached(
        "SELECT receiver FROM posting_receivers WHERE client = ?1 AND ready_at <= ?2 ORDER BY ready_at LIMIT ?3",
    )?;
    let rows = query.query_map(params![client, now.even_ms, CANDIDATES], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn settle(db: &Connection, id: &str, attempt: u32, outcome: DeliveryOutcome, now: Moment) -> Result<()> {
    match outcome {
        DeliveryOutcome::Done => {
            db.execute("DELETE FROM deliveries WHERE id = ?1", [id])?;
        }
        DeliveryOutcome::RetryIn(wait) => {
            let due_at = now.after(wait);
            let mut update = db.prepare_cached(
                "UPDATE deliveries SET due_at = ?3 WHERE id = ?1 AND attempt = ?2 RETURNING client, receiver",
            )?;
            let whose =
                update.query_row(params![id, attempt, due_at], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            if let Some((client, receiver)) = whose {
                let (client, receiver): (String, String) = (client, receiver);
                grant_turn(db, &client, &receiver, due_at)?;
            }
        }
    }
    Ok(())
}

/// Gives a receiver and its client a turn at `at` or earlier.
fn grant_turn(db: &Connection, client: &str, receiver: &str, at: i64) -> Result<()> {
    let mut receivers = db.prepare_cached(
        "INSERT INTO posting_receivers (client, receiver, ready_at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET ready_at = min(ready_at, ?3)",
    )?;
    receivers.execute(params![client, receiver, at])?;
    let mut clients = db.prepare_cached(
        "INSERT INTO posting_clients (client, ready_at) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET ready_at = min(ready_at, ?2)",
    )?;
    clients.execute(params![client, at])?;
    Ok(())
}

/// Computes all turns anew from the deliveries.
pub(super) fn rebuild_turns(db: &Connection) -> Result<()> {
    db.execute_batch(
        "DELETE FROM posting_receivers;
         DELETE FROM posting_clients;
         INSERT INTO posting_receivers (client, receiver, ready_at)
             SELECT client, receiver, min(due_at) FROM deliveries GROUP BY client, receiver;
         INSERT INTO posting_clients (client, ready_at)
             SELECT client, min(ready_at) FROM posting_receivers GROUP BY client;",
    )?;
    Ok(())
}

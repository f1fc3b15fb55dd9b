//! Parses the answers of Redis. "Wire protocol" in the README lists the fields.

use std::collections::HashMap;
use std::str::FromStr;

use redis::streams::StreamId;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::broker::{BrokerError, Head, Standing, WorkerInfo};
use crate::{Delivery, Event, EventKind, Job, JobId, State, Timings};

type Result<T> = std::result::Result<T, BrokerError>;

/// A job's hash.
pub(super) struct Fields(pub(super) HashMap<String, String>);

impl Fields {
    fn get(&self, name: &str) -> Result<&str> {
        self.0.get(name).map(String::as_str).ok_or_else(|| malformed(name, "is missing"))
    }

    fn parse<T: FromStr>(&self, name: &str) -> Result<T> {
        let text = self.get(name)?;
        text.parse().map_err(|_| malformed(name, text))
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        Ok(serde_json::from_str(self.get(name)?)?)
    }

    fn time(&self, name: &str) -> Result<OffsetDateTime> {
        time(self.parse(name)?)
    }

    fn state(&self) -> Result<State> {
        let name = self.get("state")?;
        State::ALL.into_iter().find(|state| state.as_str() == name).ok_or_else(|| malformed("state", name))
    }

    /// `None` for a missing field.
    fn optional<T>(&self, name: &str, read: impl FnOnce(&Self, &str) -> Result<T>) -> Result<Option<T>> {
        self.0.contains_key(name).then(|| read(self, name)).transpose()
    }
}

/// The job in a hash. A `position` below 0 means that it does not wait.
pub(super) fn job(position: i64, fields: HashMap<String, String>) -> Result<Job> {
    let fields = Fields(fields);
    Ok(Job {
        id: fields.parse("id")?,
        state: fields.state()?,
        params: fields.json("params")?,
        priority: fields.optional("priority", Fields::parse)?.unwrap_or_default(),
        upload_id: fields.parse("upload_id")?,
        engine: fields.optional("engine", Fields::parse)?,
        progress: fields.optional("progress", Fields::json)?,
        position: u64::try_from(position).ok(),
        attempt: fields.parse("attempt")?,
        cancel_requested: fields.get("cancel_requested")? == "1",
        timings: Timings {
            created_at: fields.time("created_at")?,
            started_at: fields.optional("started_at", Fields::time)?,
            finished_at: fields.optional("finished_at", Fields::time)?,
        },
        error: fields.optional("error", Fields::json)?,
        seq: fields.parse("seq")?,
    })
}

/// The event in an entry of a job's stream; the entry's id is `SEQ-0`.
pub(super) fn event(job_id: JobId, entry: &StreamId) -> Result<Event> {
    let seq = entry.id.split('-').next().and_then(|seq| seq.parse().ok());
    let at: Option<i64> = entry.get("at");
    let json: Option<String> = entry.get("event");
    let (Some(seq), Some(at), Some(json)) = (seq, at, json) else { return Err(malformed("event", &entry.id)) };
    let kind: EventKind = serde_json::from_str(&json)?;
    Ok(Event { seq, job_id, at: time(at)?, kind })
}

/// A job's head: empty for a job that does not exist, else the number of the newest event, whether it is the last (1),
/// and the position in the queue (below 0: it does not wait).
pub(super) fn head(found: &[i64]) -> Result<Option<Head>> {
    match *found {
        [] => Ok(None),
        [seq, is_over, position] => {
            let seq = u64::try_from(seq).map_err(|_| malformed("seq", &seq.to_string()))?;
            Ok(Some(Head { seq, is_over: is_over == 1, position: u64::try_from(position).ok() }))
        }
        _ => Err(malformed("head", &format!("{found:?}"))),
    }
}

/// A webhook delivery in its hash.
pub(super) fn delivery(fields: HashMap<String, String>) -> Result<Delivery> {
    let fields = Fields(fields);
    Ok(Delivery {
        event: Event {
            seq: fields.parse("seq")?,
            job_id: fields.parse("job")?,
            at: fields.time("at")?,
            kind: fields.json("event")?,
        },
        upload_id: fields.parse("upload_id")?,
        url: fields.get("url")?.to_owned(),
        attempt: fields.parse("attempt")?,
        client: fields.get("client")?.to_owned(),
    })
}

pub(super) fn worker((seen_at, json): (i64, String)) -> Result<WorkerInfo> {
    Ok(WorkerInfo { seen_at: time(seen_at)?, ..serde_json::from_str(&json)? })
}

/// The answer of a script to a worker.
pub(super) fn standing(answer: i64) -> Standing {
    if answer < 0 { Standing::Lost } else { Standing::Held { cancel_requested: answer == 1 } }
}

fn time(milliseconds: i64) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
        .map_err(|_| malformed("time", &milliseconds.to_string()))
}

fn malformed(name: &str, value: &str) -> BrokerError {
    BrokerError::Malformed(format!("{name} {value}"))
}

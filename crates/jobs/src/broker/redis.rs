//! The queue in Redis, shared by many processes.

mod connection;
mod link;
mod reply;
mod scripts;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use redis::streams::StreamRangeReply;
use redis::{ScriptInvocation, cmd};
use serde::Serialize;
use service::hex;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use self::connection::Connection;
use self::scripts::{Scripts, call, key, tick_every};
use super::rules::check_recordable;
use super::signals::Signals;
use super::{
    Broker, BrokerError, Head, Lease, NewJob, Outcome, RedisAddress, Rules, Standing, Stats, Submitted, WorkerInfo,
};
use crate::webhook::CANDIDATES;
use crate::{DeliveriesInFlight, Delivery, DeliveryOutcome, Event, EventKind, Job, JobId, Message, State, Webhook};

type Result<T> = std::result::Result<T, BrokerError>;

/// A job's position in the queue or -1, and its fields.
type JobReply = (i64, HashMap<String, String>);

/// Entries that one call reads of a list of any length, so that other calls come in between.
const PAGE: usize = 1000;

/// The shortest time between two writes by which readiness proves that Redis accepts writes.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// A durable queue in Redis, for many API and worker processes.
pub struct RedisBroker {
    connection: Connection,
    scripts: Scripts,
    signals: Signals,
    rules: Rules,
    /// When readiness last wrote to Redis.
    probed: Mutex<Option<Instant>>,
    _listener: AbortOnDropHandle<()>,
    _ticker: AbortOnDropHandle<()>,
}

impl RedisBroker {
    /// Connects to Redis.
    ///
    /// # Errors
    /// When it does not answer within a few seconds, or refuses.
    pub async fn connect(address: &RedisAddress, rules: Rules) -> Result<Self> {
        let connection = Connection::open(address).await?;
        let scripts = Scripts::new(&rules);
        connection.check_server(address, &call(&scripts.info)).await?;
        let signals = Signals::new();
        let listener = tokio::spawn(connection::listen(connection.subscriptions(address), signals.clone()));
        let _listener = AbortOnDropHandle::new(listener);
        let _ticker = AbortOnDropHandle::new(tokio::spawn(tick(connection.clone(), rules)));
        Ok(Self { connection, scripts, signals, rules, probed: Mutex::default(), _listener, _ticker })
    }

    async fn try_claim(&self, worker: &WorkerInfo) -> Result<Option<(Lease, Job)>> {
        self.reap().await?;
        let mut claim = call(&self.scripts.claim);
        claim.arg(&worker.id).arg(json(&WorkerInfo { job: None, ..worker.clone() })?);
        // The list of workers changes slowly, so it need not be read in the same step as the claim.
        let lanes = self.rules.lanes_of(worker, &self.workers().await?);
        claim.arg(milliseconds(lanes.auto_wait));
        for lane in lanes.names {
            claim.arg(lane.as_str());
        }
        // Not repeated: a second run could take a second job.
        let Some((attempt, fields)) = self.connection.call_once::<Option<(u32, _)>>(&claim).await? else {
            return Ok(None);
        };
        let job = reply::job(-1, fields)?;
        // The job is taken in any case.
        if let Err(err) = self.announce(&WorkerInfo { job: Some(job.id), ..worker.clone() }).await {
            tracing::debug!(job_id = %job.id, "the worker's new job cannot be announced: {err}");
        }
        Ok(Some((Lease { job_id: job.id, attempt, worker_id: worker.id.clone() }, job)))
    }

    fn probed(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.probed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a script that answers whether a lease stands.
    async fn standing(&self, script: &ScriptInvocation<'_>) -> Result<Standing> {
        Ok(reply::standing(self.connection.call(script).await?))
    }
}

#[async_trait]
impl Broker for RedisBroker {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn ping(&self) -> Result<()> {
        // A command with a key goes to the server that has the queue, in a cluster too.
        if self.probed().is_some_and(|at| at.elapsed() < PROBE_EVERY) {
            return Ok(self.connection.ask::<()>(cmd("EXISTS").arg(key("turn"))).await?);
        }
        let seconds = 2 * PROBE_EVERY.as_secs();
        self.connection.ask::<()>(cmd("SET").arg(key("probe")).arg(1).arg("EX").arg(seconds)).await?;
        *self.probed() = Some(Instant::now());
        Ok(())
    }

    async fn submit(&self, new: NewJob) -> Result<Submitted> {
        let (idempotency, fingerprint) = match &new.idempotency {
            // Hashed, because a client may send a key of any length.
            Some(given) => (hex(&Sha256::digest(&given.key)), given.fingerprint.as_str()),
            None => (String::new(), ""),
        };
        let mut submit = call(&self.scripts.submit);
        submit.arg(new.id.to_string()).arg(new.upload_id.to_string()).arg(json(&new.params)?);
        submit.arg(new.params.engine.as_str()).arg(new.priority.class()).arg(new.priority.as_str());
        // Hashed, because it becomes part of a key and may be of any length.
        submit.arg(hex(&Sha256::digest(&new.client)[..16])).arg(idempotency).arg(fingerprint);
        let client_limit = new.client_limit.unwrap_or(self.rules.client_limit);
        submit.arg(self.rules.queue_limit).arg(client_limit).arg(json(&EventKind::Queued)?);
        if let Some(webhook) = &new.webhook {
            submit.arg(&webhook.url).arg(event_names(webhook));
        }
        let (answer, number, fields): (String, i64, _) = self.connection.call(&submit).await?;
        let queued = u64::try_from(number).unwrap_or_default();
        match answer.as_str() {
            "queued" => Ok(Submitted::Queued(reply::job(number, fields)?)),
            "repeated" => Ok(Submitted::Repeated(reply::job(number, fields)?)),
            "mismatch" => Err(BrokerError::IdempotencyMismatch),
            "full" => Err(BrokerError::QueueFull { queued, limit: self.rules.queue_limit }),
            "client_full" => Err(BrokerError::ClientFull { queued, limit: client_limit }),
            other => Err(BrokerError::Malformed(format!("submit answered {other}"))),
        }
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        let found: Option<JobReply> = self.connection.call(call(&self.scripts.job).arg(id.to_string())).await?;
        found.map(|(position, fields)| reply::job(position, fields)).transpose()
    }

    async fn cancel(&self, id: JobId) -> Result<Option<Job>> {
        let mut cancel = call(&self.scripts.cancel);
        cancel.arg(id.to_string()).arg(json(&EventKind::Cancelled)?).arg(json(&EventKind::CancelRequested)?);
        let found: Option<JobReply> = self.connection.call(&cancel).await?;
        found.map(|(position, fields)| reply::job(position, fields)).transpose()
    }

    async fn forget(&self, id: JobId) -> Result<bool> {
        Ok(self.connection.call(call(&self.scripts.forget).arg(id.to_string())).await?)
    }

    async fn events_after(&self, id: JobId, after: u64, limit: usize) -> Result<Vec<Event>> {
        let mut range = cmd("XRANGE");
        range.arg(key(&format!("events:{id}"))).arg(format!("({after}-0")).arg("+").arg("COUNT").arg(limit);
        let found: StreamRangeReply = self.connection.query(&range).await?;
        found.ids.iter().map(|entry| reply::event(id, entry)).collect()
    }

    async fn heads(&self, ids: &[JobId]) -> Result<Vec<Option<Head>>> {
        let mut heads = call(&self.scripts.heads);
        for id in ids {
            heads.arg(id.to_string());
        }
        let found: Vec<Vec<i64>> = self.connection.call(&heads).await?;
        found.iter().map(|head| reply::head(head)).collect()
    }

    fn wakes(&self) -> broadcast::Receiver<JobId> {
        self.signals.events()
    }

    async fn stats(&self) -> Result<Stats> {
        let (queued, running) = self.connection.call(&call(&self.scripts.stats)).await?;
        Ok(Stats { queued, running })
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        let mut workers = call(&self.scripts.workers);
        let found: Vec<_> = self.connection.call(workers.arg(milliseconds(self.rules.lease))).await?;
        // A newer program may have written one that this program cannot read.
        let read = |worker| reply::worker(worker).map_err(|err| tracing::debug!("a worker cannot be read: {err}")).ok();
        let mut alive: Vec<_> = found.into_iter().filter_map(read).collect();
        alive.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(alive)
    }

    async fn uploads_in_use(&self) -> Result<Vec<Uuid>> {
        let (mut uploads, mut cursor) = (Vec::new(), 0_u64);
        loop {
            let mut scan = cmd("HSCAN");
            scan.arg(key("active")).arg(cursor).arg("COUNT").arg(PAGE);
            let (next, found): (u64, Vec<(String, String)>) = self.connection.query(&scan).await?;
            uploads.extend(found.into_iter().map(|(_, upload)| upload));
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        uploads.sort_unstable();
        uploads.dedup();
        uploads.iter().map(|id| parse_id(id)).collect()
    }

    async fn finished_before(&self, cutoff: OffsetDateTime) -> Result<Vec<JobId>> {
        let age_ms = (OffsetDateTime::now_utc() - cutoff).whole_milliseconds();
        let mut ids: Vec<String> = Vec::new();
        loop {
            let mut finished = call(&self.scripts.finished);
            finished.arg(i64::try_from(age_ms).unwrap_or(i64::MAX)).arg(ids.len()).arg(PAGE);
            let (page, has_more): (Vec<String>, bool) = self.connection.call(&finished).await?;
            ids.extend(page);
            if !has_more {
                return ids.iter().map(|id| parse_id(id)).collect();
            }
        }
    }

    async fn claim_deliveries(&self, limit: usize, in_flight: &DeliveriesInFlight) -> Result<Vec<Delivery>> {
        let mut deliver = call(&self.scripts.deliver);
        deliver.arg(limit).arg(milliseconds(self.rules.delivery_lease)).arg(json(in_flight)?);
        deliver.arg(DeliveriesInFlight::PER_CLIENT).arg(DeliveriesInFlight::PER_RECEIVER).arg(CANDIDATES);
        // Not repeated: deliveries that a first call took would wait for their lease to end.
        let found: Vec<HashMap<String, String>> = self.connection.call_once(&deliver).await?;
        // One that cannot be read is returned again when its lease ends; it does not block the others.
        let read = |fields| {
            reply::delivery(fields)
                .map_err(|err| tracing::error!(error = %err, "a webhook delivery cannot be read"))
                .ok()
        };
        Ok(found.into_iter().filter_map(read).collect())
    }

    async fn settle_delivery(&self, delivery: &Delivery, outcome: DeliveryOutcome) -> Result<()> {
        let wait = match outcome {
            DeliveryOutcome::Done => -1,
            DeliveryOutcome::RetryIn(wait) => i64::try_from(wait.as_millis()).unwrap_or(i64::MAX),
        };
        let mut settle = call(&self.scripts.settle);
        Ok(self.connection.call(settle.arg(delivery.id()).arg(delivery.attempt).arg(wait)).await?)
    }

    async fn announce(&self, worker: &WorkerInfo) -> Result<()> {
        let mut announce = call(&self.scripts.announce);
        Ok(self.connection.call(announce.arg(&worker.id).arg(json(worker)?)).await?)
    }

    async fn retire(&self, worker_id: &str) -> Result<()> {
        Ok(self.connection.call(call(&self.scripts.retire).arg(worker_id)).await?)
    }

    async fn claim(&self, worker: &WorkerInfo, wait: Duration) -> Result<Option<(Lease, Job)>> {
        self.signals.wait_for_work(wait, self.rules.poll(), || self.try_claim(worker)).await
    }

    fn heartbeat_interval(&self) -> Duration {
        self.rules.heartbeat()
    }

    async fn heartbeat(&self, lease: &Lease) -> Result<Standing> {
        self.standing(&with_lease(lease, &self.scripts.heartbeat)).await
    }

    async fn record(&self, lease: &Lease, kind: EventKind) -> Result<Standing> {
        check_recordable(&kind)?;
        let mut record = with_lease(lease, &self.scripts.record);
        record.arg(json(&kind)?);
        match &kind {
            EventKind::Started { engine, .. } => record.arg("engine").arg(engine.as_str()),
            EventKind::Progress(progress) => record.arg("progress").arg(json(progress)?),
            _ => &mut record,
        };
        self.standing(&record).await
    }

    async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<Standing> {
        let (state, failure) = match &outcome {
            Outcome::Succeeded { .. } => (State::Succeeded, String::new()),
            Outcome::Failed(failure) => (State::Failed, json(failure)?),
            Outcome::Cancelled => (State::Cancelled, String::new()),
        };
        let mut finish = with_lease(lease, &self.scripts.finish);
        finish.arg(Uuid::new_v4().to_string()).arg(state.as_str()).arg(json(&EventKind::from(outcome))?).arg(failure);
        self.standing(&finish).await
    }

    async fn release(&self, lease: &Lease, reason: &Message) -> Result<Standing> {
        let mut release = with_lease(lease, &self.scripts.release);
        release.arg(json(&EventKind::requeued(reason.clone()))?).arg(json(&EventKind::Cancelled)?);
        self.standing(&release).await
    }

    async fn reap(&self) -> Result<Vec<JobId>> {
        let error = self.rules.worker_lost();
        let mut reap = call(&self.scripts.reap);
        reap.arg(milliseconds(self.rules.lease)).arg(self.rules.max_attempts);
        reap.arg(json(&self.rules.requeue_event())?).arg(json(&EventKind::Cancelled)?);
        reap.arg(json(&EventKind::Failed { error: error.clone() })?).arg(json(&error)?);
        let ids: Vec<String> = self.connection.call(&reap).await?;
        ids.iter().map(|id| parse_id(id)).collect()
    }
}

/// Advances the queue's own time, for ever.
async fn tick(connection: Connection, rules: Rules) {
    let scripts = Scripts::new(&rules);
    let mut is_first = true;
    loop {
        // Not repeated: the next tick does the same.
        match connection.call_once::<()>(call(&scripts.tick).arg(u8::from(is_first))).await {
            Ok(()) => is_first = false,
            Err(err) => tracing::debug!("the queue's own time cannot be advanced: {err}"),
        }
        tokio::time::sleep(tick_every(&rules)).await;
    }
}

/// The names, each between spaces, so that a search finds whole names only.
fn event_names(webhook: &Webhook) -> String {
    webhook.events.iter().fold(" ".to_owned(), |names, event| names + event.as_str() + " ")
}

fn with_lease<'a>(lease: &Lease, script: &'a redis::Script) -> ScriptInvocation<'a> {
    let mut invocation = call(script);
    invocation.arg(lease.job_id.to_string()).arg(lease.attempt).arg(&lease.worker_id);
    invocation
}

fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(value)?)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn parse_id(text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| BrokerError::Malformed(format!("\"{text}\" is not a valid id")))
}

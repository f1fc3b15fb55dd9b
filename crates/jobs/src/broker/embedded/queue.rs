//! The operations of the embedded queue. Everything here blocks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use time::OffsetDateTime;
use uuid::Uuid;

use super::connection::checkpoint_on_close;
use super::file::{self, QueueFile, store_time};
use super::open_files::OpenFiles;
use super::tables::{self, FinishedCursor, Record};
use super::{deliveries, heads, order};
use crate::broker::clock::{Clock, EvenTime, Moment};
use crate::broker::in_flight::RequestCounter;
use crate::broker::rules::{Lanes, Rules, check_recordable};
use crate::broker::signals::Signals;
use crate::broker::{BrokerError, Head, Lease, NewJob, Outcome, Standing, Stats, Submitted, WorkerInfo};
use crate::{
    DeliveriesInFlight, Delivery, DeliveryOutcome, EngineChoice, Event, EventKind, Job, JobId, Message, State,
};

type Result<T> = std::result::Result<T, BrokerError>;

/// The shortest time between two writes of the queue's own time. Changes write it along, and readiness writes it to prove
/// that the file can be written.
const STORE_TIME_EVERY: Duration = Duration::from_secs(5);

/// The tables, and what need not outlive the process, because its workers end with it.
pub(super) struct Queue {
    db: Connection,
    files: OpenFiles,
    time: EvenTime,
    /// When a write was last known to have succeeded.
    written: Instant,
    rules: Rules,
    signals: Signals,
    /// When the lease of each running job ends, by the monotonic clock: setting the wall clock must not end leases.
    leases: HashMap<JobId, Instant>,
    workers: HashMap<String, (WorkerInfo, Instant)>,
    /// `None` where its file cannot be used.
    requests: Option<Arc<RequestCounter>>,
}

/// From this attempt on a crash counts against the job even if a request may have caused it, so that no job is retried
/// for ever.
const MAX_EXCUSED_ATTEMPTS: u32 = 10;

impl Queue {
    /// Opens the file and requeues the jobs that ran when the last process died.
    pub(super) fn open(file: &Path, rules: Rules, signals: Signals, clock: &Clock) -> Result<Self> {
        let QueueFile { db, files, time } = file::open(file, clock)?;
        let (requests, interrupted) = RequestCounter::open_beside(file);
        let (leases, workers) = (HashMap::new(), HashMap::new());
        let mut queue = Self { db, files, time, written: Instant::now(), rules, signals, leases, workers, requests };
        let orphans = tables::running(&queue.db)?;
        queue.take_back(&orphans, &interrupted.requeue_event(), interrupted.are_suspect())?;
        Ok(queue)
    }

    pub(super) fn request_counter(&self) -> Option<Arc<RequestCounter>> {
        self.requests.clone()
    }

    /// Proves that the queue can be written to and that what is written outlives the process.
    pub(super) fn ping(&mut self) -> Result<()> {
        self.files.check()?;
        if self.written.elapsed() < STORE_TIME_EVERY {
            return tables::stats(&self.db).map(drop);
        }
        store_time(&self.db, self.time.now(), false)?;
        self.written = Instant::now();
        Ok(())
    }

    pub(super) fn submit(&mut self, new: NewJob) -> Result<Submitted> {
        // A job in a file that was removed would be lost with the process.
        self.files.check()?;
        let rules = self.rules;
        self.transact(|change| {
            if let Some(record) = tables::load(change, new.id)? {
                return Ok(Submitted::Queued(shown(change, record.job)?));
            }
            let idempotency = new.idempotency.clone();
            if let Some(given) = &idempotency
                && let Some((id, fingerprint)) = tables::by_idempotency_key(change, &given.key)?
            {
                return repeat(change, id, fingerprint == given.fingerprint);
            }
            let queued = tables::stats(change)?.queued;
            if queued >= rules.queue_limit {
                return Err(BrokerError::QueueFull { queued, limit: rules.queue_limit });
            }
            let own = tables::queued_of(change, &new.client)?;
            let client_limit = new.client_limit.unwrap_or(rules.client_limit);
            if own >= client_limit {
                return Err(BrokerError::ClientFull { queued: own, limit: client_limit });
            }
            let (client, webhook) = (new.client.clone(), new.webhook.clone());
            let job = Job::new(new, change.now.wall);
            let queued_at = change.now.even_ms;
            let mut record = Record { job, worker: None, lost: 0, client, webhook, queued_at };
            tables::insert(change, &record, idempotency.as_ref(), change.now)?;
            change.enqueue(&mut record, EventKind::Queued)?;
            Ok(Submitted::Queued(shown(change, record.job)?))
        })
    }

    pub(super) fn job(&self, id: JobId) -> Result<Option<Job>> {
        tables::load(&self.db, id)?.map(|record| shown(&self.db, record.job)).transpose()
    }

    pub(super) fn cancel(&mut self, id: JobId) -> Result<Option<Job>> {
        self.transact(|change| {
            let Some(mut record) = tables::load(change, id)? else { return Ok(None) };
            match record.job.state {
                State::Queued => {
                    order::remove(change, id)?;
                    change.emit(&mut record, EventKind::Cancelled)?;
                }
                State::Running if !record.job.cancel_requested => {
                    change.emit(&mut record, EventKind::CancelRequested)?;
                }
                _ => {}
            }
            Ok(Some(record.job))
        })
    }

    pub(super) fn forget(&mut self, id: JobId) -> Result<bool> {
        self.transact(|change| match tables::load(change, id)? {
            Some(record) if record.job.state.is_terminal() => tables::delete(change, id).map(|()| true),
            _ => Ok(false),
        })
    }

    pub(super) fn events_after(&self, id: JobId, after: u64, limit: usize) -> Result<Vec<Event>> {
        tables::events_after(&self.db, id, after, limit)
    }

    pub(super) fn heads(&self, ids: &[JobId]) -> Result<Vec<Option<Head>>> {
        heads::of(&self.db, ids)
    }

    pub(super) fn stats(&self) -> Result<Stats> {
        tables::stats(&self.db)
    }

    pub(super) fn uploads_in_use(&self, after: &str, limit: usize) -> Result<Vec<Uuid>> {
        tables::uploads_in_use(&self.db, after, limit)
    }

    /// The queue's own time when the wall clock showed `at`.
    pub(super) fn own_time_at(&self, at: OffsetDateTime) -> i64 {
        self.time.at(at)
    }

    pub(super) fn finished_before(
        &self,
        before: i64,
        after: FinishedCursor,
        limit: usize,
    ) -> Result<(Vec<JobId>, Option<FinishedCursor>)> {
        tables::finished_before(&self.db, before, after, limit)
    }

    pub(super) fn claim_deliveries(&mut self, limit: usize, in_flight: DeliveriesInFlight) -> Result<Vec<Delivery>> {
        let lease = self.rules.delivery_lease;
        self.transact(|change| deliveries::claim(change, limit, in_flight, lease, change.now))
    }

    pub(super) fn settle_delivery(&mut self, id: &str, attempt: u32, outcome: DeliveryOutcome) -> Result<()> {
        self.transact(|change| deliveries::settle(change, id, attempt, outcome, change.now))
    }

    pub(super) fn workers(&mut self) -> Vec<WorkerInfo> {
        let (lease, now) = (self.rules.lease, self.time.now().wall);
        self.workers.retain(|_, (_, seen)| seen.elapsed() < lease);
        let alive = self.workers.values();
        let mut alive: Vec<_> =
            alive.map(|(worker, seen)| WorkerInfo { seen_at: now - seen.elapsed(), ..worker.clone() }).collect();
        alive.sort_by(|a, b| a.id.cmp(&b.id));
        alive
    }

    pub(super) fn announce(&mut self, worker: WorkerInfo) {
        self.workers.insert(worker.id.clone(), (worker, Instant::now()));
    }

    pub(super) fn retire(&mut self, worker_id: &str) {
        self.workers.remove(worker_id);
    }

    pub(super) fn claim(&mut self, worker: WorkerInfo) -> Result<Option<(Lease, Job)>> {
        self.reap()?;
        let alive = self.workers();
        let lanes = self.rules.lanes_of(&worker, &alive);
        let worker_id = worker.id.clone();
        let claimed = self.transact(|change| {
            let Some(mut record) = next(change, lanes)? else { return Ok(None) };
            let id = record.job.id;
            order::take(change, id)?;
            record.job.take(change.now.shown(&record.job.timings));
            record.worker = Some(worker_id.clone());
            tables::save(change, &record, change.now)?;
            Ok(Some((Lease { job_id: id, attempt: record.job.attempt, worker_id }, record.job)))
        })?;
        if let Some((lease, _)) = &claimed {
            self.leases.insert(lease.job_id, Instant::now() + self.rules.lease);
        }
        self.announce(WorkerInfo { job: claimed.as_ref().map(|(lease, _)| lease.job_id), ..worker });
        Ok(claimed)
    }

    pub(super) fn heartbeat(&mut self, lease: &Lease) -> Result<Standing> {
        self.with_lease(lease, |_, _| Ok(()))
    }

    pub(super) fn record(&mut self, lease: &Lease, kind: EventKind) -> Result<Standing> {
        check_recordable(&kind)?;
        self.with_lease(lease, |change, record| change.emit(record, kind))
    }

    pub(super) fn finish(&mut self, lease: &Lease, outcome: Outcome) -> Result<Standing> {
        self.with_lease(lease, |change, record| change.emit(record, outcome.into()))
    }

    pub(super) fn release(&mut self, lease: &Lease, reason: Message) -> Result<Standing> {
        self.with_lease(lease, |change, record| change.give_back(record, EventKind::requeued(reason)))
    }

    pub(super) fn reap(&mut self) -> Result<Vec<JobId>> {
        let now = Instant::now();
        let lapsed: Vec<_> = self.leases.iter().filter(|(_, end)| **end <= now).map(|(id, _)| *id).collect();
        self.take_back(&lapsed, &self.rules.requeue_event(), false)?;
        Ok(lapsed)
    }

    /// Takes jobs back from workers that are gone. `excused`: something other than the job may have been the cause.
    fn take_back(&mut self, ids: &[JobId], requeued: &EventKind, excused: bool) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let rules = self.rules;
        self.transact(|change| {
            for id in ids {
                let Some(mut record) = load_or_drop(change, *id)? else { continue };
                let excused = excused && record.job.attempt < MAX_EXCUSED_ATTEMPTS;
                record.lost += u32::from(!excused);
                if !excused && record.lost >= rules.max_attempts && !record.job.cancel_requested {
                    change.emit(&mut record, EventKind::Failed { error: rules.worker_lost() })?;
                } else {
                    change.give_back(&mut record, requeued.clone())?;
                }
            }
            Ok(())
        })?;
        self.leases.retain(|id, _| !ids.contains(id));
        Ok(())
    }

    /// Applies `work` to the job of a lease that still stands, and renews the lease.
    fn with_lease(
        &mut self,
        lease: &Lease,
        work: impl FnOnce(&mut Change, &mut Record) -> Result<()>,
    ) -> Result<Standing> {
        let standing = self.transact(|change| {
            let Some(mut record) = tables::load(change, lease.job_id)?.filter(|record| holds(record, lease)) else {
                return Ok((Standing::Lost, false));
            };
            let cancel_requested = record.job.cancel_requested;
            work(change, &mut record)?;
            Ok((Standing::Held { cancel_requested }, record.job.state == State::Running))
        });
        let (standing, still_runs) = standing?;
        if still_runs {
            self.leases.insert(lease.job_id, Instant::now() + self.rules.lease);
        } else if standing != Standing::Lost {
            self.leases.remove(&lease.job_id);
        }
        if standing != Standing::Lost
            && let Some((_, seen)) = self.workers.get_mut(&lease.worker_id)
        {
            *seen = Instant::now();
        }
        Ok(standing)
    }

    /// Runs `work` in a transaction, and signals what it changed.
    fn transact<T>(&mut self, work: impl FnOnce(&mut Change) -> Result<T>) -> Result<T> {
        let changes = self.db.total_changes();
        let now = self.time.now();
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut change = Change { tx, now, touched: Vec::new(), has_work: false };
        let done = work(&mut change)?;
        let Change { tx, touched, has_work, .. } = change;
        let is_written = tx.total_changes() > changes && self.written.elapsed() >= STORE_TIME_EVERY;
        if is_written {
            store_time(&tx, now, false)?;
        }
        tx.commit()?;
        if is_written {
            self.written = Instant::now();
        }
        self.signals.send(&touched, has_work);
        Ok(done)
    }
}

impl Drop for Queue {
    /// Marks the file as closed; SQLite then removes its log.
    fn drop(&mut self) {
        if let Err(err) = self.files.check() {
            tracing::error!(error = %err, "the embedded queue is lost with this process");
            // SQLite removes the log by its name, which may belong to another file by now.
            let _ = checkpoint_on_close(&self.db, false);
        } else if let Err(err) = store_time(&self.db, self.time.now(), true) {
            tracing::warn!(error = %err, "the embedded queue could not be closed properly; no job is lost");
        }
    }
}

/// A transaction, and what to signal once it is committed.
struct Change<'a> {
    tx: Transaction<'a>,
    /// When it happens.
    now: Moment,
    touched: Vec<JobId>,
    has_work: bool,
}

impl std::ops::Deref for Change<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.tx
    }
}

impl Change<'_> {
    fn emit(&mut self, record: &mut Record, kind: EventKind) -> Result<()> {
        self.touched.push(record.job.id);
        tables::emit(&self.tx, record, kind, self.now)
    }

    fn enqueue(&mut self, record: &mut Record, kind: EventKind) -> Result<()> {
        self.has_work = true;
        let returned = matches!(kind, EventKind::Requeued { .. });
        self.emit(record, kind)?;
        order::insert(&self.tx, record, returned)
    }

    /// Puts a job that nobody works on any more back into the queue, or ends it if it was to be cancelled.
    fn give_back(&mut self, record: &mut Record, requeued: EventKind) -> Result<()> {
        if record.job.cancel_requested {
            self.emit(record, EventKind::Cancelled)
        } else {
            self.enqueue(record, requeued)
        }
    }
}

fn holds(record: &Record, lease: &Lease) -> bool {
    record.job.state == State::Running
        && record.job.attempt == lease.attempt
        && record.worker.as_deref() == Some(&lease.worker_id)
}

/// The job that has its turn in some lanes.
fn next(change: &Change, mut lanes: Lanes) -> Result<Option<Record>> {
    while let Some(id) = order::first(change, &lanes.names)? {
        let Some(first) = load_or_drop(change, id)? else { continue };
        let waited_ms = change.now.even_ms.saturating_sub(first.queued_at);
        // A time in the future was written by another queue.
        let has_waited = u128::try_from(waited_ms).map_or(true, |ms| ms >= lanes.auto_wait.as_millis());
        if first.job.params.engine != EngineChoice::Auto || has_waited {
            return Ok(Some(first));
        }
        // Jobs of lane `auto` do not overtake each other, so the others need not be checked.
        lanes.names.retain(|lane| *lane != EngineChoice::Auto);
    }
    Ok(None)
}

/// A job that waits or runs. One whose record cannot be read is removed from the queue, where it would block all others;
/// its row stays for whoever investigates.
fn load_or_drop(db: &Connection, id: JobId) -> Result<Option<Record>> {
    match tables::load(db, id) {
        Ok(Some(record)) => return Ok(Some(record)),
        Ok(None) => tracing::error!(job_id = %id, "a job waits but has no record; removing it from the queue"),
        Err(err @ (BrokerError::Corrupt(_) | BrokerError::Malformed(_))) => {
            tracing::error!(job_id = %id, error = %err, "the record of a job cannot be read; removing it from the queue");
        }
        Err(err) => return Err(err),
    }
    order::remove(db, id)?;
    tables::mark_unreadable(db, id)?;
    Ok(None)
}

fn shown(db: &Connection, job: Job) -> Result<Job> {
    Ok(Job { position: order::position(db, &job)?, ..job })
}

fn repeat(db: &Connection, id: JobId, same_request: bool) -> Result<Submitted> {
    if !same_request {
        return Err(BrokerError::IdempotencyMismatch);
    }
    let missing = || BrokerError::Malformed(format!("job {id} does not exist"));
    let record = tables::load(db, id)?.ok_or_else(missing)?;
    Ok(Submitted::Repeated(shown(db, record.job)?))
}

#[cfg(test)]
mod tests;

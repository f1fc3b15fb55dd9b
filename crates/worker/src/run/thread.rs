//! One OS thread owns the engines; jobs reach it over a channel.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::thread;
use std::time::Instant;

use engine::{
    Engine, EngineError, EngineJob, EngineName, EngineRun, EngineSet, FailureCode, Message, Origin, ProgressSink, Step,
    Stop, StopReason, Stopped,
};
use service::ByteSize;
use tokio::sync::{mpsc, oneshot};

use super::error::{Fault, Part, RunError, is_thread_shortage, panic_text};
use super::job::RunJob;
use crate::memory::free_bytes;

/// Recursive engines (parsers, region trees) need more than a thread's usual 2 MiB.
const STACK_BYTES: usize = 16 << 20;

/// What the engine thread is asked to do.
pub(super) struct Work {
    pub(super) engine: EngineName,
    pub(super) job: RunJob,
    pub(super) origin: Origin,
    /// Why this engine.
    pub(super) reason: Message,
    /// The most memory that the job may take, in bytes; `None`: what is free.
    pub(super) memory_limit: Option<u64>,
    pub(super) stop: Stop,
}

/// What is heard of work while it is done.
#[derive(Debug)]
pub(super) enum Update {
    Step(Step),
    Note(Message),
}

/// A job that the engine thread works on.
pub(super) struct Running {
    reply: oneshot::Receiver<Result<EngineRun, RunError>>,
}

impl Running {
    /// Waits for the end.
    pub(super) async fn ended(self) -> Result<EngineRun, RunError> {
        // The thread catches panics, so a dropped sender means that it was killed from outside.
        self.reply.await.unwrap_or_else(|_| {
            Err(RunError::failed(FailureCode::EnginePanicked, "the engine thread ended unexpectedly".to_owned()))
        })
    }
}

enum Command {
    Run { work: Work, updates: mpsc::UnboundedSender<Update>, reply: oneshot::Sender<Result<EngineRun, RunError>> },
    JobEnded { done: oneshot::Sender<()> },
}

/// The engine thread. Dropping it lets the thread end after its current job.
pub(crate) struct EngineThread {
    commands: std_mpsc::Sender<Command>,
    thread: thread::JoinHandle<()>,
}

impl EngineThread {
    pub(super) fn start(engines: Arc<dyn EngineSet>) -> io::Result<Self> {
        start_pool()?;
        let (commands, inbox) = std_mpsc::channel();
        let body = move || {
            yield_to_clients();
            serve(engines.as_ref(), &inbox);
        };
        let thread = thread::Builder::new().name("engine".to_owned()).stack_size(STACK_BYTES).spawn(body)?;
        Ok(Self { commands, thread })
    }

    /// Hands work to the thread; its steps and notes arrive while it runs.
    pub(super) fn run(&self, work: Work) -> (mpsc::UnboundedReceiver<Update>, Running) {
        let (updates, inbox) = mpsc::unbounded_channel();
        let (reply, reply_inbox) = oneshot::channel();
        // When the thread is gone the reply's sender is dropped with the command, which `Running::ended` reports.
        let _ = self.commands.send(Command::Run { work, updates, reply });
        (inbox, Running { reply: reply_inbox })
    }

    /// Tells the engines that a job is over, and waits until they have tidied up.
    pub(super) async fn job_ended(&self) {
        let (done, tidied) = oneshot::channel();
        // A thread that is gone has nothing to tidy.
        let _ = self.commands.send(Command::JobEnded { done });
        let _ = tidied.await;
    }

    /// Gives the thread up, which goes on until its engine comes back.
    pub(super) fn abandon(self) -> thread::JoinHandle<()> {
        self.thread
    }
}

/// Starts the threads that engines compute with. They are made once for the process; where that fails for want of
/// threads, it fails for good. So it is done at the start, and only when there are as many to be had.
fn start_pool() -> io::Result<()> {
    let wanted = thread::available_parallelism().map_or(1, NonZero::get);
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let _shut = gate.lock();
        // All of them are there at once: none passes the gate before the last has started.
        (0..wanted).try_for_each(|_| thread::Builder::new().spawn_scoped(scope, || drop(gate.lock())).map(drop))
    })?;
    let start = || {
        // The threads of the pool inherit the priority of the one that starts them.
        yield_to_clients();
        catch_unwind(rayon::current_num_threads).map(drop)
    };
    let started = thread::scope(|scope| Ok::<_, io::Error>(thread::Builder::new().spawn_scoped(scope, start)?.join()))?;
    started.and_then(|started| started).map_err(|panic| io::Error::other(panic_text(panic.as_ref())))
}

/// Lowers the priority of this thread: where API and worker share a machine, what answers clients in milliseconds goes
/// before what computes for seconds. An idle machine computes as fast as before.
fn yield_to_clients() {
    // Only Linux has a priority for each thread.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICENESS);
}

/// A third of the processor time of a thread that serves, where both want all of it.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

fn serve(set: &dyn EngineSet, inbox: &std_mpsc::Receiver<Command>) {
    let mut engines: HashMap<EngineName, Box<dyn Engine>> = HashMap::new();
    while let Ok(command) = inbox.recv() {
        match command {
            Command::Run { work, updates, reply } => {
                let outcome = guard(work.engine, || run(set, &mut engines, &work, updates));
                if matches!(&outcome, Err(RunError::Failed(failure)) if failure.code == FailureCode::EnginePanicked) {
                    // Its inner state is unknown: the next job makes a new one.
                    let broken = engines.remove(&work.engine);
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
                }
                // Nobody waits any more when the attempt was given up.
                let _ = reply.send(outcome);
            }
            Command::JobEnded { done } => {
                job_ended(&mut engines);
                // The caller may have stopped waiting.
                let _ = done.send(());
            }
        }
    }
}

fn job_ended(engines: &mut HashMap<EngineName, Box<dyn Engine>>) {
    engines.retain(|name, engine| {
        let ended = catch_unwind(AssertUnwindSafe(|| engine.job_ended()));
        if let Err(panic) = &ended {
            tracing::error!(engine = %name, cause = panic_text(panic.as_ref()), "an engine panicked at the end of a job");
        }
        ended.is_ok()
    });
}

/// Turns a panic into a failure of the job.
fn guard(engine: EngineName, body: impl FnOnce() -> Result<EngineRun, RunError>) -> Result<EngineRun, RunError> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let cause = panic_text(panic.as_ref());
        if is_thread_shortage(&cause) {
            let reason = format!("the {engine} engine got no thread: {cause}");
            return Err(RunError::Environment(Fault::new(Part::Engine, reason)));
        }
        tracing::error!(%engine, %cause, "an engine panicked");
        let message = format!(
            "the {engine} engine panicked ({cause}); this is a bug of Unflatten, please report it with the picture"
        );
        Err(RunError::failed(FailureCode::EnginePanicked, message))
    })
}

fn run(
    set: &dyn EngineSet,
    engines: &mut HashMap<EngineName, Box<dyn Engine>>,
    work: &Work,
    updates: mpsc::UnboundedSender<Update>,
) -> Result<EngineRun, RunError> {
    let engine = match engines.entry(work.engine) {
        Entry::Occupied(loaded) => loaded.into_mut(),
        Entry::Vacant(entry) => entry.insert(set.make(work.engine).map_err(run_error)?),
    };
    check_memory(engine.as_ref(), work)?;
    let mut sink = Sink { stop: work.stop.clone(), updates };
    let RunJob { input, params, describe, .. } = &work.job;
    let job = EngineJob { input, params, describe: *describe, origin: work.origin };
    let started = Instant::now();
    let output = engine.decompose(&job, &mut sink).map_err(run_error)?;
    Ok(EngineRun {
        output,
        offer: engine.offer(),
        model_revision: engine.model_revision(),
        duration: started.elapsed(),
        reason: work.reason.clone(),
    })
}

fn run_error(error: EngineError) -> RunError {
    match error {
        EngineError::Stopped(Stopped) => RunError::Stopped,
        EngineError::Failed(failure) => RunError::Failed(failure),
        EngineError::Environment { message } => RunError::Environment(Fault::new(Part::Engine, message)),
    }
}

/// Refuses a job that does not fit before it starts, rather than at its end.
fn check_memory(engine: &dyn Engine, work: &Work) -> Result<(), RunError> {
    let (width, height) = work.job.input.dimensions();
    let needed = engine.memory_bytes(width, height, &work.job.params);
    let (limit, source) = match work.memory_limit {
        Some(limit) => (limit, "JOB_MEMORY_LIMIT allows"),
        None => (free_bytes().unwrap_or(u64::MAX), "this machine has free"),
    };
    if needed <= limit {
        return Ok(());
    }
    let message = format!(
        "a {width}x{height} picture needs about {} with the {} engine, {source} {}; \
         use a smaller picture, fewer layers, or give the worker more memory",
        ByteSize(needed),
        work.engine,
        ByteSize(limit),
    );
    Err(RunError::failed(FailureCode::OutOfMemory, message))
}

struct Sink {
    stop: Stop,
    updates: mpsc::UnboundedSender<Update>,
}

impl ProgressSink for Sink {
    fn step(&mut self, step: Step) -> Result<(), Stopped> {
        if self.stop.reason().is_some() {
            return Err(Stopped);
        }
        // A run that nobody listens to any more was given up.
        self.updates.send(Update::Step(step)).map_err(|_| Stopped)
    }

    fn note(&mut self, note: Message) {
        // As above; the next step ends the work.
        let _ = self.updates.send(Update::Note(note));
    }

    fn stop_reason(&self) -> Option<StopReason> {
        self.stop.reason().cloned()
    }
}

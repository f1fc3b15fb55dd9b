//! The engine thread: one OS thread owns the engines and receives jobs over a channel.

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

use super::error::{Fault, Operation, RunError, is_thread_shortage, panic_text};
use super::input::RunJob;
use crate::memory::free_bytes;

/// Recursive engines (parsers, region trees) need more than the default 2 MiB.
const STACK_BYTES: usize = 16 << 20;

/// A run for the engine thread.
pub(super) struct EngineTask {
    pub(super) engine: EngineName,
    pub(super) job: RunJob,
    pub(super) origin: Origin,
    /// Why this engine was chosen.
    pub(super) reason: Message,
    /// Memory limit of the job in bytes; `None`: what is free.
    pub(super) memory_limit: Option<u64>,
    pub(super) stop: Stop,
}

/// An event of a running task.
#[derive(Debug)]
pub(super) enum Update {
    Step(Step),
    Note(Message),
}

/// A task that the engine thread runs.
pub(super) struct RunningTask {
    reply: oneshot::Receiver<Result<EngineRun, RunError>>,
}

impl RunningTask {
    /// Waits for the result.
    pub(super) async fn ended(self) -> Result<EngineRun, RunError> {
        // The thread catches panics, so a dropped sender means that the thread itself is gone.
        self.reply.await.unwrap_or_else(|_| {
            Err(RunError::failed(
                FailureCode::EnginePanicked,
                "the engine thread ended unexpectedly; please report this bug".to_owned(),
            ))
        })
    }
}

enum Command {
    Run {
        task: Box<EngineTask>,
        updates: mpsc::UnboundedSender<Update>,
        reply: oneshot::Sender<Result<EngineRun, RunError>>,
    },
    JobEnded {
        done: oneshot::Sender<()>,
    },
}

/// A handle to the engine thread. The thread ends after its current job when the handle is dropped.
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

    /// Sends a task to the thread. Its steps and notes arrive on the returned channel.
    pub(super) fn run(&self, task: EngineTask) -> (mpsc::UnboundedReceiver<Update>, RunningTask) {
        let (updates, inbox) = mpsc::unbounded_channel();
        let (reply, reply_inbox) = oneshot::channel();
        // If the thread is gone, the reply's sender is dropped with the command, which `RunningTask::ended` reports.
        let _ = self.commands.send(Command::Run { task: Box::new(task), updates, reply });
        (inbox, RunningTask { reply: reply_inbox })
    }

    /// Tells the engines that a job is over, and waits until they have cleaned up.
    pub(super) async fn job_ended(&self) {
        let (done, cleaned_up) = oneshot::channel();
        // A thread that is gone has nothing to clean up.
        let _ = self.commands.send(Command::JobEnded { done });
        let _ = cleaned_up.await;
    }

    /// Abandons the thread, which ends when its engine returns.
    pub(super) fn abandon(self) -> thread::JoinHandle<()> {
        self.thread
    }
}

/// Starts rayon's global pool. Its initialization runs once, and a failure for lack of threads would be permanent. So it
/// runs at startup, and only after as many threads could be started at once.
fn start_pool() -> io::Result<()> {
    let wanted = thread::available_parallelism().map_or(1, NonZero::get);
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let _shut = gate.lock();
        // All of them exist at once: none passes the gate before the last has started.
        (0..wanted).try_for_each(|_| thread::Builder::new().spawn_scoped(scope, || drop(gate.lock())).map(drop))
    })?;
    let start = || {
        // The threads of the pool inherit the priority of their creator.
        yield_to_clients();
        catch_unwind(rayon::current_num_threads).map(drop)
    };
    let started = thread::scope(|scope| Ok::<_, io::Error>(thread::Builder::new().spawn_scoped(scope, start)?.join()))?;
    started.and_then(|started| started).map_err(|panic| io::Error::other(panic_text(panic.as_ref())))
}

/// Lowers the priority of this thread, so that an API on the same machine still answers in milliseconds. On an idle
/// machine, the engine is as fast as before.
fn yield_to_clients() {
    // Only Linux has a priority per thread.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICENESS);
}

/// Under contention, a third of the CPU time of a thread with the default priority.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

fn serve(set: &dyn EngineSet, inbox: &std_mpsc::Receiver<Command>) {
    let mut engines: HashMap<EngineName, Box<dyn Engine>> = HashMap::new();
    while let Ok(command) = inbox.recv() {
        match command {
            Command::Run { task, updates, reply } => {
                let outcome = guard(task.engine, || run(set, &mut engines, &task, updates));
                if matches!(&outcome, Err(RunError::Failed(failure)) if failure.code == FailureCode::EnginePanicked) {
                    // Its state is unknown: the next job creates a new engine.
                    let broken = engines.remove(&task.engine);
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
                }
                // The receiver is gone if the attempt was abandoned.
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

/// Converts a panic to a failure of the job.
fn guard(engine: EngineName, body: impl FnOnce() -> Result<EngineRun, RunError>) -> Result<EngineRun, RunError> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let cause = panic_text(panic.as_ref());
        if is_thread_shortage(&cause) {
            let reason = format!("the {engine} engine could not start a thread: {cause}");
            return Err(RunError::Environment(Fault::new(Operation::RunEngine, reason)));
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
    task: &EngineTask,
    updates: mpsc::UnboundedSender<Update>,
) -> Result<EngineRun, RunError> {
    let engine = match engines.entry(task.engine) {
        Entry::Occupied(loaded) => loaded.into_mut(),
        Entry::Vacant(entry) => entry.insert(set.make(task.engine).map_err(run_error)?),
    };
    check_memory(engine.as_ref(), task)?;
    let mut sink = ChannelSink { stop: task.stop.clone(), updates };
    let RunJob { input, params, of, describe, .. } = &task.job;
    let job = EngineJob { input, params, of: *of, describe: *describe, origin: task.origin };
    let started = Instant::now();
    let output = engine.decompose(&job, &mut sink).map_err(run_error)?;
    Ok(EngineRun {
        output,
        offer: engine.offer(),
        model_revision: engine.model_revision(),
        duration: started.elapsed(),
        reason: task.reason.clone(),
    })
}

fn run_error(error: EngineError) -> RunError {
    match error {
        EngineError::Stopped(Stopped) => RunError::Stopped,
        EngineError::Failed(failure) => RunError::Failed(failure),
        EngineError::Environment { message } => RunError::Environment(Fault::new(Operation::RunEngine, message)),
    }
}

/// Fails a job that does not fit into memory before it starts.
fn check_memory(engine: &dyn Engine, task: &EngineTask) -> Result<(), RunError> {
    let (width, height) = task.job.input.dimensions();
    let needed = engine.memory_bytes(width, height, &task.job.params);
    let (limit, source) = match task.memory_limit {
        Some(limit) => (limit, "JOB_MEMORY_LIMIT allows"),
        None => (free_bytes().unwrap_or(u64::MAX), "this machine has free"),
    };
    if needed <= limit {
        return Ok(());
    }
    let message = format!(
        "a {width}x{height} picture needs about {} with the {} engine, but {source} {}; \
         use a smaller picture or fewer layers, or give the worker more memory",
        ByteSize(needed),
        task.engine,
        ByteSize(limit),
    );
    Err(RunError::failed(FailureCode::OutOfMemory, message))
}

struct ChannelSink {
    stop: Stop,
    updates: mpsc::UnboundedSender<Update>,
}

impl ProgressSink for ChannelSink {
    fn step(&mut self, step: Step) -> Result<(), Stopped> {
        if self.stop.reason().is_some() {
            return Err(Stopped);
        }
        // The receiver is gone if the run was abandoned.
        self.updates.send(Update::Step(step)).map_err(|_| Stopped)
    }

    fn note(&mut self, note: Message) {
        // As above; the next step ends the run.
        let _ = self.updates.send(Update::Note(note));
    }

    fn stop_reason(&self) -> Option<StopReason> {
        self.stop.reason().cloned()
    }
}

//! One OS thread owns the engines; jobs reach it over a channel.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::thread;
use std::time::{Duration, Instant};

use image::RgbaImage;
use jobs::broker::EngineOffer;
use jobs::{EngineChoice, Failure, FailureCode, JobId, Params};
use service::ByteSize;
use tokio::sync::{mpsc, oneshot};

use crate::engine::{Decomposition, Engine, EngineError, EngineJob, News, ProgressSink, Step, Stopped};
use crate::engines::EngineSet;
use crate::fault::{Fault, Part, is_shortage, panic_text};
use crate::memory::free_bytes;
use crate::stop::Stop;

/// Recursive engines (parsers, region trees) need more than a thread's usual 2 MiB.
const STACK_BYTES: usize = 16 << 20;

/// What the engine thread is asked to do.
pub(crate) struct Work {
    pub(crate) job_id: Option<JobId>,
    /// A named engine, not `auto`.
    pub(crate) engine: EngineChoice,
    pub(crate) input: Arc<RgbaImage>,
    pub(crate) params: Params,
    /// Whether the engine is to describe its layers, if it can.
    pub(crate) describe: bool,
    /// The most memory that the job may take, in bytes; `None`: what is free.
    pub(crate) memory_limit: Option<u64>,
    pub(crate) stop: Stop,
    /// Whether an earlier attempt may have begun with the engine.
    pub(crate) resumed: bool,
}

/// What an engine made, and which engine that was.
pub(crate) struct Made {
    pub(crate) decomposition: Decomposition,
    pub(crate) offer: EngineOffer,
    pub(crate) model_revision: Option<String>,
    pub(crate) duration: Duration,
}

/// How a run ended without a result.
#[derive(Debug)]
pub(crate) enum HostError {
    Stopped,
    Failed(Failure),
    /// Files, threads or descriptors that the engine needs were not to be had.
    Environment(Fault),
}

impl HostError {
    fn failed(code: FailureCode, message: String) -> Self {
        Self::Failed(Failure { code, message })
    }
}

/// A job that the engine thread works on.
pub(crate) struct Running {
    reply: oneshot::Receiver<Result<Made, HostError>>,
}

impl Running {
    /// Waits for the end.
    pub(crate) async fn done(self) -> Result<Made, HostError> {
        // The thread catches panics, so a dropped sender means that it was killed from outside.
        self.reply.await.unwrap_or_else(|_| {
            Err(HostError::failed(FailureCode::EnginePanicked, "the engine thread ended unexpectedly".to_owned()))
        })
    }
}

enum Command {
    Run { work: Work, news: mpsc::UnboundedSender<News>, reply: oneshot::Sender<Result<Made, HostError>> },
    Settle { job: Option<JobId>, done: oneshot::Sender<()> },
}

/// The engine thread. Dropping it lets the thread end after its current job.
pub(crate) struct Host {
    commands: std_mpsc::Sender<Command>,
    thread: thread::JoinHandle<()>,
}

impl Host {
    pub(crate) fn start(engines: Arc<dyn EngineSet>) -> io::Result<Self> {
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
    pub(crate) fn run(&self, work: Work) -> (mpsc::UnboundedReceiver<News>, Running) {
        let (news, news_inbox) = mpsc::unbounded_channel();
        let (reply, reply_inbox) = oneshot::channel();
        // When the thread is gone the reply's sender is dropped with the command, which `Running::done` reports.
        let _ = self.commands.send(Command::Run { work, news, reply });
        (news_inbox, Running { reply: reply_inbox })
    }

    /// Tells the engines that a job is over, and waits until they have tidied up.
    pub(crate) async fn settle(&self, job: Option<JobId>) {
        let (done, told) = oneshot::channel();
        // A thread that is gone has nothing to tidy.
        let _ = self.commands.send(Command::Settle { job, done });
        let _ = told.await;
    }

    /// Gives the thread up, which goes on until its engine comes back.
    pub(crate) fn abandon(self) -> thread::JoinHandle<()> {
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
    let mut engines: HashMap<EngineChoice, Box<dyn Engine>> = HashMap::new();
    while let Ok(command) = inbox.recv() {
        let (work, news, reply) = match command {
            Command::Run { work, news, reply } => (work, news, reply),
            Command::Settle { job, done } => {
                settle(&mut engines, job);
                // Who does not wait any more need not know.
                let _ = done.send(());
                continue;
            }
        };
        let outcome = guard(&work, || run(set, &mut engines, &work, news));
        if matches!(&outcome, Err(HostError::Failed(failure)) if failure.code == FailureCode::EnginePanicked) {
            // Its inner state is unknown: the next job makes a new one.
            let broken = engines.remove(&work.engine);
            let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
        }
        // Nobody waits any more when the attempt was given up.
        let _ = reply.send(outcome);
    }
}

fn settle(engines: &mut HashMap<EngineChoice, Box<dyn Engine>>, job: Option<JobId>) {
    engines.retain(|name, engine| {
        let told = catch_unwind(AssertUnwindSafe(|| engine.settled(job)));
        if let Err(panic) = &told {
            tracing::error!(engine = %name, cause = panic_text(panic.as_ref()), "an engine panicked at the end of a job");
        }
        told.is_ok()
    });
    draft::allocator::give_back();
}

/// Turns a panic into a failure of the job.
fn guard(work: &Work, body: impl FnOnce() -> Result<Made, HostError>) -> Result<Made, HostError> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let cause = panic_text(panic.as_ref());
        if is_shortage(&cause) {
            let reason = format!("the {} engine got no thread: {cause}", work.engine);
            return Err(HostError::Environment(Fault::new(Part::Engine, reason)));
        }
        tracing::error!(engine = %work.engine, %cause, "an engine panicked");
        let message = format!(
            "the {} engine panicked ({cause}); this is a bug of Unflatten, please report it with the picture",
            work.engine
        );
        Err(HostError::failed(FailureCode::EnginePanicked, message))
    })
}

fn run(
    set: &dyn EngineSet,
    engines: &mut HashMap<EngineChoice, Box<dyn Engine>>,
    work: &Work,
    news: mpsc::UnboundedSender<News>,
) -> Result<Made, HostError> {
    let engine = match engines.entry(work.engine) {
        Entry::Occupied(made) => made.into_mut(),
        Entry::Vacant(place) => place.insert(set.make(work.engine).map_err(explain)?),
    };
    check_memory(engine.as_ref(), work)?;
    let mut sink = Sink { stop: work.stop.clone(), news };
    let job = EngineJob {
        id: work.job_id,
        input: &work.input,
        params: &work.params,
        describe: work.describe,
        stop: &work.stop,
        resumed: work.resumed,
    };
    let started = Instant::now();
    let decomposition = engine.decompose(&job, &mut sink).map_err(explain)?;
    Ok(Made {
        decomposition,
        offer: engine.offer(),
        model_revision: engine.model_revision(),
        duration: started.elapsed(),
    })
}

fn explain(error: EngineError) -> HostError {
    match error {
        EngineError::Stopped(Stopped) => HostError::Stopped,
        EngineError::Failed { code, message } => HostError::Failed(Failure { code, message }),
        EngineError::Environment { message } => HostError::Environment(Fault::new(Part::Engine, message)),
    }
}

/// Refuses a job that does not fit before it starts, rather than at its end.
fn check_memory(engine: &dyn Engine, work: &Work) -> Result<(), HostError> {
    let (width, height) = work.input.dimensions();
    let needed = engine.memory_bytes(width, height, &work.params);
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
    Err(HostError::failed(FailureCode::OutOfMemory, message))
}

struct Sink {
    stop: Stop,
    news: mpsc::UnboundedSender<News>,
}

impl ProgressSink for Sink {
    fn step(&mut self, step: Step) -> Result<(), Stopped> {
        if self.stop.reason().is_some() {
            return Err(Stopped);
        }
        // A run that nobody listens to any more was given up.
        self.news.send(News::Step(step)).map_err(|_| Stopped)
    }

    fn note(&mut self, message: &str) {
        // As above; the next step ends the work.
        let _ = self.news.send(News::Note(message.to_owned()));
    }
}

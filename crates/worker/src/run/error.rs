//! Tells failures of a job from faults of its environment: storage, descriptors, threads.
//!
//! A failure fails the job. After a fault the job goes back to the queue and is retried (see `queue::outage`).

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use engine::{Failure, FailureCode, StopReason};
use image::ImageError;
use jobs::store::StoreError;
use layers::EncodeError;
use service::{ByteSize, error_chain};
use tokio::task::JoinError;

/// Why a run made no result.
#[derive(Debug)]
pub enum RunError {
    /// The job failed.
    Failed(Failure),
    /// The environment failed: the job is retried.
    Environment(Fault),
    /// The stop was raised; its reason says what to do.
    Stopped,
    /// The stop was raised, and the engine did not react within the grace period.
    Stuck,
}

/// A fault of the storage or of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The fault and its causes, on one line.
    pub(crate) reason: String,
    /// The operation that failed: it has to work before the next attempt.
    pub(crate) operation: Operation,
    /// The failure code of a job that runs out of retries.
    code: FailureCode,
}

/// The operation in which a fault occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Reading from the storage.
    Read,
    /// Writing or publishing a result, of which this many bytes were written.
    Write { bytes: u64 },
    /// Running the engine, which needs files, threads and descriptors of its own.
    RunEngine,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Fault {
    pub(crate) fn new(operation: Operation, reason: String) -> Self {
        let code = match operation {
            Operation::Read | Operation::Write { .. } => FailureCode::StorageFailed,
            Operation::RunEngine => FailureCode::EngineFailed,
        };
        Self { reason, operation, code }
    }

    /// An engine that was available when the worker started no longer is.
    pub(crate) fn engine_gone(failure: Failure) -> Self {
        Self { reason: failure.message, operation: Operation::RunEngine, code: failure.code }
    }

    /// The failure of a job that met the fault `tries` times while the storage passed its check.
    pub fn failure(&self, tries: u32) -> Failure {
        let advice = match self.operation {
            Operation::Read | Operation::Write { .. } => {
                "check the disk of UPLOAD_DIR and RESULTS_DIR, or the bucket of STORAGE_URL"
            }
            Operation::RunEngine => "check the log, the disk and the limits (ulimit -a) of the worker",
        };
        let tried = if tries == 1 { String::new() } else { format!(" (tried {tries} times)") };
        let message = format!("{}{tried}; {advice}, then try again", self.reason);
        Failure { code: self.code, message }
    }
}

impl RunError {
    pub(crate) fn failed(code: FailureCode, message: String) -> Self {
        Self::Failed(Failure { code, message })
    }

    /// Converts an error of the store. A record that cannot be parsed fails the job, since retrying does not repair it.
    pub(crate) fn store(operation: Operation, error: &StoreError) -> Self {
        match error {
            StoreError::Io { what, source } if source.kind() != ErrorKind::InvalidData => {
                tracing::debug!(error = error_chain(error), "the storage failed");
                Self::Environment(Fault::new(operation, format!("the storage failed ({what}): {}", cause(source))))
            }
            _ => Self::failed(FailureCode::StorageFailed, error_chain(error)),
        }
    }

    /// Converts an error of writing a result, after `bytes` were written.
    pub(crate) fn writing(error: &io::Error, bytes: u64) -> Self {
        let message = format!("the result could not be written: {}", cause(error));
        if is_environment(error) {
            return Self::Environment(Fault::new(Operation::Write { bytes }, message));
        }
        Self::failed(FailureCode::EngineFailed, format!("{message}; please report this bug with the picture"))
    }

    /// Converts a panic of `what`.
    pub(crate) fn panicked(what: &str, panic: &(dyn Any + Send)) -> Self {
        let cause = panic_text(panic);
        if is_thread_shortage(&cause) {
            return Self::Environment(Fault::new(Operation::RunEngine, format!("{what}: {cause}")));
        }
        tracing::error!(%cause, "{what} panicked");
        let message =
            format!("{what} panicked ({cause}); this is a bug of Unflatten, please report it with the picture");
        Self::failed(FailureCode::EnginePanicked, message)
    }

    /// Converts the error of a blocking task.
    pub(crate) fn joined(what: &str, error: JoinError) -> Self {
        match error.try_into_panic() {
            Ok(panic) => Self::panicked(what, panic.as_ref()),
            // Only the shutdown of the runtime cancels it.
            Err(_) => Self::Stopped,
        }
    }
}

/// The failure of a job that was stopped for `reason`; `None` if the stop is not a failure.
pub fn failure_of(reason: &StopReason) -> Option<Failure> {
    let (code, message) = match reason {
        StopReason::Cancelled | StopReason::Lost | StopReason::ShuttingDown => return None,
        StopReason::TimedOut { limit_s } => (
            FailureCode::TimedOut,
            format!("the job ran longer than {limit_s} s; raise JOB_TIMEOUT_S, or use a smaller picture"),
        ),
        StopReason::Stalled { message } => (FailureCode::TimedOut, message.clone()),
        StopReason::OutOfMemory { used, limit } => (
            FailureCode::OutOfMemory,
            format!(
                "the job used {} of memory and may use {}; use a smaller picture, or raise JOB_MEMORY_LIMIT",
                ByteSize(*used),
                ByteSize(*limit)
            ),
        ),
    };
    Some(Failure { code, message })
}

/// Whether an error comes from the system (disk, limit, permission) rather than from the data.
pub(crate) fn is_environment(error: &(dyn Error + 'static)) -> bool {
    system_cause(error).is_some()
}

/// The message of the operating system, unwrapped.
fn system_cause(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    let mut kind = None;
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if is_environment_kind(io.kind()) {
                // The fallback where a library replaces the error by one with a path.
                kind = Some(io.kind().to_string());
            }
            match io.get_ref() {
                // `source` would skip the wrapped error.
                Some(inner) => next = Some(inner),
                None => return if io.raw_os_error().is_some() { Some(io.to_string()) } else { kind },
            }
            continue;
        }
        next = match (error.downcast_ref::<ImageError>(), error.downcast_ref::<EncodeError>()) {
            (Some(ImageError::IoError(io)), _) | (_, Some(EncodeError::Io(io))) => Some(io),
            _ => error.source(),
        };
    }
    kind
}

/// The cause of an error, for users: without the paths that libraries add.
fn cause(error: &(dyn Error + 'static)) -> String {
    system_cause(error).unwrap_or_else(|| error_chain(error))
}

/// Whether a kind cannot be caused by the content of a file.
fn is_environment_kind(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::InvalidData
            | ErrorKind::InvalidInput
            | ErrorKind::UnexpectedEof
            | ErrorKind::Unsupported
            | ErrorKind::Other
    )
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Whether a panic means that no thread could be started, for which the standard library and tokio have no error.
pub(super) fn is_thread_shortage(panic: &str) -> bool {
    ["failed to spawn thread", "OS can't spawn"].iter().any(|words| panic.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMFILE: i32 = 24;

    #[test]
    fn system_errors_are_found_inside_wrappers() {
        let system = || io::Error::from_raw_os_error(EMFILE);
        let wrapped: [Box<dyn Error>; 6] = [
            Box::new(system()),
            Box::new(io::Error::other(EncodeError::Io(system()))),
            Box::new(io::Error::other(ImageError::IoError(system()))),
            Box::new(io::Error::other(io::Error::other(system()))),
            Box::new(io::Error::from(ErrorKind::StorageFull)),
            Box::new(StoreError::Io { what: "x".to_owned(), source: system() }),
        ];
        for error in wrapped {
            assert!(is_environment(error.as_ref()), "{error:?}");
        }
        let own: [Box<dyn Error>; 3] = [
            Box::new(io::Error::other("a layer has no pixel")),
            Box::new(io::Error::other(EncodeError::Encode("odd".to_owned()))),
            Box::new(io::Error::from(ErrorKind::InvalidData)),
        ];
        for error in own {
            assert!(!is_environment(error.as_ref()), "{error:?}");
        }
    }

    #[test]
    fn reasons_name_no_path() {
        let error = tempfile::tempdir_in("/no/such/place").expect_err("it is not there");
        assert!(error.to_string().contains("/no/such"), "{error}");
        let failing = StoreError::Io { what: "making a folder".to_owned(), source: error };
        let RunError::Environment(fault) = RunError::store(Operation::Read, &failing) else {
            panic!("not the job's fault")
        };
        assert!(fault.reason.contains("not found") && !fault.reason.contains("/no/such"), "{}", fault.reason);
    }

    #[test]
    fn a_damaged_record_fails_the_job_and_a_failing_disk_does_not() {
        let json = serde_json::from_str::<u8>("{").expect_err("damaged");
        let corrupt = StoreError::Corrupt { what: "upload 1".to_owned(), source: json };
        assert!(matches!(RunError::store(Operation::Read, &corrupt), RunError::Failed(_)));
        // Errors of a bucket have no OS error code.
        for source in [io::Error::from_raw_os_error(5), io::Error::other("503 Service Unavailable")] {
            let failing = StoreError::Io { what: "upload 1".to_owned(), source };
            assert!(matches!(RunError::store(Operation::Read, &failing), RunError::Environment(_)), "{failing:?}");
        }
    }

    #[test]
    fn a_missing_thread_is_a_shortage_and_another_panic_a_bug() {
        // In the words of `std::thread::spawn`.
        let no_thread = || panic!("failed to spawn thread: {:?}", io::Error::from_raw_os_error(11));
        let panic = std::panic::catch_unwind::<_, ()>(no_thread).expect_err("it panics");
        assert!(matches!(RunError::panicked("the writer", panic.as_ref()), RunError::Environment(_)));
        assert!(matches!(RunError::panicked("the writer", &"index out of bounds"), RunError::Failed(_)));
    }
}

//! Why the queue cannot be used.

use std::io;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use rusqlite::ErrorCode;

use super::BrokerError;

/// Why the queue cannot be used at the moment, although the request is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Redis does not answer.
    Unreachable,
    /// Redis is loading its data.
    Loading,
    /// Redis is a read-only replica.
    Replica,
    /// Redis cannot write to its disk.
    NotPersisting,
    /// Redis has reached `maxmemory`. Unlike a full disk (507) this is a limit that an operator set, and jobs that end make
    /// room.
    MemoryFull,
    /// Redis refuses the credentials, or the user lacks permissions.
    Denied,
    /// Any other error from Redis.
    Refused,
    /// The disk of the embedded queue is full.
    DiskFull,
    /// The file of the embedded queue, or its disk, is read-only.
    ReadOnly,
    /// Another process holds the file of the embedded queue.
    Busy,
    /// The file of the embedded queue was removed or replaced.
    FileGone,
    /// The file of the embedded queue is damaged.
    Damaged,
    /// Any other error of the embedded queue's file.
    File,
    /// The service is shutting down.
    Stopping,
}

impl Fault {
    /// The problem, for the client.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unreachable => "the queue cannot be reached",
            Self::Loading => "Redis is still loading its data",
            Self::Replica => "Redis is a read-only replica and accepts no writes",
            Self::NotPersisting => "Redis cannot write to its disk and accepts no writes",
            Self::MemoryFull => "Redis has reached its memory limit (maxmemory) and accepts no new jobs",
            Self::Denied => "Redis denied access: user, password or permissions are wrong",
            Self::Refused => "Redis answered with an error",
            Self::DiskFull => "the disk of the queue is full",
            Self::ReadOnly => "the queue's file cannot be written to",
            Self::Busy => "the queue's file is in use by another process",
            Self::FileGone => "the queue's file was removed or replaced while the service was using it",
            Self::Damaged => "the queue's file is damaged",
            Self::File => "the queue's file cannot be used",
            Self::Stopping => "the service is shutting down",
        }
    }

    /// What the operator can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "check that Redis is running and that REDIS_URL (or REDIS_HOST and REDIS_PORT) points to it"
            }
            Self::Loading => "wait until it has finished",
            Self::Replica => "point REDIS_URL to the master or to its sentinels",
            Self::NotPersisting => "free space on the disk of Redis, or check its log",
            Self::MemoryFull => "raise maxmemory, or remove other data from this Redis",
            Self::Denied => "check REDIS_PASSWORD, or user and password in REDIS_URL, and the user's permissions (ACL)",
            Self::Refused => "check the cause and the log of Redis",
            Self::DiskFull => "free space on the disk of EMBEDDED_QUEUE_FILE",
            Self::ReadOnly => {
                "check the permissions of EMBEDDED_QUEUE_FILE and its folder, and whether its disk is mounted read-only"
            }
            Self::Busy => "stop the other process, or set EMBEDDED_QUEUE_FILE to another file",
            Self::FileGone => {
                "put EMBEDDED_QUEUE_FILE back if it was moved, then restart the service; jobs accepted before that would be \
                 lost"
            }
            Self::Damaged => "restart the service: it copies the damaged file and continues with what can be read",
            Self::File => "check EMBEDDED_QUEUE_FILE, the permissions of its folder, and its disk",
            Self::Stopping => "retry when it is running again",
        }
    }

    pub(super) fn of_redis(err: &RedisError) -> Self {
        match err.kind() {
            ErrorKind::AuthenticationFailed => return Self::Denied,
            ErrorKind::Server(ServerErrorKind::BusyLoading) => return Self::Loading,
            ErrorKind::Server(ServerErrorKind::ReadOnly) => return Self::Replica,
            ErrorKind::Server(ServerErrorKind::NoPerm) => return Self::Denied,
            ErrorKind::Server(
                ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown | ServerErrorKind::TryAgain,
            )
            | ErrorKind::Io
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::MasterNameNotFoundBySentinel
            | ErrorKind::NoValidReplicasFoundBySentinel => return Self::Unreachable,
            _ => {}
        }
        // Before version 7 Redis wraps the error that stopped a script.
        let text = err.to_string();
        let says = |code: &str| err.code() == Some(code) || text.contains(&format!("-{code} "));
        if says("OOM") {
            Self::MemoryFull
        } else if says("MISCONF") || says("NOREPLICAS") {
            Self::NotPersisting
        } else if says("NOAUTH") || says("WRONGPASS") || says("NOPERM") {
            Self::Denied
        } else if says("READONLY") {
            Self::Replica
        } else if says("LOADING") {
            Self::Loading
        } else {
            Self::Refused
        }
    }

    /// `None` for errors that only a bug can cause.
    pub(super) fn of_sqlite(err: &rusqlite::Error) -> Option<Self> {
        Some(match err.sqlite_error_code()? {
            ErrorCode::DiskFull => Self::DiskFull,
            ErrorCode::ReadOnly => Self::ReadOnly,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Damaged,
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted => Self::File,
            _ => return None,
        })
    }

    fn of_io(err: &io::Error) -> Self {
        match err.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly,
            _ => Self::File,
        }
    }
}

impl BrokerError {
    /// Why the queue cannot be used at the moment; `None` where the request, a single record or a bug is the cause.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Redis(err) => Some(Fault::of_redis(err)),
            Self::Sqlite(err) => Fault::of_sqlite(err),
            Self::Io(err) => Some(Fault::of_io(err)),
            Self::FileInUse { .. } => Some(Fault::Busy),
            Self::NotAQueue { .. } => Some(Fault::Damaged),
            Self::FileGone { .. } => Some(Fault::FileGone),
            Self::Stopping => Some(Fault::Stopping),
            Self::QueueFull { .. }
            | Self::ClientFull { .. }
            | Self::IdempotencyMismatch
            | Self::Corrupt(_)
            | Self::Malformed(_)
            | Self::NewerFile { .. }
            | Self::Panicked
            | Self::NotRecordable => None,
        }
    }

    /// The problem and what to do about it.
    pub(super) fn words(&self) -> String {
        match self.fault() {
            Some(fault) => format!("{}; {}", fault.reason(), fault.advice()),
            None => "the embedded queue failed because of a bug in this program; the log has the cause".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn sqlite(code: i32) -> BrokerError {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into()
    }

    #[test]
    fn each_fault_of_the_file_is_told_in_its_own_words() {
        for (code, fault) in [
            (ffi::SQLITE_FULL, Fault::DiskFull),
            (ffi::SQLITE_READONLY, Fault::ReadOnly),
            (ffi::SQLITE_IOERR, Fault::File),
            (ffi::SQLITE_IOERR_WRITE, Fault::File),
            (ffi::SQLITE_CANTOPEN, Fault::File),
            (ffi::SQLITE_BUSY, Fault::Busy),
            (ffi::SQLITE_CORRUPT, Fault::Damaged),
        ] {
            let error = sqlite(code);
            assert_eq!(error.fault(), Some(fault));
            assert_eq!(error.to_string(), format!("{}; {}", fault.reason(), fault.advice()));
        }
        assert_eq!(sqlite(ffi::SQLITE_CONSTRAINT).fault(), None, "an error of the program");
        let full = BrokerError::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.fault(), Some(Fault::DiskFull));
    }

    #[test]
    fn an_error_that_redis_wraps_is_told_like_one_that_it_does_not() {
        let wrapped = "Error running script (call to f_1): @user_script:80: @user_script: 80: -OOM command not allowed";
        let parse = |line: &str| {
            let mut parser = redis::Parser::new();
            let value = parser.parse_value(std::io::Cursor::new(line.as_bytes().to_vec())).expect("a reply");
            value.extract_error().expect_err("an error")
        };
        for (line, fault) in [
            (format!("-ERR {wrapped} when used memory > 'maxmemory'.\r\n"), Fault::MemoryFull),
            ("-OOM command not allowed when used memory > 'maxmemory'.\r\n".to_owned(), Fault::MemoryFull),
            ("-MISCONF Errors writing to the AOF file: No space left on device\r\n".to_owned(), Fault::NotPersisting),
            ("-READONLY You can't write against a read only replica.\r\n".to_owned(), Fault::Replica),
            ("-LOADING Redis is loading the dataset in memory\r\n".to_owned(), Fault::Loading),
            ("-NOAUTH Authentication required.\r\n".to_owned(), Fault::Denied),
            ("-NOPERM this user has no permissions\r\n".to_owned(), Fault::Denied),
            ("-ERR something else\r\n".to_owned(), Fault::Refused),
        ] {
            assert_eq!(BrokerError::from(parse(&line)).fault(), Some(fault), "{line}");
        }
    }
}

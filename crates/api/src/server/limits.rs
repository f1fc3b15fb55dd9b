//! How many connections the process can afford.

use crate::config::ConnectionLimits;

/// Descriptors for the queue, the log, webhooks, a worker in the same process and the files of its engines.
const RESERVED: u64 = 128;

/// A request may hold two files beside its socket.
const DESCRIPTORS_EACH: u64 = 3;

/// Bounds the memory of connections where descriptors do not.
const MOST: u64 = 10_000;

/// With fewer connections the service is useless.
const LEAST: u64 = 8;

/// More than [`MOST`] connections need. Some systems allow a billion, and programs that iterate over all possible
/// descriptors then take minutes.
const ENOUGH_DESCRIPTORS: u64 = 65_536;

impl ConnectionLimits {
    /// The most connections that the process can afford.
    pub fn most(&self) -> usize {
        let affordable = affordable(descriptors());
        let most = match self.max.map(u64::from) {
            None => affordable.min(MOST),
            Some(most) if most > affordable => {
                tracing::warn!(
                    "MAX_CONNECTIONS={most} needs more open files than this process may have; the limit is now \
                     {affordable} connections (raise the limit of open files with `ulimit -n`)"
                );
                affordable
            }
            Some(most) => most,
        };
        most as usize
    }
}

/// The connections that a limit of open files allows.
fn affordable(descriptors: u64) -> u64 {
    (descriptors.saturating_sub(RESERVED) / DESCRIPTORS_EACH).max(LEAST)
}

/// Raises the limit of open files as far as the process may without privileges, at most to 65,536: shells and service
/// managers start programs with 1,024. Call it once, at the start of a program.
pub fn raise_descriptor_limit() {
    #[cfg(unix)]
    unix::raise(ENOUGH_DESCRIPTORS);
}

#[cfg(unix)]
fn descriptors() -> u64 {
    unix::descriptors().unwrap_or(ENOUGH_DESCRIPTORS)
}

#[cfg(not(unix))]
fn descriptors() -> u64 {
    ENOUGH_DESCRIPTORS
}

#[cfg(unix)]
mod unix {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// `None` where there is no limit.
    pub(super) fn descriptors() -> Option<u64> {
        getrlimit(Resource::Nofile).current
    }

    pub(super) fn raise(enough: u64) {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = maximum.map_or(enough, |maximum| maximum.min(enough));
        if current.is_none_or(|current| current >= wanted) {
            return;
        }
        if let Err(err) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
            tracing::debug!(error = %err, "the limit of open files could not be raised");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(max: Option<u32>) -> ConnectionLimits {
        let second = Duration::from_secs(1);
        ConnectionLimits { max, header_timeout: second, idle_timeout: second, transfer_timeout: second }
    }

    #[test]
    fn files_are_left_for_everything_else() {
        for (descriptors, connections) in [(0, LEAST), (256, 42), (1024, 298), (20_000, 6624)] {
            assert_eq!(affordable(descriptors), connections, "{descriptors}");
        }
    }

    #[test]
    fn a_number_that_is_set_holds_as_far_as_descriptors_go() {
        assert_eq!(limits(Some(3)).most(), 3);
        assert!(limits(None).most() <= limits(Some(u32::MAX)).most());
    }
}

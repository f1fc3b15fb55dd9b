use std::path::Path;

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

/// Memory in bytes that this process could still take: what the system has
/// free, or what its container leaves it where that is less. `None` on a system
/// that does not tell.
pub fn free_bytes() -> Option<u64> {
    let kind = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(kind).ok()?;
    let free = system.available_memory();
    Some(system.cgroup_limits().map_or(free, |limits| free.min(limits.free_memory)))
}

/// All the memory of this machine in bytes; `None` on a system that does not tell.
pub fn total_bytes() -> Option<u64> {
    let kind = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    Some(System::new_with_specifics(kind).ok()?.total_memory())
}

/// Free bytes on the disk that an absolute path is on; `None` when it cannot be told.
pub fn free_disk_bytes(path: &Path) -> Option<u64> {
    // What is to be made there may not exist yet.
    path.ancestors().find_map(|folder| fs4::available_space(folder).ok())
}

/// Measures how much memory this process holds.
pub(crate) struct Resident {
    system: System,
    pid: Pid,
}

impl Resident {
    /// `None` on a system that does not tell.
    pub(crate) fn new() -> Option<Self> {
        let pid = sysinfo::get_current_pid().ok()?;
        Some(Self { system: System::new().ok()?, pid })
    }

    /// Memory in bytes that stays taken. Pages of mapped files, such as weights, go when others need the room; they are
    /// not counted where the system tells them apart.
    pub(crate) fn bytes(&mut self) -> Option<u64> {
        let only = ProcessRefreshKind::nothing().with_memory();
        anonymous_bytes().or_else(|| {
            self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[self.pid]), true, only);
            self.system.process(self.pid).map(sysinfo::Process::memory)
        })
    }
}

/// From `/proc/self/status` of Linux: resident pages that no file is behind.
fn anonymous_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some((kib("RssAnon:")? + kib("RssShmem:")?) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_its_memory() {
        assert!(free_bytes().expect("a supported system") > 0);
        let mut resident = Resident::new().expect("a supported system");
        let before = resident.bytes().expect("our own process");
        let taken = vec![1_u8; 64 << 20];
        assert!(resident.bytes().expect("our own process") > before + (48 << 20));
        drop(taken);
    }
}

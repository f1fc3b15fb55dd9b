use std::path::Path;

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

/// Memory in bytes that this process can still allocate: the free memory of the system, or of its container where that
/// is less. `None` where the system does not report it.
pub fn free_bytes() -> Option<u64> {
    let kind = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(kind).ok()?;
    let free = system.available_memory();
    Some(system.cgroup_limits().map_or(free, |limits| free.min(limits.free_memory)))
}

/// Total memory of this machine in bytes; `None` where the system does not report it.
pub fn total_bytes() -> Option<u64> {
    let kind = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    Some(System::new_with_specifics(kind).ok()?.total_memory())
}

/// Free bytes on the disk of an absolute path, which need not exist yet; `None` where the system does not report it.
pub fn free_disk_bytes(path: &Path) -> Option<u64> {
    path.ancestors().find_map(|folder| fs4::available_space(folder).ok())
}

/// Measures the resident memory of this process.
pub(crate) struct ResidentMemory {
    system: System,
    pid: Pid,
}

impl ResidentMemory {
    /// `None` where the system does not report it.
    pub(crate) fn new() -> Option<Self> {
        let pid = sysinfo::get_current_pid().ok()?;
        Some(Self { system: System::new().ok()?, pid })
    }

    /// Resident memory in bytes. Pages of mapped files, such as weights, are evicted under pressure and not counted where
    /// the system reports them separately.
    pub(crate) fn bytes(&mut self) -> Option<u64> {
        let only = ProcessRefreshKind::nothing().with_memory();
        anonymous_bytes().or_else(|| {
            self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[self.pid]), true, only);
            self.system.process(self.pid).map(sysinfo::Process::memory)
        })
    }
}

/// Resident pages without a file, from `/proc/self/status` (Linux).
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
    fn this_machine_reports_its_memory() {
        assert!(free_bytes().expect("a supported system") > 0);
        let mut resident = ResidentMemory::new().expect("a supported system");
        let before = resident.bytes().expect("our own process");
        let taken = vec![1_u8; 64 << 20];
        assert!(resident.bytes().expect("our own process") > before + (48 << 20));
        drop(taken);
    }
}

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

/// A number of bytes, written like `8GiB`, `500MB` or `1073741824`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("g", 1 << 30),
    ("m", 1 << 20),
    ("b", 1),
];

impl FromStr for MemoryLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.trim().to_ascii_lowercase();
        let (number, unit) =
            UNITS.iter().find_map(|(suffix, unit)| Some((lower.strip_suffix(suffix)?, *unit))).unwrap_or((&lower, 1));
        let bytes = number.trim().parse::<f64>().ok().map(|n| n * unit as f64);
        match bytes {
            Some(bytes) if bytes >= 1.0 && bytes < u64::MAX as f64 => Ok(Self(bytes as u64)),
            _ => Err("write a size such as 8GiB, 500MB or 1073741824".to_owned()),
        }
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&human_bytes(self.0))
    }
}

/// Bytes for people, in binary units: `1.5 GiB`.
pub fn human_bytes(bytes: u64) -> String {
    let value = bytes as f64;
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{:.0} KiB", value / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.0} MiB", value / 1024.0 / 1024.0),
        _ => format!("{:.1} GiB", value / 1024.0 / 1024.0 / 1024.0),
    }
}

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
    fn limits_are_read_in_every_spelling() {
        for (text, bytes) in [("8GiB", 8 << 30), ("500 MB", 500_000_000), ("1.5g", 3 << 29), ("4096", 4096)] {
            assert_eq!(text.parse(), Ok(MemoryLimit(bytes)), "{text}");
        }
        for text in ["", "much", "-1GB", "0", "nan", "inf"] {
            assert!(text.parse::<MemoryLimit>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn bytes_read_well() {
        assert_eq!(human_bytes(512), "512 B");
        assert_eq!(human_bytes(3 << 29), "1.5 GiB");
        assert_eq!(human_bytes(700 << 20), "700 MiB");
    }

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

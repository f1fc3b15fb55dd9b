//! What a device is doing, in words: for jobs that do not get on.

use std::time::Duration;

use service::ByteSize;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// A driver that hangs takes its tools with it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Over which the use of the processor is measured.
const SAMPLE: Duration = Duration::from_millis(500);

/// What `nvidia-smi` is asked for, and how it is said.
const QUERY: [(&str, &str); 6] = [
    ("utilization.gpu", "busy"),
    ("memory.used", "memory used"),
    ("memory.total", "of"),
    ("temperature.gpu", "degrees C"),
    ("power.draw", "power"),
    ("clocks.sm", "clock"),
];

/// A sentence on `device` (`cpu`, `cuda:0`, `metal`) and on this process.
pub(crate) async fn describe(device: &str) -> String {
    let process = process().await;
    match device.strip_prefix("cuda:") {
        Some(number) => format!("{}; {process}", gpu("nvidia-smi", number).await),
        None => process,
    }
}

async fn gpu(program: &str, number: &str) -> String {
    let fields: Vec<_> = QUERY.iter().map(|(field, _)| *field).collect();
    let mut query = Command::new(program);
    query.arg(format!("--query-gpu={}", fields.join(","))).args(["--format=csv,noheader", "-i", number]);
    query.kill_on_drop(true);
    match timeout(PATIENCE, query.output()).await {
        Err(_) => format!("GPU {number}: nvidia-smi does not answer within {} s, the driver hangs", PATIENCE.as_secs()),
        Ok(Err(error)) => format!("GPU {number}: nvidia-smi cannot be started ({error})"),
        Ok(Ok(output)) if !output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            format!("GPU {number}: nvidia-smi says: {}", text.trim())
        }
        Ok(Ok(output)) => format!("GPU {number}: {}", said(&String::from_utf8_lossy(&output.stdout))),
    }
}

/// "98 %, 20123 MiB, ..." with what each value is.
fn said(line: &str) -> String {
    let values = line.trim().split(',').map(str::trim);
    let words: Vec<_> = values.zip(QUERY).map(|(value, (_, name))| format!("{name} {value}")).collect();
    words.join(", ")
}

/// How much of the processor and of the memory this process uses.
async fn process() -> String {
    let Ok(mut system) = System::new() else { return "this system tells nothing of its processes".to_owned() };
    let pid = Pid::from_u32(std::process::id());
    let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
    let mut measure = || {
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, kind);
        system.process(pid).map(|process| (process.accumulated_cpu_time(), process.memory()))
    };
    let before = measure();
    sleep(SAMPLE).await;
    match (before, measure()) {
        (Some((before, _)), Some((after, memory))) => {
            let cores = after.saturating_sub(before) as f64 / SAMPLE.as_millis() as f64;
            format!("this process uses {cores:.1} processor cores and {} of memory", ByteSize(memory))
        }
        _ => "what this process does cannot be told".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_described_by_its_use() {
        let text = describe("cpu").await;
        assert!(text.contains("processor cores") && text.contains("iB of memory"), "{text}");
    }

    #[tokio::test]
    async fn a_missing_tool_is_said() {
        assert!(gpu("no-such-nvidia-smi", "0").await.contains("cannot be started"));
    }

    #[test]
    fn values_are_named() {
        assert_eq!(
            said("98 %, 20123 MiB, 24576 MiB, 71, 348.12 W, 1695 MHz\n"),
            "busy 98 %, memory used 20123 MiB, of 24576 MiB, degrees C 71, power 348.12 W, clock 1695 MHz"
        );
    }
}

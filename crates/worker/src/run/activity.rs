//! Describes what a device and this process are doing, for jobs that make no progress.

use std::time::Duration;

use service::ByteSize;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// nvidia-smi hangs with the driver.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// The time over which CPU usage is measured.
const SAMPLE: Duration = Duration::from_millis(500);

/// The fields that `nvidia-smi` is queried for, in the order that [`format_gpu`] expects.
const FIELDS: &str = "utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw,clocks.sm";

/// Describes the activity of `device` (`cpu`, `cuda:0`, `metal`) and of this process in one sentence.
pub(crate) async fn describe(device: &str) -> String {
    let process = process().await;
    match device.strip_prefix("cuda:") {
        Some(number) => format!("{}; {process}", gpu("nvidia-smi", number).await),
        None => process,
    }
}

async fn gpu(program: &str, number: &str) -> String {
    let mut query = Command::new(program);
    query.arg(format!("--query-gpu={FIELDS}")).args(["--format=csv,noheader", "-i", number]);
    query.kill_on_drop(true);
    match timeout(QUERY_TIMEOUT, query.output()).await {
        Err(_) => {
            format!("GPU {number}: nvidia-smi did not answer within {} s; the driver hangs", QUERY_TIMEOUT.as_secs())
        }
        Ok(Err(error)) => format!("GPU {number}: nvidia-smi cannot be started ({error})"),
        Ok(Ok(output)) if !output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            format!("GPU {number}: nvidia-smi failed: {}", text.trim())
        }
        Ok(Ok(output)) => format!("GPU {number}: {}", format_gpu(&String::from_utf8_lossy(&output.stdout))),
    }
}

/// Labels the values of a line such as "98 %, 20123 MiB, 24576 MiB, 71, 348.12 W, 1695 MHz".
fn format_gpu(line: &str) -> String {
    let values: Vec<_> = line.trim().split(',').map(str::trim).collect();
    let [utilization, used, total, temperature, power, clock] = values[..] else { return line.trim().to_owned() };
    let used = used.trim_end_matches(" MiB");
    format!("utilization {utilization}, memory {used} of {total}, {temperature} °C, power {power}, clock {clock}")
}

/// Describes the CPU and memory usage of this process.
async fn process() -> String {
    let Ok(mut system) = System::new() else { return "this system does not report the usage of processes".to_owned() };
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
            format!("this process uses {cores:.1} CPU cores and {} of memory", ByteSize(memory))
        }
        _ => "the usage of this process cannot be read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_described_by_its_use() {
        let text = describe("cpu").await;
        assert!(text.contains("CPU cores") && text.contains("iB of memory"), "{text}");
    }

    #[tokio::test]
    async fn a_missing_tool_is_reported() {
        assert!(gpu("no-such-nvidia-smi", "0").await.contains("cannot be started"));
    }

    #[test]
    fn values_are_labelled() {
        assert_eq!(
            format_gpu("98 %, 20123 MiB, 24576 MiB, 71, 348.12 W, 1695 MHz\n"),
            "utilization 98 %, memory 20123 of 24576 MiB, 71 °C, power 348.12 W, clock 1695 MHz"
        );
    }
}

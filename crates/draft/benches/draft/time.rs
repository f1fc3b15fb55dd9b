//! Time and memory, in processes of their own: the first job of a process reads the networks.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

/// Moments at which jobs are stopped.
const STOPS: u32 = 20;

/// What a child process prints.
#[derive(Serialize, Deserialize)]
struct Report {
    seconds: Vec<f64>,
    /// Longest time from a wish to stop to the end of the work.
    cancel: f64,
    /// Largest resident memory of the process in bytes, where the system tells.
    peak: Option<u64>,
}

/// Times `runs` first jobs and `runs` later jobs on one picture, 4 layers.
pub fn time(picture: &Path, runs: usize) -> anyhow::Result<()> {
    let mut first = Vec::new();
    let mut peak = None;
    for _ in 0..runs {
        let report = child(picture, 1)?;
        first.extend(report.seconds);
        peak = peak.max(report.peak);
    }
    let report = child(picture, runs + 1)?;
    let later = report.seconds[1..].to_vec();
    let memory = |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), |b| format!("{:.0} MB", b as f64 / 1e6));
    println!("| | median | least | most | peak memory of the process |\n|---|---|---|---|---|");
    println!("| first job of a process, {runs} processes | {} | {} |", spread(first), memory(peak));
    println!("| later jobs, {runs} in one process | {} | {} |", spread(later), memory(report.peak));
    println!("\nStopped at {STOPS} moments of a job, the work ended after {:.0} ms at most.\n", report.cancel * 1000.0);
    Ok(())
}

fn spread(mut seconds: Vec<f64>) -> String {
    seconds.sort_by(f64::total_cmp);
    let middle = seconds.len() / 2;
    let median =
        if seconds.len() % 2 == 1 { seconds[middle] } else { f64::midpoint(seconds[middle - 1], seconds[middle]) };
    format!("{median:.2} s | {:.2} s | {:.2} s", seconds[0], seconds[seconds.len() - 1])
}

fn child(picture: &Path, runs: usize) -> anyhow::Result<Report> {
    let exe = std::env::current_exe().context("the benchmark cannot find itself")?;
    let output = Command::new(exe).arg("--job").arg(picture).args(["--runs", &runs.to_string()]).output()?;
    ensure!(output.status.success(), "a job failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The child: decodes the picture, then times `runs` jobs on it.
pub fn job(picture: &Path, runs: usize) -> anyhow::Result<()> {
    let input = image::open(picture)?.to_rgba8();
    let options = draft::Options { layers: Some(4), seed: 0 };
    let mut seconds = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        let output = draft::decompose(&input, &options, &mut |_| ControlFlow::Continue(()))?;
        seconds.push(start.elapsed().as_secs_f64());
        drop(output);
    }
    let peak = peak_memory();
    let cancel = if runs > 1 { cancel(&input, &options, seconds[runs - 1]) } else { 0.0 };
    println!("{}", serde_json::to_string(&Report { seconds, cancel, peak })?);
    Ok(())
}

/// Stops jobs at moments spread over the time that one takes; the wish is made at a
/// moment of its own choice, as a person's is, and heard when the engine next asks.
fn cancel(input: &image::RgbaImage, options: &draft::Options, seconds: f64) -> f64 {
    let mut worst = 0.0f64;
    for stop in 0..STOPS {
        let moment = seconds * f64::from(stop) / f64::from(STOPS);
        let start = Instant::now();
        let answer = draft::decompose(input, options, &mut |_| {
            if start.elapsed().as_secs_f64() < moment { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if answer.is_err() {
            worst = worst.max(start.elapsed().as_secs_f64() - moment);
        }
    }
    worst
}

/// Linux: the high-water mark of the resident memory.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

//! Time and memory, in processes of their own: the first job of a process reads the networks.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

/// Moments at which jobs are stopped.
const STOPS: u32 = 40;
const LAYERS: u8 = 4;

/// Times of one job in seconds.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Job {
    wall: f64,
    /// Of all processors together, where the system tells: other work on the machine hardly moves it.
    cpu: Option<f64>,
}

/// What a child process prints.
#[derive(Serialize, Deserialize)]
struct Report {
    jobs: Vec<Job>,
    /// Longest time from a wish to stop to the end of the work, by the stage in which it was made.
    cancel: BTreeMap<String, f64>,
    /// Largest resident memory of the process in bytes, where the system tells.
    peak: Option<u64>,
}

/// Times `runs` first jobs and `runs` later jobs on one picture, 4 layers.
pub(crate) fn time(picture: &Path, size: (u32, u32), runs: usize) -> anyhow::Result<()> {
    let mut first = Vec::new();
    let mut peak = None;
    for _ in 0..runs {
        let report = child(picture, 1)?;
        first.extend(report.jobs);
        peak = peak.max(report.peak);
    }
    let report = child(picture, runs + 1)?;
    let memory = |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), |b| format!("{:.0} MB", b as f64 / 1e6));
    println!("| | median | least | most | CPU, median | peak memory of the process |\n|---|---|---|---|---|---|");
    println!("| first job of a process, {runs} processes | {} | {} |", spread(&first), memory(peak));
    println!("| later jobs, {runs} in one process | {} | {} |", spread(&report.jobs[1..]), memory(report.peak));
    let estimate = draft::memory_bytes(size.0, size.1, LAYERS);
    println!("\nThe engine says that it needs {} at most.", memory(Some(estimate)));
    ensure!(peak.max(report.peak).is_none_or(|peak| peak <= estimate), "more memory was used than the engine said");
    let stages = report.cancel.iter().map(|(stage, seconds)| format!("{stage} {:.0}", seconds * 1000.0));
    let worst = report.cancel.values().copied().fold(0.0, f64::max);
    println!(
        "Stopped at {STOPS} moments of a job, the work ended after {:.0} ms at most; by stage, in ms: {}.\n",
        worst * 1000.0,
        stages.collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

fn spread(jobs: &[Job]) -> String {
    let walls: Vec<f64> = jobs.iter().map(|job| job.wall).collect();
    let cpu: Option<Vec<f64>> = jobs.iter().map(|job| job.cpu).collect();
    let (least, most) = walls.iter().fold((f64::INFINITY, 0.0f64), |(l, m), &wall| (l.min(wall), m.max(wall)));
    let cpu = cpu.map_or("unknown".to_owned(), |cpu| format!("{:.2} s", median(cpu)));
    format!("{:.2} s | {least:.2} s | {most:.2} s | {cpu}", median(walls))
}

fn child(picture: &Path, runs: usize) -> anyhow::Result<Report> {
    let exe = std::env::current_exe().context("the benchmark cannot find itself")?;
    let output = Command::new(exe).arg("--job").arg(picture).args(["--runs", &runs.to_string()]).output()?;
    ensure!(output.status.success(), "a job failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The child: decodes the picture, then times `runs` jobs on it.
pub(crate) fn job(picture: &Path, runs: usize) -> anyhow::Result<()> {
    let input = image::open(picture)?.to_rgba8();
    let options = draft::Options { layers: Some(LAYERS), ..draft::Options::default() };
    let mut jobs: Vec<Job> = Vec::new();
    for _ in 0..runs {
        let (start, before) = (Instant::now(), cpu_seconds());
        let output = draft::decompose(&input, &options, &mut |_| ControlFlow::Continue(()))?;
        let cpu = cpu_seconds().zip(before).map(|(after, before)| after - before);
        jobs.push(Job { wall: start.elapsed().as_secs_f64(), cpu });
        drop(output);
    }
    let peak = peak_memory();
    let cancel = if runs > 1 { cancel(&input, &options, jobs[runs - 1].wall) } else { BTreeMap::new() };
    println!("{}", serde_json::to_string(&Report { jobs, cancel, peak })?);
    Ok(())
}

/// Stops jobs at moments spread over the time that one takes; the wish is made at a
/// moment of its own choice, as a person's is, and heard when the engine next asks.
fn cancel(input: &image::RgbaImage, options: &draft::Options, seconds: f64) -> BTreeMap<String, f64> {
    let mut worst = BTreeMap::new();
    for stop in 0..STOPS {
        let moment = seconds * f64::from(stop) / f64::from(STOPS);
        let start = Instant::now();
        let mut stage = None;
        let answer = draft::decompose(input, options, &mut |step| {
            stage = Some(step.stage);
            if start.elapsed().as_secs_f64() < moment { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if answer.is_err() {
            let longest: &mut f64 =
                worst.entry(stage.map(|stage| format!("{stage:?}")).unwrap_or_default()).or_default();
            *longest = longest.max(start.elapsed().as_secs_f64() - moment);
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

/// Linux: time of all threads of this process, in hundredths of a second.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}

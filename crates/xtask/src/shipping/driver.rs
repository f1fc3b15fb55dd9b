//! A client of the service: one job, from upload to PSD, with curl.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::run::root;

/// How long the service may take to start, and a job of the draft engine to end, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Waits until the service at `url` says that it is ready.
pub(crate) fn wait_ready(url: &str, path: &str) -> anyhow::Result<()> {
    let started = Instant::now();
    while curl(&["--fail", &format!("{url}{path}")]).is_err() {
        ensure!(
            started.elapsed() < PATIENCE,
            "{url}{path} did not answer with 2xx; the messages of the service are above"
        );
        sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Sends the sample poster, waits for its layers and downloads them as a PSD. Returns the job's id.
pub(crate) fn drive_job(url: &str, into: &Path) -> anyhow::Result<String> {
    let poster = poster();
    let form = format!("image=@{}", poster.display());
    let answer = json(&["--form", &form, "--form", "num_layers=auto", &format!("{url}/api/decompose")])?;
    let id = answer["job_id"].as_str().with_context(|| format!("no job_id in {answer}"))?.to_owned();
    let started = Instant::now();
    loop {
        let job = json(&[&format!("{url}/api/status/{id}")])?;
        match job["state"].as_str() {
            Some("succeeded") => break,
            Some("queued" | "running") if started.elapsed() < PATIENCE => sleep(Duration::from_millis(200)),
            _ => bail!("the job did not succeed: {job}"),
        }
    }
    check_result(url, &id, into)?;
    Ok(id)
}

/// Downloads the result of a job as PSD into the folder `into`, and checks that it is the poster's.
pub(crate) fn check_result(url: &str, id: &str, into: &Path) -> anyhow::Result<()> {
    let metadata = json(&[&format!("{url}/api/jobs/{id}/metadata.json")])?;
    let layers = metadata["layers"].as_array().map_or(0, Vec::len);
    ensure!(layers > 1, "{layers} layers: {metadata}");
    let file = into.join(format!("{id}.psd"));
    let name = file.to_string_lossy();
    curl(&["--fail", "--output", &name, &format!("{url}/api/download/{id}?format=psd")])?;
    let psd = std::fs::read(&file).with_context(|| format!("{} was not written", file.display()))?;
    let png = std::fs::read(poster())?;
    let (found, expected) = (psd_size(&psd), png_size(&png));
    ensure!(found.is_some() && found == expected, "the PSD has {found:?} pixels, the poster {expected:?}");
    println!("job {id}: {layers} layers, a PSD of {} bytes", psd.len());
    Ok(())
}

/// The poster that is sent.
pub(crate) fn poster() -> PathBuf {
    root().join("docs/images/poster.png")
}

/// What curl answers with as JSON.
pub(crate) fn json(arguments: &[&str]) -> anyhow::Result<Value> {
    let body = curl(arguments)?;
    serde_json::from_slice(&body).with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&body)))
}

pub(crate) fn curl(arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    // Only this machine is asked, whatever proxy is set.
    let fixed = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "120"];
    let output = Command::new("curl").args(fixed).args(arguments).stdin(Stdio::null()).output();
    let output = output.context("curl cannot be started; is it installed?")?;
    if !output.status.success() {
        bail!("curl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// Width and height in a PNG's header.
fn png_size(png: &[u8]) -> Option<(u32, u32)> {
    (png.get(12..16)? == b"IHDR").then_some(())?;
    Some((number(png, 16)?, number(png, 20)?))
}

/// Width and height in a PSD's header.
fn psd_size(psd: &[u8]) -> Option<(u32, u32)> {
    (psd.get(..6)? == b"8BPS\0\x01").then_some(())?;
    Some((number(psd, 18)?, number(psd, 14)?))
}

/// Four bytes, the highest first.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_headers() {
        let png = std::fs::read(poster()).expect("the poster is there");
        assert!(png_size(&png).is_some_and(|(width, height)| width > 0 && height > 0));
        let mut psd = b"8BPS\0\x01".to_vec();
        psd.extend([0; 8]);
        psd.extend([0, 0, 1, 2, 0, 0, 3, 4]);
        assert_eq!(psd_size(&psd), Some((0x304, 0x102)));
        for broken in [&psd[..20], &png, b""] {
            assert_eq!(psd_size(broken), None);
        }
        assert_eq!(png_size(&psd), None);
    }
}

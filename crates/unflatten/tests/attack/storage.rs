//! Faults of the disk, and files that vanish under the service.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jobs::State;
use tokio::time::sleep;

use crate::support::{noise_png, poster_png};
use crate::victim::Victim;

#[tokio::test(flavor = "multi_thread")]
async fn a_short_storage_fault_fails_no_job() {
    let mut victim = Victim::start(&[("QUEUE_LIMIT_PER_CLIENT", "100")]).await;
    // Small: many of the jobs write their result while the folder is gone.
    let upload = victim.client.upload(poster_png(40, 0)).await;
    let mut waiting = Vec::new();
    for _ in 0..30 {
        waiting.push(victim.client.decompose(upload).await);
    }
    let results = victim.dir.path().join("storage/results");
    let aside = victim.dir.path().join("storage/aside");
    std::fs::rename(&results, &aside).expect("the folder can be moved");
    std::fs::write(&results, b"in the way").expect("a file can take its place");
    sleep(Duration::from_secs(3)).await;
    let readiness = victim.get("/readyz").await;
    assert_eq!(readiness.status(), 503, "readiness tells the fault");
    let reason = readiness.text().await.expect("text");
    std::fs::remove_file(&results).expect("the file can be removed");
    std::fs::rename(&aside, &results).expect("the folder can be moved back");
    let mut failed = Vec::new();
    for id in &waiting {
        let job = victim.client.wait_finished(*id).await;
        if job.state != State::Succeeded {
            failed.push(job);
        }
    }
    assert!(failed.is_empty(), "{} of 30 jobs failed, such as {:?}", failed.len(), failed[0]);
    victim.check_alive();
    println!("held: results gone for 3 s with 30 jobs waiting: none failed; readiness said {reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_reported_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount(40) else {
        println!("not tried: a disk of its own needs root and mount");
        return;
    };
    let paths = [
        ("UPLOAD_DIR", disk.path.join("uploads").display().to_string()),
        ("RESULTS_DIR", disk.path.join("results").display().to_string()),
    ];
    let settings: Vec<_> = paths.iter().map(|(name, path)| (*name, path.as_str())).collect();
    let mut victim = Victim::start(&settings).await;
    let job = victim.finished(poster_png(128, 0)).await;
    let upload = victim.client.upload(noise_png(500, 500)).await;
    let filler = disk.path.join("filler");
    fill(&filler);
    let url = &victim.client.url;
    let http = &victim.client.http;
    let form = || {
        let part = reqwest::multipart::Part::bytes(poster_png(300, 3)).file_name("poster.png");
        reqwest::multipart::Form::new().part("image", part)
    };
    let answers = [
        http.post(format!("{url}/api/upload")).multipart(form()).send().await,
        http.post(format!("{url}/api/decompose")).multipart(form()).send().await,
        http.patch(format!("{url}/api/jobs/{job}/layers/0")).json(&serde_json::json!({ "x": 2 })).send().await,
        http.get(format!("{url}/api/download/{job}?format=psd")).send().await,
    ];
    for answer in answers {
        let answer = answer.expect("the API answers");
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap_or_default());
        // Small writes may still find a free block.
        assert!(matches!(status, 200 | 201 | 202 | 503 | 507), "{status}: {text}");
        assert!(!text.contains("internal_error"), "{text}");
    }
    let readiness = victim.get("/readyz").await;
    assert!(matches!(readiness.status().as_u16(), 503 | 507), "readiness says {}", readiness.status());
    let waits = victim.client.decompose(upload).await;
    sleep(Duration::from_secs(2)).await;
    std::fs::remove_file(&filler).expect("the filler can be removed");
    assert_eq!(victim.client.wait_finished(waits).await.state, State::Succeeded);
    victim.check_alive();
    drop(victim);
    println!(
        "held: full disk: 507 or 503 in words, readiness reported it, the waiting job succeeded once there was room"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_queue_file_is_reported() {
    let mut victim = Victim::start(&[]).await;
    let upload = victim.client.upload(poster_png(64, 0)).await;
    for name in ["queue.sqlite", "queue.sqlite-wal", "queue.sqlite-shm"] {
        let _ = std::fs::remove_file(victim.dir.path().join("storage").join(name));
    }
    sleep(Duration::from_secs(6)).await;
    let readiness = victim.get("/readyz").await;
    assert_eq!(readiness.status(), 503, "readiness tells that the queue's file is gone");
    let asked = serde_json::json!({ "upload_id": upload });
    let url = format!("{}/api/decompose", victim.client.url);
    let answer = victim.client.http.post(url).json(&asked).send().await.expect("the API answers");
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap_or_default());
    assert_eq!(status, 503, "a job was taken into a queue that is gone: {text}");
    victim.check_alive();
    println!("held: queue file removed under the service: readiness and submission said so: {text}");
}

/// A small disk in memory.
struct SmallDisk {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a folder");
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self { path: dir.path().to_owned(), _dir: dir })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may have files open.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).expect("the filler can be made");
    let block = vec![1; 64 << 10];
    while file.write_all(&block).is_ok() {}
    while file.write_all(&block[..512]).is_ok() {}
}

//! Programs that a trial starts in the background.

use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::driver::PATIENCE;
use crate::run::text;

/// A program of a trial; ends with this value.
pub(crate) struct Process {
    child: Child,
    name: String,
}

impl Process {
    pub(crate) fn start(name: &str, mut command: Command) -> anyhow::Result<Self> {
        println!("$ {} &", text(&command));
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { child, name: name.to_owned() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks process `id`, this one or one that it started, to end, and checks that this one ends without an error.
    pub(crate) fn stop(mut self, id: u32) -> anyhow::Result<()> {
        let status = Command::new("kill").args(["-TERM", &id.to_string()]).status()?;
        ensure!(status.success(), "{} had ended before it was asked to", self.name);
        let status = self.wait()?;
        ensure!(status.success(), "{} was asked to end and did so with {status}", self.name);
        Ok(())
    }

    fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            sleep(Duration::from_millis(100));
        }
        bail!("{} did not end", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A Redis on loopback that keeps nothing, and its address.
pub(crate) fn redis() -> anyhow::Result<(Process, String)> {
    let port = free_port()?;
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]);
    let process = Process::start("redis-server", command)?;
    Ok((process, format!("redis://127.0.0.1:{port}")))
}

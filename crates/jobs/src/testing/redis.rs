use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A `redis-server` of a test's own, on a free port, with its append-only file
/// in a temporary folder. Dies with this value.
#[derive(Debug)]
pub struct RedisServer {
    // Field order is drop order; `Drop` kills the process before either goes.
    process: Child,
    port: u16,
    dir: TempDir,
    arguments: Vec<String>,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// When there is no `redis-server`, or it does not come up within ten seconds.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more arguments than its own. A `PORT` in them becomes the number of a
    /// second free port.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    pub fn start_with(arguments: &[&str]) -> Self {
        let second = free_port().to_string();
        let arguments: Vec<String> = arguments.iter().map(|argument| argument.replace("PORT", &second)).collect();
        let dir = TempDir::new().expect("a test can make a temporary folder");
        // Another process may take the port between our finding it and the server's binding it.
        for _ in 0..5 {
            let port = free_port();
            let mut process = spawn(port, &dir, &arguments);
            if wait_until_ready(&mut process, port) {
                return Self { process, port, dir, arguments };
            }
        }
        panic!("redis-server exited on five free ports in a row; see {}", dir.path().display());
    }

    /// `redis://127.0.0.1:PORT/0`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// An argument that it was started with, by the one before it.
    pub fn argument(&self, name: &str) -> Option<&str> {
        self.arguments.iter().skip_while(|argument| *argument != name).nth(1).map(String::as_str)
    }

    /// Kills the server, as a crash would.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&mut self) {
        self.process.kill().expect("our own child can be killed");
        self.process.wait().expect("our own child can be waited for");
    }

    /// Kills the server and starts it again on the same port with what its append-only file holds.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn restart(&mut self) {
        self.kill();
        self.process = spawn(self.port, &self.dir, &self.arguments);
        assert!(wait_until_ready(&mut self.process, self.port), "redis-server did not start again");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be dead already, which is all we want.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a test can bind a port");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn spawn(port: u16, dir: &TempDir, arguments: &[String]) -> Child {
    let spawned = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        // `no` leaves the syncing to the kernel: a killed server keeps all, and tests are fast.
        .args(["--appendonly", "yes", "--appendfsync", "no", "--logfile", "redis.log", "--dir"])
        .arg(dir.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    match spawned {
        Ok(process) => process,
        Err(err) if err.kind() == ErrorKind::NotFound => {
            panic!("this test needs redis-server: run `cargo xtask test`, which installs it, or install it yourself")
        }
        Err(err) => panic!("redis-server cannot be started: {err}"),
    }
}

/// Whether the server answers; `false` when it has exited.
fn wait_until_ready(process: &mut Child, port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if process.try_wait().expect("our own child can be asked").is_some() {
            return false;
        }
        if answers(port) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("redis-server did not answer within ten seconds");
}

fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) else { return false };
    let mut reply = [0; 5];
    stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut reply).is_ok() && &reply == b"+PONG"
}

//! A real Redis server for one test.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A `redis-server` on a free port, with its files in a directory of its own. Killed when dropped.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        // Another process may take a free port before the server does: then try another one.
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
            let port = free.expect("a free port").port();
            if let Some(child) = spawn(port, &dir) {
                return Self { child, port, dir };
            }
        }
        panic!("redis-server did not start on any of five free ports");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills the server, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Starts it again where it was, on the same port and files.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.port, &self.dir).expect("restart on the same port");
    }

    /// Sends a command, as `redis-cli` would.
    pub(crate) fn command(&self, words: &[&str]) {
        use std::io::{Read, Write};
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", self.port)).expect("connect");
        let mut message = format!("*{}\r\n", words.len());
        for word in words {
            message.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        socket.write_all(message.as_bytes()).expect("send");
        let mut reply = [0; 3];
        socket.read_exact(&mut reply).expect("reply");
        assert_eq!(&reply, b"+OK", "{words:?}");
    }

    /// Sends a signal (such as STOP, after which the server holds its connections and is silent).
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.child.id().to_string()])
            .status()
            .expect("kill");
        assert!(sent.success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server and waits until it answers; `None` when it ended, as with a port in use.
fn spawn(port: u16, dir: &TempDir) -> Option<Child> {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("cannot run redis-server ({error}); install it: apt-get install redis-server")
        });
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if child.try_wait().expect("wait").is_some() {
            return None;
        }
        if answers(port) {
            return Some(child);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("redis-server did not answer within 20 seconds");
}

fn answers(port: u16) -> bool {
    use std::io::{Read, Write};
    let Ok(mut socket) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut reply = [0; 5];
    socket.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
        && socket.write_all(b"PING\r\n").is_ok()
        && socket.read_exact(&mut reply).is_ok()
        && &reply == b"+PONG"
}

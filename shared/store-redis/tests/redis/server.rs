//! A real Redis server for one test.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use plugrank_store_redis::RedisConnection;
use tempfile::TempDir;

/// How far a cluster node's second port is from its first.
const BUS: u16 = 10_000;

/// A `redis-server` on a free port, with its files in a directory of its own. Killed when dropped.
pub(crate) struct RedisServer {
    child: Child,
    program: String,
    port: u16,
    args: Vec<String>,
    dir: TempDir,
}

impl RedisServer {
    /// One that syncs every write.
    pub(crate) fn start() -> Self {
        Self::start_with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
    }

    /// One with these arguments; `{port}` and `{dir}` in them are replaced by its own.
    pub(crate) fn start_with(args: &[&str]) -> Self {
        Self::start_program("redis-server", args)
    }

    /// The same of another version.
    pub(crate) fn start_program(program: &str, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        // Another process may take a free port before the server does: then try another one.
        for _ in 0..10 {
            let port = free_port();
            let filled = |arg: &&str| {
                let dir = dir.path().to_str().expect("a path in UTF-8");
                arg.replace("{port}", &port.to_string()).replace("{dir}", dir)
            };
            let mut all: Vec<String> = args.iter().map(filled).collect();
            all.extend(["--bind".into(), "127.0.0.1".into(), "--dir".into(), filled(&"{dir}")]);
            if !args.contains(&"--port") {
                all.extend(["--port".into(), port.to_string()]);
            }
            if let Some(child) = spawn(program, port, &all) {
                return Self { child, program: program.to_owned(), port, args: all, dir };
            }
        }
        panic!("redis-server did not start on any of ten free ports");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    pub(crate) fn servers(&self) -> RedisConnection {
        RedisConnection::single(self.url())
    }

    /// Kills the server, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Starts it again where it was, on the same port and files.
    pub(crate) fn restart(&mut self) {
        assert!(self.dir.path().is_dir());
        self.child = spawn(&self.program, self.port, &self.args).expect("restart on the same port");
    }

    /// Sends a command that is answered with "OK", as `redis-cli` would.
    pub(crate) fn command(&self, words: &[&str]) {
        let reply = self.ask(words);
        assert!(reply.starts_with("+OK"), "{words:?}: {reply}");
    }

    /// Sends a command; the beginning of the reply as it came, empty when none did.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        ask(self.port, words).unwrap_or_default()
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

/// Waits until `done`, at most a minute.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that is free, as is the one a cluster node would take beside it.
fn free_port() -> u16 {
    loop {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("a free port").port();
        if port < u16::MAX - BUS && TcpListener::bind(("127.0.0.1", port + BUS)).is_ok() {
            return port;
        }
    }
}

/// Starts a server and waits until it answers; `None` when it ended, as with a port in use.
fn spawn(program: &str, port: u16, args: &[String]) -> Option<Child> {
    let mut child = Command::new(program)
        .args(args)
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
        // A server that asks for TLS or a password is up as soon as it listens.
        let tls = args.iter().any(|arg| arg == "--tls-port");
        let up = if tls { TcpStream::connect(("127.0.0.1", port)).is_ok() } else { answers(port) };
        if up {
            return Some(child);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("redis-server did not answer within 20 seconds");
}

fn answers(port: u16) -> bool {
    ask(port, &["PING"]).is_some_and(|reply| reply.starts_with("+PONG"))
}

fn ask(port: u16, words: &[&str]) -> Option<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let mut message = format!("*{}\r\n", words.len());
    for word in words {
        message.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    socket.write_all(message.as_bytes()).ok()?;
    let mut reply = [0; 8192];
    let length = socket.read(&mut reply).ok()?;
    Some(String::from_utf8_lossy(&reply[..length]).into_owned())
}

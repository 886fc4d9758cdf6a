//! A real Redis of a test's own.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use plugrank_store::{RedisOptions, RedisServers, RedisStore, Store};
use tempfile::TempDir;

/// A `redis-server` that keeps what it has acknowledged; ended with this value.
pub(crate) struct Redis {
    port: u16,
    folder: TempDir,
    child: Child,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("a free port").port();
        let mut redis = Self { port, child: spawn(port, &folder), folder };
        // Another process may have taken the port: then another one is tried.
        if redis.is_up() { redis } else { Self::start() }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.port, &self.folder);
        assert!(self.is_up(), "redis-server starts again");
    }

    /// A store on it, as a process of its own would have.
    pub(crate) async fn store(&self, changes_kept: u64) -> Arc<dyn Store> {
        let servers = RedisServers::single(format!("redis://127.0.0.1:{}", self.port));
        let options = RedisOptions { changes_kept, ..RedisOptions::default() };
        Arc::new(RedisStore::connect(&servers, options).await.expect("a store"))
    }

    /// Whether it takes connections, now or soon; not when it has ended.
    fn is_up(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if self.child.try_wait().expect("it can be waited for").is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("redis-server did not take connections");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, folder: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed (Debian: apt-get install redis-server)")
}

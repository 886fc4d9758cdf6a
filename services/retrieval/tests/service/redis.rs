//! A real Redis for a test.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use plugrank_store::Store;
use plugrank_store_redis::{
    RedisConnection, RedisOptions, RedisStore, VectorSetOptions, VectorSets,
};
use tempfile::TempDir;

/// A `redis-server` that keeps what it has acknowledged; ended with this value.
pub(crate) struct Redis {
    port: u16,
    program: PathBuf,
    folder: TempDir,
    child: Child,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::running("redis-server".into())
    }

    /// One that has vector sets.
    pub(crate) fn with_vector_sets() -> Self {
        let program = std::env::var_os("REDIS8_SERVER")
            .expect("REDIS8_SERVER is not set; run these tests with `cargo xtask test rust`");
        Self::running(program.into())
    }

    fn running(program: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("a free port").port();
        let child = spawn(&program, port, &folder);
        let mut redis = Self { port, program, child, folder };
        // Another process may have taken the port: then another one is tried.
        if redis.is_up() { redis } else { Self::running(redis.program.clone()) }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.program, self.port, &self.folder);
        assert!(self.is_up(), "redis-server starts again");
    }

    /// A store on it, as a process of its own would have.
    pub(crate) async fn store(&self, changes_kept: u64) -> Arc<dyn Store> {
        let servers = self.servers();
        let options = RedisOptions { changes_kept, ..RedisOptions::default() };
        Arc::new(RedisStore::connect(&servers, options).await.expect("a store"))
    }

    /// Vector sets on it, searched exactly.
    pub(crate) fn vector_sets(&self) -> VectorSets {
        let servers = RedisConnection { timeout_ms: 500, ..self.servers() };
        let options = VectorSetOptions {
            shards: 2,
            int8: false,
            exact: true,
            connectivity: 16,
            expansion_add: 128,
            expansion_search: 128,
        };
        VectorSets::new(&servers, options).expect("an address")
    }

    fn servers(&self) -> RedisConnection {
        RedisConnection::single(format!("redis://127.0.0.1:{}", self.port))
    }

    /// Whether it takes connections, now or soon; not when it has ended.
    fn is_up(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if self.child.try_wait().expect("it can be waited for").is_some() {
                return false;
            }
            if self.answers().is_ok_and(|answers| answers) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("redis-server did not answer");
    }

    /// Whether it does; not while it still reads its data.
    fn answers(&self) -> io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut said = [0; 5];
        stream.read_exact(&mut said)?;
        Ok(&said == b"+PONG")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &Path, port: u16, folder: &TempDir) -> Child {
    Command::new(program)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed (Debian: apt-get install redis-server)")
}

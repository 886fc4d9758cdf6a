//! A real Redis for a test, durable for acknowledged writes.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{free_port, settings};
use crate::e2e::site::{plugrank, repository, stderr};

/// A running `redis-server`; ended with this value.
pub(crate) struct Redis {
    pub(crate) port: u16,
    program: PathBuf,
    folder: PathBuf,
    child: Child,
}

impl Redis {
    /// One with the shipped shop in it. The shop is loaded once for all tests.
    pub(crate) async fn loaded(folder: &Path) -> Self {
        static LOADED: OnceCell<TempDir> = OnceCell::const_new();
        let loaded = LOADED.get_or_init(load).await;
        copy(loaded.path(), folder).expect("the loaded data can be copied");
        Self::start("redis-server".into(), folder).await
    }

    /// Settings of a process that name a server of this machine.
    pub(super) fn settings(port: u16) -> String {
        format!("store.redis.url = \"redis://127.0.0.1:{port}/0\"")
    }

    /// An empty one that has vector sets.
    pub(crate) async fn with_vector_sets(folder: &Path) -> Self {
        let program = std::env::var_os("REDIS8_SERVER")
            .expect("REDIS8_SERVER is not set; run these tests with `cargo xtask test e2e`");
        Self::start(program.into(), folder).await
    }

    async fn start(program: PathBuf, folder: &Path) -> Self {
        let port = free_port();
        let child = spawn(&program, folder, port);
        let mut redis = Self { port, program, folder: folder.to_owned(), child };
        redis.answers().await;
        redis
    }

    /// SIGKILL, as when its machine fails.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Starts it again on the same data and waits until it answers.
    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.program, &self.folder, self.port);
        self.answers().await;
    }

    /// Forgets everything.
    pub(crate) fn flush(&self) {
        assert!(says(self.port, b"FLUSHALL\r\n", b"+OK").expect("it answers"));
    }

    async fn answers(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if says(self.port, b"PING\r\n", b"+PONG").is_ok_and(|pong| pong) {
                return;
            }
            let ended = self.child.try_wait().expect("it can be waited for");
            assert!(ended.is_none(), "redis-server ended: {ended:?}");
            assert!(Instant::now() < deadline, "redis-server did not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether its answer begins so; not while it reads its data.
pub(super) fn says(port: u16, command: &[u8], answer: &[u8]) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(command)?;
    let mut said = vec![0; answer.len()];
    stream.read_exact(&mut said)?;
    Ok(said == answer)
}

async fn load() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let redis = Redis::start("redis-server".into(), folder.path()).await;
    let config = folder.path().join("plugrank.toml");
    // Long timeouts: a busy machine is slow.
    let patient = "store.redis.timeout_ms = 10000";
    let settings = settings(0, &Redis::settings(redis.port), patient);
    fs::write(&config, settings).expect("the settings can be written");
    load_shop(&config);
    folder
}

/// Loads the shipped shop with the settings of a file.
pub(super) fn load_shop(config: &Path) {
    let load = plugrank(&["load", "--config"])
        .arg(config)
        .arg("--dataset")
        .arg(repository("models/simshop/dataset"))
        .output()
        .expect("plugrank can be started");
    assert!(load.status.success(), "{}", stderr(&load));
}

/// Every write is on disk before it is acknowledged.
fn spawn(program: &Path, folder: &Path, port: u16) -> Child {
    fs::create_dir_all(folder).expect("a folder");
    Command::new(program)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning", "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed (Debian: apt-get install redis-server)")
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

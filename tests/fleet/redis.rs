//! A real Redis of a test's own, which keeps what it has acknowledged.

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
    folder: PathBuf,
    child: Child,
}

impl Redis {
    /// One with the shipped shop in it. The shop is loaded once for all tests.
    pub(crate) async fn loaded(folder: &Path) -> Self {
        static LOADED: OnceCell<TempDir> = OnceCell::const_new();
        let loaded = LOADED.get_or_init(load).await;
        copy(loaded.path(), folder).expect("the loaded data can be copied");
        Self::start(folder).await
    }

    /// Settings of a process that name a server of this machine.
    pub(super) fn settings(port: u16) -> String {
        format!("store.redis_url = \"redis://127.0.0.1:{port}/0\"")
    }

    async fn start(folder: &Path) -> Self {
        let port = free_port();
        let mut redis = Self { port, folder: folder.to_owned(), child: spawn(folder, port) };
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
        self.child = spawn(&self.folder, self.port);
        self.answers().await;
    }

    async fn answers(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if pong(self.port).is_ok_and(|pong| pong) {
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

/// Whether it answers and has read its data.
pub(super) fn pong(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut said = [0; 5];
    stream.read_exact(&mut said)?;
    Ok(&said == b"+PONG")
}

async fn load() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let redis = Redis::start(folder.path()).await;
    let config = folder.path().join("plugrank.toml");
    let settings = settings(0, &Redis::settings(redis.port), "");
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
fn spawn(folder: &Path, port: u16) -> Child {
    fs::create_dir_all(folder).expect("a folder");
    Command::new("redis-server")
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

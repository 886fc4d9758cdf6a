//! Roles in separate processes, with a Redis behind them.

mod cluster;
mod model_server;
mod port;
mod process;
mod redis;

use std::{fs, path::PathBuf, time::Duration};

use reqwest::Client;
use tempfile::TempDir;

pub(crate) use cluster::Cluster;
pub(crate) use model_server::{ModelServer, open_inference_python};
pub(crate) use port::free_port;
pub(crate) use process::Process;
pub(crate) use redis::Redis;

use crate::e2e::site::repository;

/// A site made of processes; all of them end with it.
pub(crate) struct Fleet {
    pub(crate) http: Client,
    pub(crate) redis: Redis,
    /// Where processes find Redis; a test may put a proxy in between.
    pub(crate) redis_port: u16,
    folder: TempDir,
}

impl Fleet {
    /// A Redis with the loaded shop, and no process yet.
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let redis = Redis::loaded(&folder.path().join("redis")).await;
        let http =
            Client::builder().timeout(Duration::from_secs(30)).build().expect("an HTTP client");
        Self { http, redis_port: redis.port, redis, folder }
    }

    /// A folder for a test's own files.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a role at a free port; `more` are further settings (TOML with dotted keys).
    pub(crate) fn spawn(&self, role: &'static str, more: &str) -> Process {
        let port = free_port();
        let text = settings(port, &Redis::settings(self.redis_port), more);
        let config = self.folder.path().join(format!("{role}-{port}.toml"));
        fs::write(&config, text).expect("the settings can be written");
        Process::start(role, port, config)
    }

    /// Starts a role and waits until it is ready.
    pub(crate) async fn start_role(&self, role: &'static str, more: &str) -> Process {
        let process = self.spawn(role, more);
        process.ready(&self.http).await;
        process
    }
}

/// Settings of a process; `store` are those that name its servers.
fn settings(port: u16, store: &str, more: &str) -> String {
    let bundle: PathBuf = repository("models/simshop/bundle");
    format!(
        "server.bind = \"127.0.0.1:{port}\"\nserver.workers = 1\nbundle.path = {bundle:?}\nbudget.default_ms = 2000\nbudget.ceiling_ms = 20000\nstore.kind = \"redis\"\n{store}\n{more}\n",
    )
}

/// `peers.ROLE_url` of the processes.
pub(crate) fn peers(of: &[&Process]) -> String {
    let mut roles: Vec<&str> = of.iter().map(|process| process.role).collect();
    roles.sort_unstable();
    roles.dedup();
    let urls = |role: &str| {
        let urls: Vec<String> = of
            .iter()
            .filter(|process| process.role == role)
            .map(|process| process.url(""))
            .collect();
        format!("peers.{role}_url = {urls:?}\n")
    };
    roles.into_iter().map(urls).collect()
}

//! One role in a process.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::Client;

use crate::e2e::site::plugrank;

/// A running role; killed with this value.
pub(crate) struct Process {
    pub(crate) role: &'static str,
    pub(crate) port: u16,
    config: PathBuf,
    child: Child,
}

impl Process {
    pub(crate) fn start(role: &'static str, port: u16, config: PathBuf) -> Self {
        let child = spawn(role, &config);
        Self { role, port, config, child }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self, http: &Client) {
        let deadline = Instant::now() + Duration::from_secs(120);
        let url = self.url("/readyz");
        let ready = async || {
            let asked = http.get(&url).timeout(Duration::from_secs(2)).send().await;
            asked.is_ok_and(|answer| answer.status().is_success())
        };
        while !ready().await {
            let log = || fs::read_to_string(self.config.with_extension("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{} was not ready in time:\n{}", self.role, log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Starts it again after it was ended.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.role, &self.config);
    }

    /// Pauses it (SIGSTOP).
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Resumes it (SIGCONT).
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    /// SIGTERM; its exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        self.signal("-TERM");
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "{} did not end", self.role);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{signal} to {}", self.role);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(role: &str, config: &PathBuf) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(config.with_extension("log"))
        .expect("a log file");
    plugrank(&["serve", "--role", role, "--config"])
        .arg(config)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("plugrank can be started")
}

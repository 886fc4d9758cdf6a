//! MLServer with a graph of the shipped bundle.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::json;
use tempfile::TempDir;

use super::free_port;
use crate::e2e::site::repository;

/// The interpreter that has MLServer and Triton's client; `cargo xtask test` names it.
pub(crate) fn open_inference_python() -> PathBuf {
    std::env::var_os("OPEN_INFERENCE_PYTHON")
        .map(PathBuf::from)
        .expect("OPEN_INFERENCE_PYTHON is not set; run these tests with `cargo xtask test e2e`")
}

/// A running MLServer; killed with this value.
pub(crate) struct ModelServer {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl ModelServer {
    /// One that runs the graph in `file` as the model `unified`, not ready yet.
    pub(crate) fn spawn(file: &Path) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let port = free_port();
        let server = json!({
            "host": "127.0.0.1",
            "http_port": port,
            "grpc_port": free_port(),
            "metrics_endpoint": null,
            "parallel_workers": 0,
            "debug": false,
        });
        let model = json!({
            "name": "unified",
            "implementation": "onnx_runtime.OnnxRuntime",
            "parameters": { "uri": file },
        });
        for (name, content) in [("settings.json", server), ("model-settings.json", model)] {
            fs::write(folder.path().join(name), content.to_string()).expect("a file");
        }
        let child = spawn(folder.path());
        Self { folder, port, child }
    }

    /// The settings that have this server run the unified model.
    pub(crate) fn settings(&self) -> String {
        format!("scoring.open_inference.url = \"http://127.0.0.1:{}\"\n", self.port)
    }

    /// Waits until the model is loaded.
    pub(crate) async fn ready(&mut self, http: &Client) {
        let deadline = Instant::now() + Duration::from_secs(120);
        let url = format!("http://127.0.0.1:{}/v2/models/unified/ready", self.port);
        let ready = async || {
            let asked = http.get(&url).timeout(Duration::from_secs(2)).send().await;
            asked.is_ok_and(|answer| answer.status().is_success())
        };
        while !ready().await {
            let ended = self.child.try_wait().expect("it can be waited for").is_some();
            let late = ended || Instant::now() > deadline;
            assert!(!late, "MLServer was not ready in time:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Starts it again after it was killed.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.folder.path());
    }

    /// Pauses it (SIGSTOP).
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Resumes it (SIGCONT).
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{signal} to MLServer");
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.join("log"));
    let log = log.expect("a log file");
    Command::new(open_inference_python())
        .args(["-c", "from mlserver.cli import main; main()", "start"])
        .arg(folder)
        .env("PYTHONPATH", repository("tests/open_inference"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the log"))
        .stderr(log)
        .spawn()
        .expect("MLServer can be started")
}

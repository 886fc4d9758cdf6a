//! A server for a test: the shipped shop in a temporary folder, on a free port.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The tested program: that of this build, unless `PLUGRANK` names another (a release build, for
/// measurements).
fn program() -> PathBuf {
    std::env::var_os("PLUGRANK")
        .map_or_else(|| env!("CARGO_BIN_EXE_plugrank").into(), PathBuf::from)
}

/// A path inside the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The ONNX Runtime library; `cargo xtask test` names it.
pub(crate) fn library() -> PathBuf {
    std::env::var_os("ORT_DYLIB_PATH")
        .map(PathBuf::from)
        .expect("ORT_DYLIB_PATH is not set; run these tests with `cargo xtask test e2e`")
}

/// The binary with arguments, and nothing of the caller's settings.
pub(crate) fn plugrank(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env("ORT_DYLIB_PATH", library()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PLUGRANK__") {
            command.env_remove(name);
        }
    }
    command
}

/// Standard error of a finished run.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The shop loaded into a store, once for all tests.
pub(crate) fn loaded() -> &'static Path {
    static LOADED: OnceLock<TempDir> = OnceLock::new();
    LOADED
        .get_or_init(|| {
            let folder = TempDir::new().expect("a temporary folder");
            let config = settings(folder.path(), 0, "");
            let dataset = repository("models/simshop/dataset");
            let output = plugrank(&["load", "--config"])
                .arg(&config)
                .arg("--dataset")
                .arg(dataset)
                .output()
                .expect("plugrank can be started");
            assert!(output.status.success(), "load failed: {}", stderr(&output));
            folder
        })
        .path()
}

/// Writes a settings file into `folder` and returns its path.
pub(crate) fn settings(folder: &Path, port: u16, more: &str) -> PathBuf {
    settings_of(&repository("models/simshop/bundle"), folder, port, more)
}

/// The same for another bundle.
fn settings_of(bundle: &Path, folder: &Path, port: u16, more: &str) -> PathBuf {
    let text = format!(
        "server.bind = \"127.0.0.1:{port}\"\nserver.workers = 1\nstore.path = {:?}\nbundle.path = {:?}\nbudget.default_ms = 2000\nbudget.ceiling_ms = 20000\n{more}\n",
        folder.join("store.redb"),
        bundle,
    );
    let path = folder.join("plugrank.toml");
    fs::write(&path, text).expect("the settings can be written");
    path
}

/// A running server.
pub(crate) struct Site {
    pub(crate) http: Client,
    folder: TempDir,
    child: Child,
    port: u16,
}

impl Site {
    /// The loaded shop, served.
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same with further settings (TOML with dotted keys).
    pub(crate) async fn start_with(more: &str) -> Self {
        Self::start_as(more, |command| command).await
    }

    /// Another bundle, serving the dataset in a folder.
    pub(crate) async fn start_on(bundle: &Path, dataset: &Path) -> Self {
        Self::start_on_with(bundle, dataset, "").await
    }

    /// The same with further settings.
    pub(crate) async fn start_on_with(bundle: &Path, dataset: &Path, more: &str) -> Self {
        let (folder, port) = loaded_on(bundle, dataset, more);
        let child = start(serve(folder.path()));
        Self { http: Client::new(), folder, child, port }.ready().await
    }

    /// The same where the settings are such that the server does not start: what it said.
    pub(crate) fn refused_on(bundle: &Path, dataset: &Path, more: &str) -> Output {
        let (folder, port) = loaded_on(bundle, dataset, "");
        settings_of(bundle, folder.path(), port, more);
        ended(serve(folder.path()))
    }

    /// The loaded shop, served with another bundle that is refused: what the server said.
    pub(crate) fn refused_with(bundle: &Path) -> Output {
        let folder = TempDir::new().expect("a temporary folder");
        fs::copy(loaded().join("store.redb"), folder.path().join("store.redb"))
            .expect("the store can be copied");
        settings_of(bundle, folder.path(), 0, "");
        ended(serve(folder.path()))
    }

    /// The same by another command that runs this one.
    pub(crate) async fn start_as(more: &str, wrap: impl FnOnce(Command) -> Command) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        fs::copy(loaded().join("store.redb"), folder.path().join("store.redb"))
            .expect("the store can be copied");
        let port = free_port();
        settings(folder.path(), port, more);
        let child = start(wrap(serve(folder.path())));
        let site = Self { http: Client::new(), folder, child, port };
        site.ready().await
    }

    /// Kills the server (SIGKILL) and starts another on the same store.
    pub(crate) async fn crash_and_restart(mut self) -> Self {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server ends");
        self.child = start(serve(self.folder.path()));
        self.ready().await
    }

    /// Ends the server, loads a dataset into its store, and starts it again; what the load said, as JSON.
    pub(crate) async fn loaded_again(mut self, dataset: &Path) -> (Self, Value) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server ends");
        let config = self.folder.path().join("plugrank.toml");
        let mut load = plugrank(&["load", "--json", "--config"]);
        let output = load.arg(&config).arg("--dataset").arg(dataset).output();
        let output = output.expect("plugrank can be started");
        assert!(output.status.success(), "load failed: {}", stderr(&output));
        self.child = start(serve(self.folder.path()));
        let report = serde_json::from_slice(&output.stdout).expect("a report");
        (self.ready().await, report)
    }

    /// A bundle, served on a store that nothing was loaded into.
    pub(crate) async fn start_empty(bundle: &Path) -> Self {
        let (folder, port) = (TempDir::new().expect("a temporary folder"), free_port());
        settings_of(bundle, folder.path(), port, "");
        let child = start(serve(folder.path()));
        Self { http: Client::new(), folder, child, port }.ready().await
    }

    /// Loads a dataset for a bundle into a new store: how that ended, and what was said.
    pub(crate) fn load_for(bundle: &Path, dataset: &Path, more: &[&str]) -> Output {
        let folder = TempDir::new().expect("a temporary folder");
        let config = settings_of(bundle, folder.path(), 0, "");
        let mut load = plugrank(&["load", "--config"]);
        let output = load.arg(&config).arg("--dataset").arg(dataset).args(more).output();
        output.expect("plugrank can be started")
    }

    /// Asks the server to end (SIGTERM) and waits for its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        self.child.wait().expect("the server ends").code()
    }

    /// The same; the folder with its store, which is closed then.
    pub(crate) fn stopped(mut self) -> TempDir {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        assert_eq!(self.child.wait().expect("the server ends").code(), Some(0));
        std::mem::replace(&mut self.folder, TempDir::new().expect("a temporary folder"))
    }

    /// Writes the settings anew, with others added.
    pub(crate) fn set(&self, more: &str) {
        let settings =
            fs::read_to_string(self.folder.path().join("plugrank.toml")).expect("settings");
        let named = |line: &&str| {
            let key = line.split_once(" =").map_or("", |(key, _)| key);
            !more.lines().any(|set| set.starts_with(&format!("{key} =")))
        };
        let kept: Vec<&str> = settings.lines().filter(named).collect();
        let text = format!("{}\n{more}\n", kept.join("\n"));
        fs::write(self.folder.path().join("plugrank.toml"), text).expect("settings can be written");
    }

    /// Asks the server to read its settings again (SIGHUP).
    pub(crate) fn hang_up(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub(crate) fn alive(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(path))
    }

    /// Posts JSON and returns status and body.
    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> (u16, Value) {
        read(self.post(path).json(body).send().await.expect("an answer")).await
    }

    /// Puts JSON and returns status and body.
    pub(crate) async fn put_json(&self, path: &str, body: &Value) -> (u16, Value) {
        read(self.http.put(self.url(path)).json(body).send().await.expect("an answer")).await
    }

    /// Gets JSON and returns status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        read(self.http.get(self.url(path)).send().await.expect("an answer")).await
    }

    /// Metrics with exemplars.
    pub(crate) async fn open_metrics(&self) -> String {
        let request = self.http.get(self.url("/metrics"));
        let request = request.header("accept", "application/openmetrics-text");
        request.send().await.expect("an answer").text().await.expect("the metrics")
    }

    /// Ranks and expects success.
    pub(crate) async fn rank(&self, body: Value) -> Value {
        let (status, reply) = self.post_json("/v1/rank", &body).await;
        assert_eq!(status, 200, "{body} -> {reply}");
        reply
    }

    /// Ranks `k` items for a user.
    pub(crate) async fn rank_for(&self, user: &str, k: usize) -> Vec<Value> {
        let reply = self.rank(json!({"user_id": user, "k": k})).await;
        reply["items"].as_array().expect("items").clone()
    }

    async fn ready(self) -> Self {
        let deadline = Instant::now() + Duration::from_secs(120);
        let mut site = self;
        loop {
            assert!(site.alive(), "the server ended before it was ready");
            let ready = site.http.get(site.url("/readyz")).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return site;
            }
            assert!(Instant::now() < deadline, "the server was not ready in time");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with a store that has a dataset, and a port to serve it on.
fn loaded_on(bundle: &Path, dataset: &Path, more: &str) -> (TempDir, u16) {
    let folder = TempDir::new().expect("a temporary folder");
    let port = free_port();
    let config = settings_of(bundle, folder.path(), port, more);
    let mut load = plugrank(&["load", "--config"]);
    let output = load.arg(&config).arg("--dataset").arg(dataset).output();
    let output = output.expect("plugrank can be started");
    assert!(output.status.success(), "load failed: {}", stderr(&output));
    (folder, port)
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn serve(folder: &Path) -> Command {
    let mut command = plugrank(&["serve", "--config"]);
    command.arg(folder.join("plugrank.toml")).stdout(Stdio::null());
    command
}

/// The output of a command that ends by itself.
fn ended(mut command: Command) -> Output {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("plugrank can be started");
    let deadline = Instant::now() + Duration::from_secs(120);
    while child.try_wait().expect("the server can be asked").is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("the server did not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("the server's output")
}

fn start(mut command: Command) -> Child {
    command.spawn().expect("plugrank can be started")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// The ids of ranked items, first to last.
pub(crate) fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["item_id"].as_str().expect("an id")).collect()
}

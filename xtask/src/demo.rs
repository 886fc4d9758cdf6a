//! `cargo xtask demo`: from a clean clone to ranked answers.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{ort_library, process, table, train};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Port of 127.0.0.1 to serve on.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// A MovieLens folder or a dataset folder to convert, train on and serve, instead of the
    /// shipped shop. What was trained before is reused.
    #[arg(long)]
    dataset: Option<PathBuf>,
    /// Rank for 20 users, print what came back, and end.
    #[arg(long)]
    check: bool,
}

/// What is served, and where its state lies.
struct Site {
    dataset: PathBuf,
    bundle: PathBuf,
    state: PathBuf,
}

impl Site {
    fn config(&self) -> PathBuf {
        self.state.join("plugrank.toml")
    }

    fn log(&self) -> PathBuf {
        self.state.join("server.log")
    }
}

/// Which build is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    Debug,
    Release,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    free_port(args.port)?;
    let library = ort_library::ensure()?;
    let binary = build(Build::Release)?;
    let begun = Instant::now();
    let site = match &args.dataset {
        None => shipped(),
        Some(dataset) => trained(dataset)?,
    };
    let (mut server, users) = serve(&binary, &library, &site, args.port)?;
    println!("serving after {:.1} s\n", begun.elapsed().as_secs_f64());
    if args.check {
        return table::check(&server.url(), &users);
    }
    announce(&server, users.first().map_or("1", String::as_str), &site);
    server.wait()
}

/// The shipped shop, loaded and served, and some of its users.
pub(crate) fn serve_shipped(profile: Build, port: u16) -> Result<(Server, Vec<String>)> {
    free_port(port)?;
    serve(&build(profile)?, &ort_library::ensure()?, &shipped(), port)
}

fn serve(binary: &Path, library: &Path, site: &Site, port: u16) -> Result<(Server, Vec<String>)> {
    fs::create_dir_all(&site.state)?;
    let config = site.config();
    fs::write(&config, settings(site, port, library))?;
    process::run(
        Command::new(binary).args(["bundle", "verify", "--library"]).arg(library).arg(&site.bundle),
    )?;
    let report = site.state.join("load.json");
    process::run(
        Command::new(binary)
            .arg("load")
            .arg("--config")
            .arg(&config)
            .arg("--dataset")
            .arg(&site.dataset)
            .arg("--report")
            .arg(&report),
    )?;
    let users = sample_users(&report)?;
    let mut server = Server::start(binary, site, port)?;
    server.wait_until_ready()?;
    Ok((server, users))
}

fn free_port(port: u16) -> Result<()> {
    TcpListener::bind(("127.0.0.1", port)).map(drop).map_err(|error| {
        anyhow::anyhow!(
            "port {port} of 127.0.0.1 is not free ({error}); choose another with --port"
        )
    })
}

fn build(profile: Build) -> Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--package", "plugrank"]).current_dir(crate::root());
    let folder = match profile {
        Build::Debug => "debug",
        Build::Release => {
            cargo.arg("--release");
            "release"
        }
    };
    process::run(&mut cargo)?;
    Ok(crate::target().join(folder).join("plugrank"))
}

fn shipped() -> Site {
    let model = crate::root().join("models/simshop");
    Site {
        dataset: model.join("dataset"),
        bundle: model.join("bundle"),
        state: crate::target().join("demo/simshop"),
    }
}

fn trained(dataset: &Path) -> Result<Site> {
    let source = fs::canonicalize(dataset)
        .with_context(|| format!("--dataset {} cannot be read", dataset.display()))?;
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let state = crate::target().join(format!("demo/{name}-{:08x}", hasher.finish() as u32));
    let dataset = train::convert_and_train(&source, &state, &["--again".to_owned()])?;
    Ok(Site { dataset, bundle: state.join("bundle"), state })
}

fn settings(site: &Site, port: u16, library: &Path) -> String {
    // JSON strings are TOML basic strings too.
    let quoted = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
    format!(
        "[server]\nbind = \"127.0.0.1:{port}\"\n\n[store]\npath = {}\n\n[bundle]\npath = {}\n\n[onnxruntime]\nlibrary = {}\n",
        quoted(&site.state.join("store.redb")),
        quoted(&site.bundle),
        quoted(library),
    )
}

fn sample_users(report: &Path) -> Result<Vec<String>> {
    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(report)?)?;
    let users = report["sample_users"].as_array().context("the load report has no sample_users")?;
    Ok(users.iter().filter_map(|user| user.as_str().map(ToOwned::to_owned)).collect())
}

fn announce(server: &Server, user: &str, site: &Site) {
    let url = server.url();
    println!("Plugrank serves on {url}");
    println!("  playground  {url}/");
    println!("  API         {url}/docs");
    println!("  settings    {}", site.config().display());
    println!("  log         {}", site.log().display());
    println!("\nTry:");
    println!(
        "  curl -s {url}/v1/rank -H 'content-type: application/json' -d '{{\"user_id\": \"{user}\", \"k\": 5}}'"
    );
    println!("\nCtrl-C ends it.");
}

/// The server process; ended with this value.
pub(crate) struct Server {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Server {
    fn start(binary: &Path, site: &Site, port: u16) -> Result<Self> {
        println!("starting the server");
        let log = site.log();
        let file =
            fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(binary);
        command.args(["serve", "--role", "all", "--config"]).arg(site.config()).stderr(file);
        let child = command.spawn().context("the server could not be started")?;
        Ok(Self { child, port, log })
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let ready = format!("{}/readyz", self.url());
        let deadline = Instant::now() + Duration::from_secs(600);
        loop {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(5).collect();
                let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
                bail!("the server ended before it was ready ({status}):\n{last}");
            }
            if ureq::get(&ready).call().is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the server was not ready after ten minutes");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn wait(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended: nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

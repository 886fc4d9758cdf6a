//! `cargo xtask demo`: from a clean clone to ranked answers.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{demo_split, faults, ort_library, process, running::Running, shop_check, table, train};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Port of 127.0.0.1 to serve on.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// A MovieLens folder or a dataset folder to convert, train on and serve, instead of the
    /// shipped shop. What was trained before is reused.
    #[arg(long)]
    dataset: Option<PathBuf>,
    /// Each role in a process of its own on a free port, and a Redis behind them.
    #[arg(long)]
    split: bool,
    /// Rank for 20 users, print what came back, and end. Of the shipped shop also: three shoppers side by side,
    /// and the clicks that lists would truly get; fails where UniM is below its goals.
    #[arg(long)]
    check: bool,
    /// With `--check`: do not fail below the goals.
    #[arg(long, requires = "check")]
    report_only: bool,
    /// A debug build: slower, and built in less time.
    #[arg(long)]
    debug: bool,
}

/// What is served, and where its state lies.
pub(crate) struct Site {
    dataset: PathBuf,
    bundle: PathBuf,
    pub(crate) state: PathBuf,
}

impl Site {
    pub(crate) fn new(dataset: PathBuf, bundle: PathBuf, state: PathBuf) -> Self {
        Self { dataset, bundle, state }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.state.join("plugrank.toml")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.state.join("server.log")
    }
}

/// Which build is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// That of the tests.
    Debug,
    Release,
    /// What is shipped: optimised over all crates at once, which takes longer to build.
    Dist,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    free_port(args.port)?;
    let library = ort_library::ensure()?;
    let binary = build(if args.debug { Build::Debug } else { Build::Release })?;
    let begun = Instant::now();
    let site = match &args.dataset {
        None => shipped(),
        Some(dataset) => trained(dataset)?,
    };
    let split = |binary: &Path, library: &Path, site: &Site, port| {
        demo_split::serve(demo_split::ROLES, binary, library, site, (port, ""))
    };
    let serve = if args.split { split } else { serve };
    let (mut server, users) = serve(&binary, &library, &site, args.port)?;
    println!("serving after {:.1} s\n", begun.elapsed().as_secs_f64());
    if args.check {
        if args.dataset.is_none() {
            let truth = shop_check::truth(&site.dataset)?;
            shop_check::check(&server.url(), &truth, args.report_only)?;
        }
        return table::check(&server.url(), &users);
    }
    let user = users.first().map_or("1", String::as_str);
    announce(&server, user, &site, args.split);
    if args.split {
        return faults::watch(server, user);
    }
    server.wait()
}

/// The shipped shop, loaded and served, and some of its users.
pub(crate) fn serve_shipped(
    profile: Build,
    port: u16,
    more: &str,
) -> Result<(Server, Vec<String>)> {
    free_port(port)?;
    serve_with(&build(profile)?, &ort_library::ensure()?, &shipped(), port, more)
}

fn serve(binary: &Path, library: &Path, site: &Site, port: u16) -> Result<(Server, Vec<String>)> {
    serve_with(binary, library, site, port, "")
}

/// Loads a site and serves it; `more` are further settings (TOML with dotted keys).
pub(crate) fn serve_with(
    binary: &Path,
    library: &Path,
    site: &Site,
    port: u16,
    more: &str,
) -> Result<(Server, Vec<String>)> {
    fs::create_dir_all(&site.state)?;
    let config = site.config();
    fs::write(&config, settings(site, port, library) + more)?;
    let users = load(binary, library, site, &config)?;
    println!("starting the server");
    Ok((start(binary, site, port)?, users))
}

/// Starts the server of a site that is loaded.
pub(crate) fn start(binary: &Path, site: &Site, port: u16) -> Result<Server> {
    let mut command = Command::new(binary);
    command.args(["serve", "--role", "all", "--config"]).arg(site.config());
    let mut server = Running::start("the server", &command, &site.log())?;
    server.wait_until(|| ready(port))?;
    Ok(Server::new(vec![server], port))
}

/// Verifies the bundle and loads the data set with the settings of `config`; some of its users.
pub(crate) fn load(
    binary: &Path,
    library: &Path,
    site: &Site,
    config: &Path,
) -> Result<Vec<String>> {
    process::run(
        Command::new(binary).args(["bundle", "verify", "--library"]).arg(library).arg(&site.bundle),
    )?;
    let report = site.state.join("load.json");
    process::run(
        Command::new(binary)
            .arg("load")
            .arg("--config")
            .arg(config)
            .arg("--dataset")
            .arg(&site.dataset)
            .arg("--report")
            .arg(&report),
    )?;
    sample_users(&report)
}

/// Whether a server on 127.0.0.1 takes requests.
pub(crate) fn ready(port: u16) -> bool {
    ureq::get(format!("http://127.0.0.1:{port}/readyz")).call().is_ok()
}

pub(crate) fn free_port(port: u16) -> Result<()> {
    TcpListener::bind(("127.0.0.1", port)).map(drop).map_err(|error| {
        anyhow::anyhow!(
            "port {port} of 127.0.0.1 is not free ({error}); choose another with --port"
        )
    })
}

/// A port of 127.0.0.1 that is free now.
pub(crate) fn any_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

pub(crate) fn build(profile: Build) -> Result<PathBuf> {
    let [program] = build_programs(profile, [("plugrank", "plugrank")])?;
    Ok(program)
}

/// The shop simulator.
pub(crate) fn simshop(profile: Build) -> Result<Command> {
    let [program] = build_programs(profile, [("plugrank-simshop", "simshop")])?;
    Ok(Command::new(program))
}

/// Builds programs, each given as its package and its name, and returns their paths.
pub(crate) fn build_programs<const N: usize>(
    profile: Build,
    programs: [(&str, &str); N],
) -> Result<[PathBuf; N]> {
    let mut cargo = process::cargo();
    cargo.arg("build");
    let folder = match profile {
        // The programs that the tests build: with the features of the whole workspace, those of its
        // tests included, which `--examples` asks for (there are none). By themselves they would need
        // sixty crates built anew, Arrow and Actix among them.
        Build::Debug => {
            cargo.args(["--workspace", "--examples"]);
            programs.iter().for_each(|(_, name)| _ = cargo.args(["--bin", name]));
            "debug"
        }
        Build::Release => {
            cargo.arg("--release");
            programs.iter().for_each(|(package, _)| _ = cargo.args(["--package", package]));
            "release"
        }
        Build::Dist => {
            cargo.args(["--profile", "dist"]);
            programs.iter().for_each(|(package, _)| _ = cargo.args(["--package", package]));
            "dist"
        }
    };
    process::run(&mut cargo)?;
    let folder = crate::target().join(folder);
    Ok(programs.map(|(_, name)| folder.join(name)))
}

fn shipped() -> Site {
    let model = crate::root().join("models/simshop");
    Site {
        dataset: model.join("dataset"),
        bundle: model.join("bundle"),
        state: crate::target().join("demo/simshop"),
    }
}

/// A data set of the user's own, converted and trained on.
pub(crate) fn trained(dataset: &Path) -> Result<Site> {
    let source = fs::canonicalize(dataset)
        .with_context(|| format!("--dataset {} cannot be read", dataset.display()))?;
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let state = crate::target().join(format!("demo/{name}-{:08x}", hasher.finish() as u32));
    let dataset = train::convert_and_train(&source, &state, &["--again".to_owned()])?;
    Ok(Site { dataset, bundle: state.join("bundle"), state })
}

pub(crate) fn settings(site: &Site, port: u16, library: &Path) -> String {
    // JSON strings are TOML basic strings too.
    let quoted = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
    format!(
        "server.bind = \"127.0.0.1:{port}\"\nstore.path = {}\nbundle.path = {}\nonnxruntime.library = {}\n",
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

fn announce(server: &Server, user: &str, site: &Site, split: bool) {
    let url = server.url();
    println!("Plugrank serves on {url}");
    println!("  playground  {url}/");
    println!("  API         {url}/docs");
    if split {
        println!("  settings and logs of each role are in {}", site.state.join("split").display());
    } else {
        println!("  settings    {}", site.config().display());
        println!("  log         {}", site.log().display());
    }
    println!("\nTry:");
    println!(
        "  curl -s {url}/v1/rank -H 'content-type: application/json' -d '{{\"user_id\": \"{user}\", \"k\": 5}}'"
    );
    if split {
        println!("\nKill a role, and see here what happens to the answers:");
        for (name, pid) in server.pids() {
            println!("  kill -9 {pid:<8} # {name}");
        }
    }
    println!("\nCtrl-C ends it.");
}

/// The process that serves, or the processes; ended with this value.
pub(crate) struct Server {
    processes: Vec<Running>,
    port: u16,
}

impl Server {
    pub(crate) fn new(processes: Vec<Running>, port: u16) -> Self {
        Self { processes, port }
    }

    /// Its processes, by name.
    pub(crate) fn pids(&self) -> Vec<(&'static str, u32)> {
        self.processes.iter().map(|process| (process.name, process.pid())).collect()
    }

    /// The processes themselves, and the port of the REST API.
    pub(crate) fn into_parts(self) -> (Vec<Running>, u16) {
        (self.processes, self.port)
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Until one of them ends, which is a failure.
    fn wait(&mut self) -> Result<()> {
        loop {
            self.processes.iter_mut().try_for_each(Running::alive)?;
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

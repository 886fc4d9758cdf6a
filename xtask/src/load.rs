//! `cargo xtask load`: k6 scenarios against a server of their own.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread::available_parallelism,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::{
    bench::{Measured, Parts},
    demo::{self, Build, Server},
    process, tools,
};

/// The surfaces that the scenarios ask for.
const SURFACES: &str = r#"
surfaces.home.k = 12
surfaces.home.rules = [{ rule = "variety", column = "categories", factor = 0.8 }]
surfaces.cart.sources = { co_visitation = 0.7, ann = 0.3 }
surfaces.cart.rules = [{ rule = "cap", column = "brand", max = 2, window = 5 }]
"#;

/// The default latency budget of a request.
const BUDGET_MS: u32 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// A few seconds, every answer whole.
    Smoke,
    /// Up to a rate and back.
    Ramp,
    /// Five times the rate, all at once.
    Spike,
    /// One rate for an hour.
    Soak,
    /// Which rate can be sustained.
    Capacity,
    /// The latency budget at three times the sustainable rate, measured first.
    Budget,
    /// Requests with filters of every width.
    Filters,
    /// Surfaces with rules, and pages of their lists.
    Surfaces,
    /// Batches beside single requests.
    Batch,
    /// All kinds of calls at once.
    Mixed,
    /// A hundred times as many events as rank requests.
    Events,
    /// All of them, one after the other.
    All,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which scenario of `loadtests/`.
    #[arg(value_enum, default_value_t = Scenario::Smoke)]
    scenario: Scenario,
    /// Port of 127.0.0.1 to serve on.
    #[arg(long, default_value_t = 8090)]
    port: u16,
    /// Rank requests a second of ramp, spike and soak.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Scales every duration: 0.1 is a tenth.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Use the debug build: quick to build, slow to serve.
    #[arg(long)]
    debug: bool,
    /// Seconds instead of minutes, a handful of requests a second, and a budget of two seconds: shows
    /// that scenarios and server work, whatever the machine and the build, and nothing about speed.
    #[arg(long)]
    brief: bool,
    /// More arguments for k6, after `--`.
    #[arg(last = true)]
    k6: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let k6 = tools::k6()?;
    let build = if args.debug { Build::Debug } else { Build::Release };
    demo::build(build)?;
    let cores = Cores::split();
    cores.pin_this_process()?;
    let (server, _users) = demo::serve_shipped(build, args.port, SURFACES)?;
    let out = crate::target().join("load");
    fs::create_dir_all(&out)?;
    let load = Load { args, k6, server, out, cores };
    match args.scenario {
        Scenario::Smoke => load.run("smoke", &[]),
        Scenario::Ramp => load.run("ramp", &[]),
        Scenario::Spike => load.run("spike", &[]),
        Scenario::Soak => load.run("soak", &[]),
        Scenario::Capacity => load.capacity().map(drop),
        Scenario::Budget => load.budget(),
        Scenario::Filters => load.filters(),
        Scenario::Surfaces => load.run("surfaces", &[]),
        Scenario::Batch => load.run("batch", &[]),
        Scenario::Mixed => load.run("mixed", &[]),
        Scenario::Events => load.run("events", &[]),
        Scenario::All => {
            load.filters()?;
            for name in ["smoke", "surfaces", "batch", "mixed", "events", "ramp", "spike", "soak"] {
                load.run(name, &[])?;
            }
            load.budget()
        }
    }
}

/// Cores of the server, and the one that load is made on, as `taskset` writes them: sharing them would
/// measure how the system shares them. None where there is one core, or no `taskset`.
struct Cores(Option<(String, String)>);

impl Cores {
    fn split() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let can = cores > 1 && process::works("taskset", &["--version"]);
        Self(can.then(|| (format!("0-{}", cores - 2), (cores - 1).to_string())))
    }

    /// Everything started from here on runs on the server's cores unless it is told otherwise.
    fn pin_this_process(&self) -> Result<()> {
        let Some((server, client)) = &self.0 else { return Ok(()) };
        println!("cores: {server} for the server, {client} for the load");
        let own = std::process::id().to_string();
        process::output(Command::new("taskset").args(["--cpu-list", "--pid", server, &own]))
            .map(drop)
    }

    /// A program that makes load.
    fn client(&self, program: &Path) -> Command {
        let Some((_, core)) = &self.0 else { return Command::new(program) };
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", core]).arg(program);
        command
    }
}

struct Load<'a> {
    args: &'a Args,
    k6: PathBuf,
    server: Server,
    /// Where reports go: NAME.html and NAME.json.
    out: PathBuf,
    cores: Cores,
}

impl Load<'_> {
    fn run(&self, name: &str, variables: &[(&str, String)]) -> Result<()> {
        process::run(&mut self.command(name, variables))?;
        println!("reports: {}", self.out.join(name).with_extension("html").display());
        Ok(())
    }

    /// Fails also where the median with a filter is too far above that without, which k6 has no threshold for.
    /// A few requests of a debug build say nothing of it.
    fn filters(&self) -> Result<()> {
        let found = self.out.join("filtered.json");
        if found.is_file() {
            fs::remove_file(&found)?;
        }
        self.run("filters", &[("OUT", found.to_string_lossy().into_owned())])?;
        let result: serde_json::Value = serde_json::from_str(&fs::read_to_string(&found)?)?;
        let slow = result["slow"].as_array().context("filters.js wrote no list")?;
        ensure!(
            slow.is_empty() || self.args.brief,
            "requests with a filter are too slow: {slow:?}"
        );
        Ok(())
    }

    fn command(&self, name: &str, variables: &[(&str, String)]) -> Command {
        let args = self.args;
        let mut k6 = self.cores.client(&self.k6);
        k6.args(["run", "--quiet"]);
        k6.arg("--summary-export").arg(self.out.join(name).with_extension("json"));
        // The soak is the only one that takes an hour.
        let brief = if name == "soak" { 0.001 } else { 0.04 };
        let (rate, scale) = if args.brief { (4, brief) } else { (args.rate, args.scale) };
        let mut set = vec![
            ("BASE_URL", self.server.url()),
            ("USERS", "800".to_owned()),
            ("RATE", rate.to_string()),
            ("SCALE", scale.to_string()),
        ];
        if args.brief {
            set.push(("BUDGET_MS", "2000".to_owned()));
        }
        set.extend_from_slice(variables);
        for (variable, value) in set {
            k6.arg("-e").arg(format!("{variable}={value}"));
        }
        k6.args(&args.k6).arg(crate::root().join(format!("loadtests/{name}.js")));
        k6.env("K6_NO_USAGE_REPORT", "true");
        k6.env("K6_WEB_DASHBOARD", "true");
        // Only its report: no port is opened.
        k6.env("K6_WEB_DASHBOARD_PORT", "-1");
        k6.env("K6_WEB_DASHBOARD_PERIOD", "1s");
        k6.env("K6_WEB_DASHBOARD_EXPORT", self.out.join(name).with_extension("html"));
        k6
    }

    /// The sustainable rate and the highest goodput, both a second.
    fn capacity(&self) -> Result<(f64, f64)> {
        let found = self.out.join("sustainable.json");
        if found.is_file() {
            fs::remove_file(&found)?;
        }
        let mut set = vec![("OUT", found.to_string_lossy().into_owned())];
        if self.args.brief {
            set.push(("START", "2".to_owned()));
            set.push(("MOST", "4".to_owned()));
        }
        // It ends when the server no longer keeps up, which k6 calls a failure.
        let ended = process::run(&mut self.command("capacity", &set));
        let text = fs::read_to_string(&found)
            .with_context(|| format!("capacity.js wrote no {}: {ended:?}", found.display()))?;
        let result: serde_json::Value = serde_json::from_str(&text)?;
        let number = |key: &str| result[key].as_f64().with_context(|| format!("no {key}"));
        let (rate, goodput) = (number("sustainable_rate")?, number("goodput")?);
        ensure!(rate > 0.0, "not even the lowest rate was sustained; see {}", found.display());
        Ok((rate, goodput))
    }

    fn budget(&self) -> Result<()> {
        let (rate, goodput) = self.capacity()?;
        // The server was left overloaded, and what comes next begins with the time before an
        // overload: full quality has to be back.
        std::thread::sleep(Duration::from_secs(6));
        self.run("budget", &[("RATE", rate.to_string()), ("GOODPUT", goodput.to_string())])?;
        match self.args.brief || self.cores.0.is_none() {
            true => Ok(()),
            false => self.by_the_clients_clock(3.0 * rate),
        }
    }

    /// The same overload by a client that takes a tenth of k6's CPU: k6 is itself late by more than a
    /// budget now and then at thousands of requests a second on one core, and its clock counts that.
    fn by_the_clients_clock(&self, rate: f64) -> Result<()> {
        let parts = Parts::make(crate::root().join("models/simshop/bundle"), Build::Release)?;
        let (_, pid) = *self.server.pids().first().context("no server runs")?;
        let mut load = self.cores.client(parts.bench_program());
        load.args(parts.bench("load").get_args());
        load.args(["--address", self.server.url().trim_start_matches("http://")]);
        load.args(["--candidates", "0", "--connections", "600", "--warm-up", "5"]);
        load.args(["--budget-ms", &BUDGET_MS.to_string(), "--rate", &rate.to_string()]);
        load.args(["--seconds", &(60.0 * self.args.scale).to_string(), "--pid", &pid.to_string()]);
        let said = process::output(&mut load)?;
        println!("the same overload, by the clock of a lighter client: {said}");
        let Measured { answered, late, .. } = Measured::parse(&said)?;
        ensure!(
            answered > 0.0 && late <= 0.001 * answered,
            "{late} of {answered} answers came later than {BUDGET_MS} ms and 5 ms after they were due"
        );
        Ok(())
    }
}

//! `cargo xtask bench`: Plugrank beside the graph it serves and beside plain servers of the same
//! bundle, in one run.

mod apart;
mod baseline;
mod brief;
mod cpu;
mod docs;
mod goals;
mod measure;
mod plot;
mod report;
mod servers;
mod subject;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Result, bail};

use crate::demo::Build;

pub(crate) use self::{measure::Measured, servers::Parts};
use self::{
    measure::{Results, Runner},
    servers::Servers,
    subject::{Setting, Subject},
};

#[derive(clap::Args)]
#[command(after_help = "\
All servers run at once on 127.0.0.1 and are asked in turn, again and again, so that a slow spell of the
machine falls on all of them; the tables show medians. Compare ratios, not machines.

  cargo xtask bench                                 the whole run, about eight minutes; changes no file
  cargo xtask bench --baseline-bundle --write-docs  the run that docs/benchmarks.md states
  cargo xtask bench --baseline-bundle --apart --write-docs
                                                    one process beside several, four minutes
  cargo xtask bench --brief                         a minute: fails when the request path got slow
  cargo xtask bench --set 'scoring.workers = 2'     another setting of Plugrank

What runs:
  limit              the unified graph alone: two sessions of one thread, inputs prepared (one session
                     where there is one connection)
  FastAPI            two uvicorn workers, numpy tables, scoring only
  handler            plain actix-web handler, ort, contiguous tables, scoring only
  handler with MMR   the same, 20 of the best 200 by maximal marginal relevance
  Plugrank           with everything it does, on an embedded store of its own")]
pub(crate) struct Args {
    /// A minute, Plugrank and the handler with MMR, and an exit code: not 0 when Plugrank is far behind the plain handler.
    #[arg(long)]
    brief: bool,
    /// On the pinned bundle (models/baseline), not the shipped one; the peers must reach their known share of the
    /// limit within 15%; otherwise the run does not count, and fails.
    #[arg(long)]
    baseline_bundle: bool,
    /// Write tables and plot into docs/benchmarks.md and docs/benchmarks.svg.
    #[arg(long)]
    write_docs: bool,
    /// In place of that: one process and several at 1,000 requests a second, on a Redis, what each takes and what crosses
    /// their borders.
    #[arg(long, conflicts_with_all = ["brief", "set"])]
    apart: bool,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Measurements of each setting, of which the median counts.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// First of four free ports of 127.0.0.1.
    #[arg(long, default_value_t = 8100)]
    port: u16,
    /// A setting of Plugrank (TOML with a dotted key); can be given several times.
    #[arg(long)]
    set: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.seconds < 0.2 || args.repeats == 0 {
        bail!("--seconds must be at least 0.2 and --repeats at least 1");
    }
    if args.baseline_bundle && !baseline::pinned()? {
        bail!("models/baseline/bundle is not the bundle that the baseline was measured with");
    }
    if let Some(load) = busy() {
        println!(
            "note: the machine is not quiet (load average {load}); read ratios only, and none of p99"
        );
    }
    // The pinned bundle's graph is the cheaper one: more of a request's time is the path's.
    let bundle = match args.baseline_bundle || args.brief {
        true => baseline::bundle(),
        false => crate::root().join("models/simshop/bundle"),
    };
    // Ratios of two servers of one build need no release one: that of the tests is there already.
    let build = if args.brief { Build::Debug } else { Build::Release };
    let parts = Parts::make(bundle, build)?;
    if args.apart {
        let text = apart::measure(&parts, args.port)?;
        println!("\n{text}");
        return if args.write_docs { docs::write(&docs::APART, &text) } else { Ok(()) };
    }
    let servers = Servers::start(parts, args.port, !args.brief, &args.set)?;
    if args.brief {
        return brief::run(&servers);
    }
    let runner = Runner {
        servers: &servers,
        seconds: args.seconds,
        repeats: args.repeats,
        subjects: servers.subjects().collect(),
    };
    let mut results = Results::default();
    runner.closed(&Setting::closed(), &mut results)?;
    runner.open(&mut results)?;
    let shares = cpu::by_library(&servers, Setting::new(500, 8))?;
    let text = report::markdown(servers.bundle(), &results, &shares);
    drop(servers);
    println!("\n{text}");
    let verdict = baseline::verdict(&results);
    println!("{}", verdict.text);
    let out = crate::target().join("bench");
    fs::write(out.join("benchmarks.svg"), plot::svg(&results))?;
    fs::write(out.join("benchmarks.md"), &text)?;
    println!("also in {}", short(&out));
    if args.baseline_bundle && !verdict.counts {
        bail!("the run does not count; wait for a quiet machine, or raise --seconds and --repeats");
    }
    if args.write_docs {
        docs::write(&docs::BESIDE, &format!("{}\n\n{text}", docs::PLOT))?;
        docs::write_plot(&plot::svg(&results))?;
    }
    Ok(())
}

/// The load average of the last minute, where that is known and more than a little.
fn busy() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok().filter(|load| *load > 0.5)
}

/// A path as seen from the repository's root.
fn short(path: &std::path::Path) -> String {
    path.strip_prefix(crate::root()).unwrap_or(path).display().to_string()
}

/// Where everything that a run needs and makes lies.
fn folder() -> PathBuf {
    crate::target().join("bench")
}

/// How long a server is loaded before anything is measured: caches fill.
const WARM_UP: Duration = Duration::from_secs(3);

/// Everything that is asked in one setting.
fn subjects(with_fastapi: bool) -> impl Iterator<Item = Subject> {
    Subject::ALL.into_iter().filter(move |subject| with_fastapi || *subject != Subject::FastApi)
}

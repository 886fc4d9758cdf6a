//! `cargo xtask exchange`: a second model is loaded and activated under requests, in one process and over the roles.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    demo::{self, Build, Site},
    demo_split, files, ort_library, process,
};

/// How much of p99 alone p99 may be while the other model is loaded.
const LOADING: f64 = 1.5;
/// Folder and version of the other model, before the number of the load.
const SECOND: &str = "second";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Port of 127.0.0.1 to serve on; any that is free, when left out.
    #[arg(long)]
    port: Option<u16>,
    /// Each role in a process of its own, and a Redis behind them.
    #[arg(long)]
    split: bool,
    /// Rank requests a second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// How often a model is activated: the second and the first in turns.
    #[arg(long, default_value_t = 20)]
    activations: usize,
    /// Seconds that are measured without anything else, before each time the second model is loaded.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// How often the second model is loaded, each time under a version of its own.
    #[arg(long, default_value_t = 3)]
    loads: usize,
    /// Share of the requests that rank the whole catalog.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    whole: f64,
    /// A simulated shop of so many items in place of the shipped one, served by the shipped bundle: loading takes
    /// longer, so that more requests meet it.
    #[arg(long)]
    items: Option<u32>,
    /// A debug build, of which latencies say nothing: only failed and mixed answers are looked at.
    #[arg(long)]
    debug: bool,
    /// Do not look at latencies either, as on a machine that has other work.
    #[arg(long)]
    any_latency: bool,
    /// A folder with the programs `plugrank` and `simshop`, in place of building them.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// What `simshop exchange --json` prints of a phase.
#[derive(Debug, Deserialize)]
struct Phase {
    name: String,
    seconds: f64,
    requests: usize,
    failed: usize,
    degraded: usize,
    mixed: usize,
    p50_ms: f64,
    p99_ms: f64,
    models: Vec<String>,
}

/// Fails where a request fails, an answer is of two models, or loading makes answers too slow.
pub(crate) fn run(args: &Args) -> Result<()> {
    let library = ort_library::ensure()?;
    let build = if args.debug { Build::Debug } else { Build::Release };
    let (plugrank, mut simshop) = match &args.programs {
        Some(folder) => (folder.join("plugrank"), Command::new(folder.join("simshop"))),
        None => (demo::build(build)?, demo::simshop(build)?),
    };
    let port = args.port.map_or_else(demo::any_port, Ok)?;
    demo::free_port(port)?;
    let model = crate::root().join("models/simshop");
    let state = crate::target().join("exchange");
    if state.exists() {
        fs::remove_dir_all(&state)?;
    }
    let models = state.join("models");
    let names: Vec<String> =
        (1..=args.loads.max(1)).map(|load| format!("{SECOND}-{load}")).collect();
    for name in &names {
        second(&model.join("bundle"), &models, name)?;
    }
    let dataset = match args.items {
        None => model.join("dataset"),
        Some(items) => shop(&simshop, items)?,
    };
    let folder = Value::from(models.to_string_lossy());
    let mut more = format!("models.folder = {folder}\nmodels.watch_ms = 0\n");
    if args.debug {
        more.push_str("budget.default_ms = 2000\n");
    }
    let site = Site::new(dataset, model.join("bundle"), state);
    let (server, _) = match args.split {
        true => demo_split::serve(demo_split::ROLES, &plugrank, &library, &site, (port, &more))?,
        false => demo::serve_with(&plugrank, &library, &site, port, &more)?,
    };
    simshop.arg("exchange").args(&names).args(["--json", "--url", &server.url()]);
    simshop.args(["--whole", &args.whole.to_string()]);
    simshop.args(["--rate", &args.rate.to_string(), "--seconds", &args.seconds.to_string()]);
    simshop.args(["--activations", &args.activations.to_string()]);
    let phases: Vec<Phase> = serde_json::from_str(&process::output(&mut simshop)?)?;
    phases.iter().for_each(|phase| println!("{}", line(phase)));
    judge(&phases, !args.debug && !args.any_latency)
}

/// A simulated shop, made when it is not there yet.
fn shop(simshop: &Command, items: u32) -> Result<PathBuf> {
    let folder = crate::target().join(format!("shops/{items}"));
    if !folder.join("dataset.json").is_file() {
        let mut generate = Command::new(simshop.get_program());
        generate.arg("generate").arg("--out").arg(&folder).args(["--items", &items.to_string()]);
        process::run(generate.args(["--impressions", "50000", "--overwrite"]))?;
    }
    Ok(folder)
}

/// The shipped bundle under another version, with another calibration, so that its probabilities differ. Its encoders
/// have another version too, so that texts, pictures and items are all encoded anew.
fn second(from: &Path, models: &Path, name: &str) -> Result<()> {
    let to = models.join(name);
    fs::create_dir_all(&to)?;
    files::replace(from, &to)?;
    let path = to.join("manifest.json");
    let mut manifest: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
    manifest["version"] = name.into();
    manifest["encoder_version"] = name.into();
    manifest["calibration"]["unified"]["click"]["b"] = 0.5.into();
    fs::write(path, manifest.to_string())?;
    Ok(())
}

fn line(phase: &Phase) -> String {
    let Phase { name, seconds, requests, failed, degraded, mixed, p50_ms, p99_ms, models } = phase;
    let models = models.join(", ");
    format!(
        "{name:<11} {seconds:>5.1} s, {requests:>6} requests, {failed} failed, {degraded} degraded, {mixed} mixed, \
         p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, by {models}"
    )
}

fn judge(phases: &[Phase], latencies: bool) -> Result<()> {
    for phase in phases {
        let wrong = phase.failed + phase.mixed;
        ensure!(
            wrong == 0,
            "{}: {wrong} requests failed or were answered by two models",
            phase.name
        );
    }
    let p99 = |name: &str| {
        let mut all: Vec<f64> =
            phases.iter().filter(|phase| phase.name == name).map(|one| one.p99_ms).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    };
    let (Some(alone), Some(loading)) = (p99("alone"), p99("loading")) else { return Ok(()) };
    let times = loading / alone;
    println!(
        "median p99 alone {alone:.1} ms, while the second model was loaded {loading:.1} ms: {times:.2} times"
    );
    ensure!(!latencies || times < LOADING, "p99 is to stay below {LOADING} times that alone");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &str, failed: usize, mixed: usize, p99_ms: f64) -> Phase {
        let (name, models) = (name.to_owned(), vec![SECOND.to_owned()]);
        let (seconds, requests, degraded, p50_ms) = (1.0, 100, 0, 1.0);
        Phase { name, seconds, requests, failed, degraded, mixed, p50_ms, p99_ms, models }
    }

    #[test]
    fn failed_mixed_and_slow_answers_are_reported() {
        let fine = [phase("alone", 0, 0, 4.0), phase("loading", 0, 0, 5.0)];
        assert!(judge(&fine, true).is_ok());
        let slow = [phase("alone", 0, 0, 4.0), phase("loading", 0, 0, 6.5)];
        let seldom = [3.0, 9.0, 4.0].map(|p99_ms| phase("loading", 0, 0, p99_ms));
        let seldom: Vec<Phase> = [phase("alone", 0, 0, 4.0)].into_iter().chain(seldom).collect();
        assert!(judge(&seldom, true).is_ok(), "the median counts");
        assert!(judge(&slow, true).unwrap_err().to_string().contains("1.5 times"));
        assert!(judge(&slow, false).is_ok());
        for wrong in [phase("exchanging", 1, 0, 4.0), phase("exchanging", 0, 1, 4.0)] {
            assert!(judge(&[wrong], false).unwrap_err().to_string().contains("1 requests failed"));
        }
    }
}

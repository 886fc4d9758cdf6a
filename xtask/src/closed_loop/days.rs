//! Days on which items arrive, with a model trained on after each.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Common, Shop, plot};
use crate::{day, demo::Server, files, process, python};

/// The surface of the popular items alone.
const POPULAR: &str = "surfaces.popular.sources = { popular = 1.0 }\n";

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Days.
    #[arg(long, default_value_t = 7)]
    days: usize,
    /// Items that arrive on each.
    #[arg(long, default_value_t = 30)]
    arrivals: usize,
    /// How often each shopper comes on a day.
    #[arg(long, default_value_t = 2)]
    visits: usize,
    /// Seed of the clicks.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to draw the results, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Draw what an earlier run found (its `days.json`), and run nothing.
    #[arg(long, value_name = "FILE", requires = "plot")]
    from: Option<PathBuf>,
}

/// A day, as `simshop round` prints it, and the model that served it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Day {
    pub(super) number: usize,
    pub(super) arrived: usize,
    lists: usize,
    clicks: usize,
    pub(super) arms: Vec<Arm>,
    pub(super) fresh_best: f64,
    pub(super) fresh_any: f64,
    found: Vec<Found>,
    /// Version of the model.
    #[serde(default)]
    model: String,
    /// Seconds that the export and the training after it took; 0 after the last.
    #[serde(default)]
    trained_s: f64,
}

/// What an arm's lists truly get.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Arm {
    pub(super) arm: String,
    pub(super) all: f64,
    of_fresh: f64,
    pub(super) fresh: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Found {
    arm: String,
    lift: Option<f64>,
    interval: Option<[f64; 2]>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let days = match &args.from {
        Some(file) => {
            let text = fs::read_to_string(file)
                .with_context(|| format!("--from {} cannot be read", file.display()))?;
            serde_json::from_str(&text)?
        }
        None => pass(args)?,
    };
    println!("\n{}", table(&days));
    if let Some(file) = &args.plot {
        fs::write(file, plot::svg(&days))
            .with_context(|| format!("--plot {} cannot be written", file.display()))?;
    }
    Ok(())
}

fn pass(args: &Args) -> Result<Vec<Day>> {
    let python = python::ensure()?;
    let shop = Shop::load(&args.common, "days", |state| {
        let models = serde_json::Value::from(state.join("models").to_string_lossy());
        format!("models.folder = {models}\nmodels.watch_ms = 0\n{POPULAR}")
    })?;
    let models = shop.site.state.join("models");
    fs::create_dir_all(&models)?;
    let server = shop.start()?;
    let mut days: Vec<Day> = Vec::new();
    let mut bundle = shop.bundle.clone();
    let mut served = vec![version(&bundle)?];
    for number in 1..=args.days {
        let mut round = shop.simshop("round", &args.common, &server);
        round.args(["--number", &number.to_string(), "--arrivals", &args.arrivals.to_string()]);
        round.args(["--visits", &args.visits.to_string(), "--seed", &args.seed.to_string()]);
        let mut day: Day = serde_json::from_str(&process::output(&mut round)?)?;
        day.model = served.last().cloned().unwrap_or_default();
        if number < args.days {
            let begun = Instant::now();
            bundle = train(&shop, &python, &server, number, &bundle)?;
            day.trained_s = begun.elapsed().as_secs_f64();
            exchange(&server, &models, number, &bundle, &mut served)?;
        }
        println!("day {number}: {}", serde_json::to_string(&day)?);
        days.push(day);
        fs::write(shop.site.state.join("days.json"), serde_json::to_string_pretty(&days)?)?;
    }
    Ok(days)
}

fn version(bundle: &Path) -> Result<String> {
    let text = fs::read_to_string(bundle.join("manifest.json"))?;
    let manifest: serde_json::Value = serde_json::from_str(&text)?;
    Ok(manifest["version"].as_str().context("the manifest names no version")?.to_owned())
}

/// Exports what the server has and goes on from a bundle with it; the new bundle.
fn train(
    shop: &Shop,
    python: &PathBuf,
    server: &Server,
    number: usize,
    from: &Path,
) -> Result<PathBuf> {
    let out = shop.site.state.join(format!("night-{number}"));
    let (export, trained) = (out.join("export"), out.join("train"));
    let mut exporting = Command::new(&shop.plugrank);
    process::run(exporting.args(["export", "--url", &server.url(), "--out"]).arg(&export))?;
    let mut train = python::training(python);
    train.arg("train").arg("--dataset").arg(&export).arg("--out").arg(&trained);
    process::run(train.arg("--from").arg(from).args(["--days", "1"]))?;
    let bundle = trained.join("bundle");
    let mut verify = Command::new(&shop.plugrank);
    verify.args(["bundle", "verify", "--library"]).arg(&shop.library).arg(&bundle);
    process::run(&mut verify)?;
    // What a night needs no longer: the images are in each export.
    fs::remove_dir_all(&export)?;
    Ok(bundle)
}

/// Activates a bundle, and removes the one that served before the last.
fn exchange(
    server: &Server,
    models: &Path,
    number: usize,
    bundle: &Path,
    served: &mut Vec<String>,
) -> Result<()> {
    let next = version(bundle)?;
    if served.last() == Some(&next) {
        println!("the models got no better; {next} goes on");
        return Ok(());
    }
    let name = format!("night-{number}");
    files::replace(bundle, &models.join(&name))?;
    day::activate(&server.url(), &name, bundle)?;
    if let Some(old) = served.last() {
        ureq::delete(format!("{}/v1/models/{old}", server.url())).call()?;
    }
    served.push(next);
    Ok(())
}

fn table(days: &[Day]) -> String {
    let mut text =
        "clicks that a list truly gets: of all items | of new ones alone (best, any order)\n"
            .to_owned();
    for day in days {
        let all: Vec<String> =
            day.arms.iter().map(|one| format!("{} {:.3}", one.arm, one.all)).collect();
        let fresh: Vec<String> =
            day.arms.iter().map(|one| format!("{} {:.3}", one.arm, one.fresh)).collect();
        let found = day.found.iter().map(|one| {
            let percent = |share: f64| format!("{:+.1}%", 100.0 * share);
            let interval = one.interval.map_or_else(String::new, |[low, high]| {
                format!(" [{}, {}]", percent(low), percent(high))
            });
            format!("{} {}{interval}", one.arm, one.lift.map_or("-".to_owned(), percent))
        });
        text.push_str(&format!(
            "day {}: {} | {} ({:.3}, {:.3}); the experiment: {}\n",
            day.number,
            all.join(", "),
            fresh.join(", "),
            day.fresh_best,
            day.fresh_any,
            found.collect::<Vec<_>>().join(", ")
        ));
    }
    text
}

//! One experiment over many seeds of the clicks.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Common, Shop};
use crate::process;

/// Share of the runs that conclude what is true, at least.
const AGREE: f64 = 0.95;
/// How often a run is begun that breaks off, as where the machine was held up for a minute. It says nothing then, and
/// begins anew from the same store with the same clicks.
const TRIES: usize = 3;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Runs, each with clicks and a split of its own.
    #[arg(long, default_value_t = 100)]
    runs: u64,
    /// Seed of the first.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often each shopper comes before an experiment, which CUPED reads: once for all runs.
    #[arg(long, default_value_t = 2)]
    before: usize,
    /// How often each shopper comes in an experiment.
    #[arg(long, default_value_t = 3)]
    visits: usize,
}

/// What `simshop run --json` prints of a run.
#[derive(Clone, Debug, Deserialize)]
struct Outcome {
    experiment: String,
    true_lift: f64,
    lift: Option<f64>,
    interval: Option<[f64; 2]>,
    conclusion: String,
    agrees: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let shop = Shop::load(&args.common, "seeds", |_| String::new())?;
    let (store, begin) = (shop.site.state.join("store.redb"), shop.site.state.join("begin.redb"));
    {
        let server = shop.start()?;
        let mut before = shop.simshop("run", &args.common, &server);
        before.args(["--runs", "0", "--before", &args.before.to_string(), "--json"]);
        process::output(&mut before)?;
    }
    fs::copy(&store, &begin).context("the store cannot be copied")?;
    let path = crate::target().join("closed-loop/seeds.jsonl");
    let mut file = fs::File::create(&path)?;
    let (mut outcomes, mut broken) = (Vec::new(), 0);
    for seed in args.seed..args.seed + args.runs {
        let mut tries = 1;
        let (outcome, seconds) = loop {
            fs::copy(&begin, &store).context("the store cannot be put back")?;
            let begun = Instant::now();
            match one(&shop, args, seed, &mut file) {
                Ok(outcome) => break (outcome, begun.elapsed().as_secs_f64()),
                Err(error) if tries < TRIES => println!("seed {seed} broke off: {error:#}"),
                Err(error) => return Err(error.context(format!("seed {seed} broke off each time"))),
            }
            (tries, broken) = (tries + 1, broken + 1);
        };
        println!("{} ({seconds:.0} s)", line(&outcome));
        outcomes.push(outcome);
    }
    println!("{}", summary(&outcomes, broken, &path));
    let agree = outcomes.iter().filter(|one| one.agrees).count();
    ensure!(
        agree as f64 >= AGREE * outcomes.len() as f64,
        "{agree} of {} runs concluded what is true, which are too few",
        outcomes.len()
    );
    Ok(())
}

fn one(shop: &Shop, args: &Args, seed: u64, file: &mut fs::File) -> Result<Outcome> {
    let server = shop.start()?;
    let mut run = shop.simshop("run", &args.common, &server);
    run.args(["--runs", "1", "--seed", &seed.to_string(), "--visits", &args.visits.to_string()]);
    let printed = process::output(run.arg("--json"))?;
    let all: Vec<serde_json::Value> = serde_json::from_str(&printed)?;
    let one = all.into_iter().next().context("simshop printed no run")?;
    writeln!(file, "{one}")?;
    Ok(serde_json::from_value(one)?)
}

fn percent(share: f64) -> String {
    format!("{:+.1}%", 100.0 * share)
}

fn line(outcome: &Outcome) -> String {
    let Outcome { experiment, true_lift, lift, interval, conclusion, agrees } = outcome;
    let found = match (lift, interval) {
        (Some(lift), Some([low, high])) => {
            format!("{} [{}, {}]", percent(*lift), percent(*low), percent(*high))
        }
        _ => "nothing".to_owned(),
    };
    let agrees = if *agrees { "agrees" } else { "DISAGREES" };
    format!("{experiment}: truly {}, found {found}: {conclusion}, {agrees}", percent(*true_lift))
}

fn summary(outcomes: &[Outcome], broken: usize, path: &Path) -> String {
    let count = outcomes.len().max(1) as f64;
    let mean = |of: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(of).sum::<f64>() / count;
    let mut by = BTreeMap::<&str, usize>::new();
    outcomes.iter().for_each(|one| *by.entry(&one.conclusion).or_default() += 1);
    let covers = outcomes.iter().filter(|one| {
        one.interval.is_some_and(|[low, high]| (low..=high).contains(&one.true_lift))
    });
    let (agree, covers) = (outcomes.iter().filter(|one| one.agrees).count(), covers.count());
    let shown: PathBuf = path.strip_prefix(crate::root()).unwrap_or(path).into();
    format!(
        "{agree} of {} runs concluded what is true ({by:?}); true lift {} on average, found {}; {covers} intervals at \
         every look have the true lift; {broken} broke off and were begun anew; each run is in {}",
        outcomes.len(),
        percent(mean(&|one| one.true_lift)),
        percent(mean(&|one| one.lift.unwrap_or(0.0))),
        shown.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_by_conclusion() {
        let one = |conclusion: &str, agrees| Outcome {
            experiment: "e".to_owned(),
            true_lift: 0.1,
            lift: Some(0.12),
            interval: Some([0.02, 0.22]),
            conclusion: conclusion.to_owned(),
            agrees,
        };
        let text = summary(&[one("better", true), one("open", false)], 3, Path::new("x.jsonl"));
        assert!(text.starts_with("1 of 2 runs"), "{text}");
        assert!(text.contains(r#"{"better": 1, "open": 1}"#), "{text}");
        assert!(text.contains("+10.0% on average, found +12.0%; 2 intervals"), "{text}");
        assert!(text.contains("3 broke off"), "{text}");
        assert!(line(&one("open", false)).contains("DISAGREES"));
    }
}

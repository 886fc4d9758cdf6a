//! `simshop`: makes and describes simulated shops.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use plugrank_simshop::{
    Agreement, ArmTruth, Browsing, Day, Exchange, Round, ShopPlan, ShopServer, closed_loop, day,
    describe, exchange, generate, idrec_against_ppm, round, three_ways, truth,
};
use serde_json::Value;

/// Makes shops that do not exist, with clicks whose true probabilities are known.
#[derive(Debug, Parser)]
#[command(name = "simshop", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const MODEL: &str = "\
A click has the probability sigmoid(l), where
  l = bias + 1.0 style + 0.6 category - 0.25 (price - budget)^2 + 0.6 quality - 0.4 ln(1 + position)
  style     taste vector of the user at that time, times style vector of the item (6 numbers)
  category  the user's liking of the item's department
  price     the item's log price level; budget: the level the user prefers
  quality   of the item; nothing but its id tells it
  position  in the list, from 0
bias is chosen so that the share of clicks comes out near --ctr. An item's styles show in the words
of its text and in its picture. Same arguments, same bytes. docs/simshop.md says more.

Examples:
  simshop generate --out shop --seed 7 --items 10000 --users 2000 --impressions 200000
  simshop generate --out large --items 1000000 --users 200000 --impressions 5000000 --no-images
  simshop describe shop
  simshop truth shop --shoppers 100 > truth.json";

const EXCHANGE: &str = "\
The server has a folder of models (models.folder) with the second bundle in it. Rank requests come at --rate all
the time; printed are the latencies alone, while the second model is loaded, and while the two are activated in
turns, four times a second. Then the first is active again and the second is removed. Several names are loaded one
after another, each after a time alone, and the last is exchanged. A request that does not rank the whole catalog
(--whole) has the same candidates at the same moment, so that a model has one answer to it: one that names
a model and is not its answer is mixed. Loading is within its bounds while p99 stays below 1.5 times that alone, no
request fails, and none is mixed.

Example:
  simshop exchange shop-8 --url http://127.0.0.1:8080 --rate 200";

const RUN: &str = "\
The server has the shop loaded. Every shopper comes --visits times, is shown a list of --k items and clicks by
their hidden taste; half of them, by the experiment, get another arm than the others. Printed are, for each run,
the clicks that a list of each arm truly gets and what GET /v1/experiments/NAME/results concluded from the clicks
that were drawn. A run agrees if that is true: better, worse, or no difference found where there is none of
3% (the definition's plan.lift). With experiments.forced_arms = true the truth is that of the lists that each arm
would have shown at every visit of every shopper, else of those that were served. Where the definition plans no
number of units, the plan is made for the shoppers there are.

Example:
  simshop run models/simshop/dataset --url http://127.0.0.1:8080 --runs 10 --visits 8";

const DAY: &str = "\
The server has the shop loaded and knows the event types cart, purchase, favourite and hide beside click and
impression. In each of --hours rounds some prices change, some items are withdrawn, and shoppers come, see a
list and do with it what they do. It fails where a list shows what was withdrawn before.

Example:
  simshop day models/simshop/dataset --url http://127.0.0.1:8080";

const ROUND: &str = "\
The server has the shop loaded, lets requests name their arms (experiments.forced_arms = true) and has a surface
`popular` whose only source are popular items. On each day --arrivals items arrive by PUT /v1/items, every shopper
comes --visits times and sees what their arm shows: popularity, the ID-based model, or PPM. Printed is JSON: the
clicks that a list of each arm truly gets, of all items and of those that have arrived since the first day alone,
the best and any order of the latter, and what the experiment has found so far. Run it once a day, with a model
trained on with the day's log activated in between; `cargo xtask closed-loop days` does.

Example:
  simshop round models/simshop/dataset --url http://127.0.0.1:8080 --number 1";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a dataset folder.
    #[command(after_help = MODEL)]
    Generate(GenerateArgs),
    /// Print sizes, click rates and the best AUC any model could reach.
    Describe(DescribeArgs),
    /// Print what shoppers truly like: the log-odds of a click on every item, as JSON.
    Truth(TruthArgs),
    /// Let shoppers browse a running server, and hold what an experiment concludes against the truth.
    #[command(after_help = RUN)]
    Run(RunArgs),
    /// Let a day pass on a running server: six types of events, new prices, withdrawn items.
    #[command(after_help = DAY)]
    Day(DayArgs),
    /// Let a day pass on which items arrive, and print what each arm of an experiment is truly worth.
    #[command(after_help = ROUND)]
    Round(RoundArgs),
    /// Measure what loading and activating a second model cost those who are served meanwhile.
    #[command(after_help = EXCHANGE)]
    Exchange(ExchangeArgs),
}

#[derive(Debug, clap::Args)]
struct GenerateArgs {
    /// Folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace the dataset that is in the folder.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    plan: ShopPlan,
}

#[derive(Debug, clap::Args)]
struct DescribeArgs {
    /// Dataset folder with truth.parquet.
    #[arg(value_name = "DIR")]
    dataset: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct TruthArgs {
    /// Folder that `generate` made.
    #[arg(value_name = "DIR")]
    dataset: PathBuf,
    /// How many shoppers at most, evenly spread over those that came before --at.
    #[arg(long, value_name = "N", default_value_t = 100)]
    shoppers: usize,
    /// Moment in milliseconds since the Unix epoch; the end of the log when left out.
    #[arg(long, value_name = "MS")]
    at: Option<i64>,
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Folder that `generate` made.
    #[arg(value_name = "DIR")]
    dataset: PathBuf,
    #[command(flatten)]
    server: ShopServer,
    /// Name of the experiment; the seed is added.
    #[arg(long, default_value = "simshop")]
    experiment: String,
    /// Its definition (JSON, as PUT /v1/experiments/NAME takes it, without the layer); PPM against the
    /// ID-based model when left out.
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
    /// Experiments, one after another.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Seed of the first one's clicks.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Shoppers, at most: the first ones.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    shoppers: usize,
    /// How often each shopper comes before the first experiment begins. CUPED reads what they do then.
    #[arg(long, default_value_t = 0)]
    before: usize,
    /// How often each shopper comes in an experiment.
    #[arg(long, default_value_t = 8)]
    visits: usize,
    /// Items of a list.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// Shoppers at a time.
    #[arg(long, default_value_t = 4)]
    threads: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct DayArgs {
    /// Folder that `generate` made.
    #[arg(value_name = "DIR")]
    dataset: PathBuf,
    #[command(flatten)]
    server: ShopServer,
    /// Seed of all that is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Shoppers, at most: the first ones.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    shoppers: usize,
    /// Rounds in which shoppers come.
    #[arg(long, default_value_t = 24)]
    hours: usize,
    /// Items of a list.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// Shoppers at a time.
    #[arg(long, default_value_t = 4)]
    threads: usize,
    /// Prices that change in an hour.
    #[arg(long, default_value_t = 20)]
    prices: usize,
    /// Items that are withdrawn in an hour.
    #[arg(long, default_value_t = 2)]
    withdrawn: usize,
}

#[derive(Debug, clap::Args)]
struct RoundArgs {
    /// Folder that `generate` made.
    #[arg(value_name = "DIR")]
    dataset: PathBuf,
    #[command(flatten)]
    server: ShopServer,
    /// Which day, from 1. The experiment begins on the first.
    #[arg(long)]
    number: usize,
    /// Items that arrive on each day.
    #[arg(long, default_value_t = 30)]
    arrivals: usize,
    /// Name of the experiment.
    #[arg(long, default_value = "days")]
    experiment: String,
    /// Its definition (JSON, as PUT /v1/experiments/NAME takes it, without the layer); popularity, the ID-based
    /// model and PPM when left out.
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
    /// Seed of the clicks.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Shoppers, at most: the first ones.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    shoppers: usize,
    /// How often each shopper comes.
    #[arg(long, default_value_t = 2)]
    visits: usize,
    /// Items of a list.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// Shoppers at a time.
    #[arg(long, default_value_t = 4)]
    threads: usize,
}

#[derive(Debug, clap::Args)]
struct ExchangeArgs {
    /// Folders of second models, among those of the server: each is loaded in turn, and the last one is activated.
    #[arg(value_name = "NAME", required = true)]
    folders: Vec<String>,
    #[command(flatten)]
    server: ShopServer,
    /// Rank requests a second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Requests at a time, at most.
    #[arg(long, default_value_t = 16)]
    threads: usize,
    /// Seconds that are measured alone.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How often the active model is exchanged.
    #[arg(long, default_value_t = 20)]
    activations: usize,
    /// Users that are ranked for: u1 and on.
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// Share of the requests that rank the whole catalog; the others rank forty candidates, and their answers are
    /// compared.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    whole: f64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simshop: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Generate(args) => {
            let made = generate(&args.plan, &args.out, args.overwrite)?;
            println!("{made}");
        }
        Command::Describe(args) => {
            let description = describe(&args.dataset)?;
            if args.json {
                println!("{}", serde_json::to_string_pretty(&description)?);
            } else {
                println!("{description}");
            }
        }
        Command::Truth(args) => {
            let found = truth(&args.dataset, args.shoppers, args.at)?;
            println!("{}", serde_json::to_string(&found)?);
        }
        Command::Run(args) => browse(&args)?,
        Command::Day(args) => pass(args)?,
        Command::Round(args) => go_on(args)?,
        Command::Exchange(args) => measure(&args)?,
    }
    Ok(())
}

fn pass(args: DayArgs) -> anyhow::Result<()> {
    let DayArgs { dataset, server, seed, shoppers, hours, k, threads, prices, withdrawn } = args;
    let one = Day { server, seed, shoppers, hours, k, threads, prices, withdrawn };
    println!("{}", serde_json::to_string_pretty(&day(&dataset, &one)?)?);
    Ok(())
}

fn go_on(args: RoundArgs) -> anyhow::Result<()> {
    let definition = definition(args.definition.as_deref(), three_ways)?;
    let RoundArgs { dataset, server, number, arrivals, experiment, .. } = args;
    let RoundArgs { seed, shoppers, visits, k, threads, .. } = args;
    let one = Round {
        server,
        number,
        arrivals,
        experiment,
        definition,
        seed,
        shoppers,
        visits,
        k,
        threads,
    };
    println!("{}", serde_json::to_string_pretty(&round(&dataset, &one)?)?);
    Ok(())
}

/// The definition of a file, or ours.
fn definition(file: Option<&Path>, ours: fn() -> Value) -> anyhow::Result<Value> {
    let Some(file) = file else { return Ok(ours()) };
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))
}

fn browse(args: &RunArgs) -> anyhow::Result<()> {
    let definition = definition(args.definition.as_deref(), idrec_against_ppm)?;
    let browsing = Browsing {
        server: args.server.clone(),
        experiment: args.experiment.clone(),
        definition,
        runs: args.runs,
        seed: args.seed,
        shoppers: args.shoppers,
        before: args.before,
        visits: args.visits,
        k: args.k,
        threads: args.threads,
    };
    let outcomes = closed_loop(&args.dataset, &browsing, |outcome| {
        if !args.json {
            println!("{}", told(outcome));
        }
    })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcomes)?);
        return Ok(());
    }
    let agree = outcomes.iter().filter(|outcome| outcome.agrees).count();
    println!("{agree} of {} runs agree with the truth", outcomes.len());
    Ok(())
}

fn told(outcome: &Agreement) -> String {
    let percent = |share: f64| format!("{:+.1}%", 100.0 * share);
    let arm = |arm: &ArmTruth| {
        let everyone =
            arm.everyone.map_or_else(String::new, |all| format!(", {all:.3} to everyone"));
        format!(
            "  {}: {} lists, truly {:.3} clicks a list{everyone}; {} clicks were drawn\n",
            arm.arm, arm.lists, arm.served, arm.clicks
        )
    };
    let arms: String = outcome.truth.iter().map(arm).collect();
    let found = match (outcome.lift, outcome.interval) {
        (Some(lift), Some([low, high])) => {
            format!("{} [{}, {}]", percent(lift), percent(low), percent(high))
        }
        _ => "no lift".to_owned(),
    };
    let verdict = if outcome.agrees { "agrees" } else { "DISAGREES" };
    format!(
        "{}\n{arms}  true lift {}; the experiment found {found}: {:?}, {verdict}",
        outcome.experiment,
        percent(outcome.true_lift),
        outcome.conclusion
    )
}

fn measure(args: &ExchangeArgs) -> anyhow::Result<()> {
    let phases = exchange(&Exchange {
        server: args.server.clone(),
        folders: args.folders.clone(),
        rate: args.rate,
        threads: args.threads,
        alone: std::time::Duration::try_from_secs_f64(args.seconds).context("--seconds")?,
        activations: args.activations,
        users: args.users,
        whole: args.whole,
    })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&phases)?);
        return Ok(());
    }
    let alone = phases.first().map_or(f64::NAN, |phase| phase.p99_ms);
    for phase in &phases {
        println!(
            "{:<11} {:>5.1} s, {:>6} requests, {} failed, {} degraded, {} mixed, p50 {:.1} ms, p99 {:.1} ms ({:.2} times that \
             alone), by {}",
            phase.name,
            phase.seconds,
            phase.requests,
            phase.failed,
            phase.degraded,
            phase.mixed,
            phase.p50_ms,
            phase.p99_ms,
            phase.p99_ms / alone,
            phase.models.join(", ")
        );
    }
    Ok(())
}

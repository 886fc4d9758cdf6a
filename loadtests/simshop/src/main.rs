//! `simshop`: makes and describes simulated shops.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use plugrank_simshop::{Plan, describe, generate, truth};

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

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a dataset folder.
    #[command(after_help = MODEL)]
    Generate(GenerateArgs),
    /// Print sizes, click rates and the best AUC any model could reach.
    Describe(DescribeArgs),
    /// Print what shoppers truly like: the log-odds of a click on every item, as JSON.
    Truth(TruthArgs),
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
    plan: Plan,
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
    }
    Ok(())
}

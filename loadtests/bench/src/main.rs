//! What `cargo xtask bench` runs: tables made from a bundle and a data set, the graph alone, a plain
//! server of the same tables, and a load generator. Each prints one line of JSON.

mod client;
mod compare;
mod encode;
mod handler;
mod history;
mod item_inputs;
mod limit;
mod load;
mod measured;
mod mmr;
mod prepare;
mod process;
mod requests;
mod ring;
mod scorer;
mod tables;
mod user_inputs;

use clap::{Parser, Subcommand};

/// Parts of a benchmark of Plugrank; `cargo xtask bench` puts them together.
#[derive(Parser)]
#[command(name = "plugrank-bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Encode a data set with a bundle: item records and user states, in one file for all peers.
    Prepare(prepare::Args),
    /// Run the unified graph alone, on inputs that lie ready.
    Limit(limit::Args),
    /// Serve the tables with a plain actix-web handler.
    Handler(handler::Args),
    /// Send rank requests to a server and measure.
    Load(load::Args),
    /// Ask two servers the same and compare the click probabilities.
    Compare(compare::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Prepare(args) => prepare::run(&args),
        Command::Limit(args) => limit::run(&args),
        Command::Handler(args) => handler::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Compare(args) => compare::run(&args),
    }
}

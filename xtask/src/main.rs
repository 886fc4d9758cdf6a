//! Set-up and developer commands: `cargo xtask --help`.

mod audit;
mod bench;
mod browser;
mod chart;
mod closed_loop;
mod day;
mod demo;
mod demo_split;
mod docs;
mod exchange;
mod faults;
mod files;
mod fuzz;
mod lint;
mod load;
mod model_servers;
mod notices;
mod once;
mod ort_library;
mod package;
mod parts;
mod process;
mod python;
mod python_client;
mod redis8;
mod rungs;
mod running;
mod schemathesis;
mod settings;
mod setup;
mod shop;
mod shop_check;
mod system_packages;
mod table;
mod test;
mod tools;
mod train;
mod truth;
mod venv;
mod wheel;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Everything a developer runs. Each command fetches what it needs and is quick the second time.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build, load a catalog, serve it on 127.0.0.1 and print a request to try.
    Demo(demo::Args),
    /// Run the tests: all of them, one group, or a tier.
    Test(test::Args),
    /// Train IDRec and the unified model on a data set and export a bundle.
    Train(train::Args),
    /// Formatting, clippy, dependency rules and the Python checks.
    Lint,
    /// Run a k6 scenario against the shipped shop.
    Load(load::Args),
    /// Measure Plugrank beside the graph it serves and beside plain servers of the same bundle.
    Bench(bench::Args),
    /// Measure what each rung of the latency ladder costs, on a data set of yours.
    Rungs(rungs::Args),
    /// Make a Python wheel with the program and the shipped shop.
    Package(package::Args),
    /// Write third-party notices and the bill of materials of the program into a folder.
    Notices {
        /// The folder.
        folder: PathBuf,
    },
    /// Let a simulated day pass on the shipped shop, train on with it, and serve the result.
    Day(day::Args),
    /// Run experiments with simulated shoppers on the shipped shop, and compare their conclusions with the true effect.
    ClosedLoop(closed_loop::Args),
    /// Measure what loading and exchanging a second model cost under requests, in one process and over the roles.
    Exchange(exchange::Args),
    /// Check dependencies of the program and of the checks for known vulnerabilities.
    Audit,
    /// Fuzz the parsers of requests, calls between roles, bundles, data sets and filters.
    Fuzz(fuzz::Args),
    /// Lint the Helm chart and check what it renders.
    Chart,
    /// Write the files generated from the settings: docs/settings.md, docs/defaults.toml, the chart's schema.
    Settings,
    /// Make the shipped shop, its model and the parity test's predictions again.
    Shop,
    /// Build the documentation as a site that loads nothing from other hosts.
    Docs(docs::Args),
    /// Fetch what the other commands need, without running anything.
    Setup(setup::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Lint => lint::run(),
        Command::Load(args) => load::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Rungs(args) => rungs::run(&args),
        Command::Package(args) => package::run(&args),
        Command::Notices { folder } => notices::write(&folder),
        Command::Day(args) => day::run(&args),
        Command::ClosedLoop(args) => closed_loop::run(&args),
        Command::Exchange(args) => exchange::run(&args),
        Command::Audit => audit::run(),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Chart => chart::run(),
        Command::Settings => settings::run(),
        Command::Shop => shop::run(),
        Command::Docs(args) => docs::run(&args),
        Command::Setup(args) => setup::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root.
fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// Where builds and everything fetched or made by these commands lie.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

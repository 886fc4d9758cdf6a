//! `cargo xtask test`.

use std::{num::NonZeroUsize, process::Command};

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    browser, day,
    demo::{self, Build},
    model_servers, ort_library, parts, process, python, python_client, redis8, schemathesis,
    system_packages,
};

/// Most processes that run the Python package's tests: each holds PyTorch, and models.
const MOST_PROCESSES: usize = 8;
/// Cases of each property test with `--full`; `proptest` runs 256 by itself.
const FULL_CASES: u32 = 8_192;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Unit and crate tests in Rust.
    Rust,
    /// The Python package's tests.
    Training,
    /// The Python client's tests, against a server.
    Clients,
    /// The pages, in a real browser.
    Browser,
    /// The REST API compared with its OpenAPI document, by schemathesis.
    Schemathesis,
    /// Whole flows over real HTTP, and what breaks.
    E2e,
}

#[derive(clap::Args)]
#[command(after_help = "\
Three tiers:

  cargo xtask test --fast   the tests beside the code of every crate; no server, no store, no Python
  cargo xtask test          all groups but schemathesis, and the examples in the documentation: what .ci/run
                            runs
  cargo xtask test --full   the same with 8192 cases of each property test instead of 256, the unit tests
                            without each optional part, schemathesis with four seeds and more requests, and a
                            simulated day (`cargo xtask day`)")]
pub(crate) struct Args {
    /// Which tests; all of them when absent.
    #[arg(value_enum)]
    group: Option<Group>,
    /// Only the unit tests in `src/` of every crate: an answer in minutes on a warm tree.
    #[arg(long, conflicts_with_all = ["group", "full"])]
    fast: bool,
    /// With the long proofs: 8192 cases of each property test (the orders of batches, rules,
    /// merges, keys). Takes long; before a release, or after a change to what they prove.
    #[arg(long)]
    full: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.fast {
        return fast();
    }
    let wanted = |candidate| args.group.is_none_or(|group| group == candidate);
    if wanted(Group::Rust) || wanted(Group::E2e) {
        rust(args)?;
    }
    if wanted(Group::Rust) {
        process::run(with_library(cargo(&["test", "--workspace", "--doc"]))?.arg("--quiet"))?;
    }
    if args.full && wanted(Group::Rust) {
        let library = ort_library::ensure()?;
        parts::test(|cargo| {
            cargo.env("ORT_DYLIB_PATH", &library);
        })?;
    }
    if wanted(Group::Training) {
        let python = python::ensure()?;
        let mut pytest = Command::new(python);
        pytest.args(["-m", "pytest", "-q", "--durations=5"]);
        // A process a core, each with whole files: what a file's tests share is made once. In the order of
        // conftest.py, the slowest first.
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        pytest.args(["--numprocesses", &cores.min(MOST_PROCESSES).to_string(), "--dist=loadfile"]);
        pytest.arg("--no-loadscope-reorder");
        pytest.env("OMP_NUM_THREADS", "1");
        // Some ask a server for what their models say.
        pytest.env("PLUGRANK", demo::build(Build::Debug)?);
        pytest.env("ORT_DYLIB_PATH", ort_library::ensure()?);
        process::run(pytest.current_dir(crate::root().join("training")))?;
    }
    if wanted(Group::Clients) {
        python_client::test()?;
    }
    if wanted(Group::Browser) {
        browser::test()?;
    }
    // Minutes of requests in a debug build: only where it is asked for.
    if args.full || args.group == Some(Group::Schemathesis) {
        schemathesis::test()?;
    }
    if args.full && args.group.is_none() {
        day::run(&day::Args::debug())?;
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = process::cargo();
    cargo.args(arguments);
    cargo
}

/// With ONNX Runtime, which some unit tests load.
fn with_library(mut cargo: Command) -> Result<Command> {
    cargo.env("ORT_DYLIB_PATH", ort_library::ensure()?);
    Ok(cargo)
}

fn fast() -> Result<()> {
    process::run(&mut with_library(cargo(&["test", "--workspace", "--lib", "--bins"]))?)
}

/// One build serves both groups: the features of dependencies are the same whatever is run.
fn rust(args: &Args) -> Result<()> {
    system_packages::redis()?;
    system_packages::faketime()?;
    let redis8 = redis8::ensure()?;
    let mut cargo = with_library(cargo(&["test", "--workspace", "--lib", "--bins", "--tests"]))?;
    cargo.env("REDIS8_SERVER", redis8);
    if args.full {
        cargo.env("PROPTEST_CASES", FULL_CASES.to_string());
    }
    if args.group != Some(Group::Rust) {
        cargo.env("OPEN_INFERENCE_PYTHON", model_servers::ensure()?);
    }
    match args.group {
        Some(Group::E2e) => cargo.args(["--", "e2e::", "failure::"]),
        Some(Group::Rust) => cargo.args(["--", "--skip", "e2e::", "--skip", "failure::"]),
        _ => &mut cargo,
    };
    process::run(&mut cargo)
}

//! `cargo xtask fuzz`: what reads what others wrote, given anything.

use std::{fs, path::PathBuf, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};

use crate::process;

/// The programs of `fuzz/fuzz_targets`.
const TARGETS: [&str; 6] = ["bodies", "calls", "dataset", "filter", "formula", "manifest"];
/// Longest input, in bytes: beyond the sizes at which the readers change what they do.
const LONGEST: u32 = 65_536;

#[derive(clap::Args)]
#[command(after_help = "\
Inputs begin with fuzz/seeds/TARGET; what was found besides is kept in fuzz/corpus/TARGET, which git
ignores, and what failed in fuzz/artifacts/TARGET. Run one again with its file as INPUT.")]
pub(crate) struct Args {
    /// Which target; each in turn when absent.
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// Only this input, once.
    #[arg(requires = "target")]
    input: Option<PathBuf>,
    /// How long for each target.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let build = build(args.target.as_deref())?;
    let wanted = |target: &&str| args.target.as_deref().is_none_or(|one| one == *target);
    for target in TARGETS.into_iter().filter(wanted) {
        let begun = Instant::now();
        one(&build.join(format!("fuzz-{target}")), target, args)
            .with_context(|| format!("fuzz target {target}"))?;
        println!("{target}: nothing found in {} s", begun.elapsed().as_secs());
    }
    Ok(())
}

/// Builds a target, or all; the folder they are in. The packages of others are those of the tests' build, with the
/// features of the whole workspace; the project's own are built with counters, beside those without.
fn build(one: Option<&str>) -> Result<PathBuf> {
    let root = crate::root();
    let mut cargo = process::cargo();
    cargo.args([
        "build",
        "--quiet",
        "--workspace",
        "--examples",
        "--features",
        "plugrank-fuzz/targets",
    ]);
    for target in TARGETS.into_iter().filter(|target| one.is_none_or(|one| one == *target)) {
        cargo.args(["--bin", &format!("fuzz-{target}")]);
    }
    cargo.env("RUSTC_WORKSPACE_WRAPPER", root.join("fuzz/instrument.sh"));
    process::run(cargo.env("CARGO_INCREMENTAL", "0").current_dir(root))?;
    Ok(crate::target().join("debug"))
}

fn one(program: &PathBuf, target: &str, args: &Args) -> Result<()> {
    let home = crate::root().join("fuzz");
    let mut fuzz = Command::new(program);
    if let Some(input) = &args.input {
        ensure!(input.is_file(), "{} is no file", input.display());
        return process::run(fuzz.arg(input));
    }
    let (corpus, artifacts) =
        (home.join("corpus").join(target), home.join("artifacts").join(target));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    fuzz.arg(format!("-max_total_time={}", args.minutes * 60))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_len={LONGEST}"))
        .args(["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"]);
    if target == "dataset" {
        // A file that is cut off is none: no short ones first.
        fuzz.arg("-len_control=0");
    }
    fuzz.arg(corpus);
    let words = home.join("dictionaries").join(target).with_extension("dict");
    if words.is_file() {
        fuzz.arg(format!("-dict={}", words.display()));
    }
    let seeds = home.join("seeds").join(target);
    if seeds.is_dir() {
        fuzz.arg(seeds);
    }
    process::run(&mut fuzz)
}

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
        one(&build.join(target), target, args).with_context(|| format!("fuzz target {target}"))?;
        println!("{target}: nothing found in {} s", begun.elapsed().as_secs());
    }
    Ok(())
}

/// Builds a target, or all; the folder they are in. The flags are libFuzzer's: the counters that say which
/// inputs reach new code are LLVM's and need no other compiler than the program.
fn build(one: Option<&str>) -> Result<PathBuf> {
    let root = crate::root();
    let target = crate::target().join("fuzz");
    // The versions that the program is built of.
    fs::copy(root.join("Cargo.lock"), root.join("fuzz/Cargo.lock"))?;
    let triple = process::host()?;
    let flags = [
        "-Cpasses=sancov-module",
        "-Cllvm-args=-sanitizer-coverage-level=4",
        "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
        "-Cllvm-args=-sanitizer-coverage-pc-table",
        "-Cllvm-args=-sanitizer-coverage-trace-compares",
        "--cfg=fuzzing",
    ];
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--bins", "--target", &triple, "--manifest-path"]);
    cargo.arg(root.join("fuzz/Cargo.toml"));
    if let Some(one) = one {
        // Of no more packages than it needs.
        cargo.args(["--no-default-features", "--features", one]);
    }
    // By the name of the host, so that build scripts and macros are built without the counters.
    cargo.env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", flags.join(" "));
    process::run(&mut cargo)?;
    Ok(target.join(triple).join("debug"))
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
        .args(["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"])
        .arg(corpus);
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

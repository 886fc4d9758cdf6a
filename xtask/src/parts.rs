//! Parts that a build may leave out: each is left out once, and what must not depend on one is held
//! to it.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;

/// Cargo features of `plugrank`, all on by default.
const FEATURES: [&str; 3] = ["open-inference", "vector-engine", "tail-sampling"];
/// A crate, and a dependency that it must not have, even by way of others.
const WITHOUT: [(&str, &str); 1] = [("plugrank-gateway", "ort")];

/// Checks `plugrank` without each feature, and the fences between crates.
pub(crate) fn check() -> Result<()> {
    for (package, dependency) in WITHOUT {
        fenced(package, dependency)?;
    }
    for left_out in FEATURES {
        let mut clippy = process::cargo();
        clippy.args(["clippy", "--package", "plugrank", "--lib", "--bins", "--profile", "test"]);
        clippy.args([
            "--no-default-features",
            "--features",
            &without(left_out),
            "--",
            "-D",
            "warnings",
        ]);
        process::run(&mut clippy).with_context(|| format!("plugrank without {left_out}"))?;
    }
    Ok(())
}

/// Runs the unit tests of `plugrank` without each feature. Only they differ: the other crates know
/// nothing of its features.
pub(crate) fn test(mut with: impl FnMut(&mut Command)) -> Result<()> {
    for left_out in FEATURES {
        let mut test = process::cargo();
        test.args(["test", "--package", "plugrank", "--lib", "--bins", "--no-default-features"]);
        test.args(["--features", &without(left_out)]);
        with(&mut test);
        process::run(&mut test).with_context(|| format!("tests of plugrank without {left_out}"))?;
    }
    Ok(())
}

fn without(left_out: &str) -> String {
    FEATURES.into_iter().filter(|one| *one != left_out).collect::<Vec<_>>().join(",")
}

fn fenced(package: &str, dependency: &str) -> Result<()> {
    let mut tree = process::cargo();
    tree.args(["tree", "--package", package, "--edges", "normal,build", "--prefix", "none"]);
    let tree = process::output(&mut tree)?;
    let found = tree.lines().any(|line| line.split(' ').next() == Some(dependency));
    ensure!(
        !found,
        "{package} depends on {dependency}; `cargo tree -p {package} -i {dependency}` says by what"
    );
    Ok(())
}

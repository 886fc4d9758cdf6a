//! `cargo xtask test`.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::{model_servers, ort_library, process, python, redis8, system_packages};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Unit and crate tests in Rust.
    Rust,
    /// The Python package's tests.
    Training,
    /// Whole flows over real HTTP, and what breaks.
    E2e,
}

pub(crate) fn run(group: Option<Group>) -> Result<()> {
    let wanted = |candidate| group.is_none_or(|group| group == candidate);
    if wanted(Group::Rust) || wanted(Group::E2e) {
        rust(group)?;
    }
    if wanted(Group::Training) {
        let python = python::ensure()?;
        process::run(
            Command::new(python)
                .args(["-m", "pytest", "-q", "--durations=5"])
                .current_dir(crate::root().join("training")),
        )?;
    }
    Ok(())
}

/// One build serves both groups: the features of dependencies are the same whatever is run.
fn rust(group: Option<Group>) -> Result<()> {
    let library = ort_library::ensure()?;
    system_packages::redis()?;
    system_packages::faketime()?;
    let redis8 = redis8::ensure()?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--workspace", "--lib", "--bins", "--tests"]).current_dir(crate::root());
    cargo.env("ORT_DYLIB_PATH", library).env("REDIS8_SERVER", redis8);
    if group != Some(Group::Rust) {
        cargo.env("OPEN_INFERENCE_PYTHON", model_servers::ensure()?);
    }
    match group {
        Some(Group::E2e) => cargo.args(["--", "e2e::", "failure::"]),
        Some(Group::Rust) => cargo.args(["--", "--skip", "e2e::", "--skip", "failure::"]),
        _ => &mut cargo,
    };
    process::run(&mut cargo)
}

//! The virtual environment that training runs in.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{once, process};

/// The environment's interpreter; makes the environment, or brings it up to date, when
/// `training/pyproject.toml` has changed since.
pub(crate) fn ensure() -> Result<PathBuf> {
    once::at_a_time("venv", make)
}

fn make() -> Result<PathBuf> {
    let folder = crate::target().join("venv");
    let python = folder.join("bin/python");
    let project = crate::root().join("training/pyproject.toml");
    let wanted = fs::read_to_string(&project).context("training/pyproject.toml")?;
    let stamp = folder.join("installed.toml");
    if python.is_file() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let version = process::output(
        Command::new("python3").args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]),
    )?;
    let minor: u32 = version.strip_prefix("3.").and_then(|minor| minor.parse().ok()).unwrap_or(0);
    if minor < 11 {
        bail!("training needs Python 3.11 or later; python3 is {version}");
    }
    println!(
        "installing PyTorch and what else training needs into target/venv (several GB, some minutes)"
    );
    if !python.is_file() {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).context(
            "python3 could not make a virtual environment (Debian: apt-get install python3-venv)",
        )?;
    }
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--progress-bar",
        "on",
        "--editable",
    ]);
    pip.arg("training[dev]").current_dir(crate::root());
    process::run(&mut pip)?;
    fs::write(&stamp, wanted)?;
    Ok(python)
}

/// A command of the training package.
pub(crate) fn training(python: &PathBuf) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "plugrank_training"]).current_dir(crate::root());
    command
}

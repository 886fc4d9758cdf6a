//! The Python client's tests and checks, in an environment of their own.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    demo::{self, Build},
    ort_library, process, venv,
};

/// Its tests, some against a real server.
pub(crate) fn test() -> Result<()> {
    let mut pytest = in_client(&["-m", "pytest", "-q"])?;
    pytest.env("PYTHONPATH", "src");
    pytest.env("PLUGRANK", demo::build(Build::Debug)?);
    process::run(pytest.env("ORT_DYLIB_PATH", ort_library::ensure()?))
}

/// Formatting, ruff's rules, types.
pub(crate) fn lint() -> Result<()> {
    for check in [&["ruff", "check"][..], &["ruff", "format", "--check"], &["mypy"]] {
        process::run(in_client(&["-m"])?.args(check))?;
    }
    Ok(())
}

pub(crate) fn python() -> Result<PathBuf> {
    venv::ensure("client-venv", "clients/python", "what the Python client needs")
}

fn in_client(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(python()?);
    command.args(arguments).current_dir(crate::root().join("clients/python"));
    Ok(command)
}

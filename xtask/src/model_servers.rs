//! The Python environment with Triton's client and MLServer, which the tests of the Open Inference
//! Protocol are held against.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::process;

/// The environment's interpreter; makes the environment when the requirements have changed since.
pub(crate) fn ensure() -> Result<PathBuf> {
    let folder = crate::target().join("open-inference-venv");
    let python = folder.join("bin/python");
    let requirements = crate::root().join("tests/open_inference/requirements.txt");
    let wanted = fs::read_to_string(&requirements).context("tests/open_inference")?;
    let stamp = folder.join("installed.txt");
    if python.is_file() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    println!("installing Triton's client and MLServer into target/open-inference-venv");
    let _ = fs::remove_dir_all(&folder);
    process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).context(
        "python3 could not make a virtual environment (Debian: apt-get install python3-venv)",
    )?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    process::run(pip.arg("--requirement").arg(&requirements))?;
    fs::write(&stamp, wanted)?;
    Ok(python)
}

//! Python environments of pinned packages, one for each thing that needs them.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::process;

/// The interpreter of the environment `target/NAME`; makes it when its requirements (a path from the
/// repository's root) have changed since. `what` is what is announced.
pub(crate) fn ensure(name: &str, requirements: &str, what: &str) -> Result<PathBuf> {
    let folder = crate::target().join(name);
    let python = folder.join("bin/python");
    let path = crate::root().join(requirements);
    let wanted =
        fs::read_to_string(&path).with_context(|| format!("cannot read {requirements}"))?;
    let stamp = folder.join("installed.txt");
    if python.is_file() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    println!("installing {what} into target/{name}");
    let _ = fs::remove_dir_all(&folder);
    process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).context(
        "python3 could not make a virtual environment (Debian: apt-get install python3-venv)",
    )?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    process::run(pip.arg("--requirement").arg(&path))?;
    fs::write(&stamp, wanted)?;
    Ok(python)
}

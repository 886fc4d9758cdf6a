//! `cargo xtask settings`: writes what is made from the settings' structs.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::demo::{self, Build};

pub(crate) fn run() -> Result<()> {
    let plugrank = demo::build(Build::Debug)?;
    let root = crate::root();
    write(&root.join("docs/settings.md"), &print(&plugrank, "table")?)?;
    write(&root.join("docs/defaults.toml"), &print(&plugrank, "file")?)?;
    // The chart's schema: the part about settings comes from here, the rest from its own script.
    let chart = root.join("helm/plugrank/values.schema.json");
    let mut schema: Value = serde_json::from_str(&fs::read_to_string(&chart)?)?;
    schema["$defs"]["settings"] = serde_json::from_str(&print(&plugrank, "schema")?)?;
    write(&chart, &format!("{schema:#}\n"))
}

/// What the program prints of its defaults.
fn print(plugrank: &Path, format: &str) -> Result<String> {
    let mut command = Command::new(plugrank);
    command.args(["settings", "--format", format]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    let output = command.output().context("the program cannot be run")?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn is_setting(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().to_ascii_uppercase().starts_with("PLUGRANK_")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{} is written", path.display());
    Ok(())
}

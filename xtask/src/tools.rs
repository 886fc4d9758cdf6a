//! Tools built from the Go module `tools/`, once.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::process;

/// A load generator.
pub(crate) fn k6() -> Result<PathBuf> {
    built("k6", "go.k6.io/k6")
}

/// The Kubernetes package manager.
pub(crate) fn helm() -> Result<PathBuf> {
    built("helm", "helm.sh/helm/v4/cmd/helm")
}

fn built(name: &str, package: &str) -> Result<PathBuf> {
    let folder = crate::target().join("tools/bin");
    let tool = folder.join(name);
    if tool.is_file() {
        return Ok(tool);
    }
    println!("building {name} (some minutes, once)");
    let mut go = Command::new("go");
    go.args(["build", "-C"]).arg(crate::root().join("tools")).arg("-o").arg(&tool).arg(package);
    process::run(&mut go).with_context(|| format!("{name} is built with Go 1.26 or later"))?;
    Ok(tool)
}

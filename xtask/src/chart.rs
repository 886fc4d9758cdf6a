//! `cargo xtask chart`: lints the Helm chart and checks what it renders.

use std::process::Command;

use anyhow::Result;

use crate::{process, tools};

pub(crate) fn run() -> Result<()> {
    let helm = tools::helm()?;
    process::run(
        Command::new("python3")
            .args(["helm/tests/run.py", "-q"])
            .env("HELM", helm)
            .current_dir(crate::root()),
    )
}

//! `cargo xtask chart`: lints the Helm chart and checks what it renders, its alert rules and its
//! dashboard, these against the metrics of a real server.

use std::process::Command;

use anyhow::Result;

use crate::{
    demo::{self, Build},
    ort_library, process, tools,
};

pub(crate) fn run() -> Result<()> {
    let helm = tools::helm()?;
    tools::prometheus()?;
    process::run(
        Command::new("python3")
            .args(["helm/tests/run.py", "-q"])
            .env("HELM", helm)
            .env("PLUGRANK", demo::build(Build::Debug)?)
            .env("ORT_DYLIB_PATH", ort_library::ensure()?)
            .current_dir(crate::root()),
    )
}

//! `cargo xtask setup`: what the other commands fetch and build, before they need it.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    audit, browser, docs, model_servers, ort_library, process, python, python_client, redis8,
    system_packages, tools,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also what training needs (PyTorch: several GB).
    #[arg(long)]
    training: bool,
    /// Everything that `.ci/run` needs: training, the browser, k6, Helm, Prometheus, cargo-deny. It may run
    /// beside a build or tests, which wait for what they need of it.
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    println!("ONNX Runtime: {}", ort_library::ensure()?.display());
    system_packages::redis()?;
    system_packages::faketime()?;
    // In the order in which the checks want them.
    println!("Redis 8:      {}", redis8::ensure()?.display());
    model_servers::ensure()?;
    if args.training || args.all {
        println!("Python:       {}", python::ensure()?.display());
    }
    if args.all {
        python_client::python()?;
        browser::python()?;
        system_packages::chromium()?;
        docs::fetch()?;
        tools::prometheus()?;
        let built: [fn() -> Result<PathBuf>; 3] = [audit::cargo_deny, tools::helm, tools::k6];
        for tool in built {
            println!("built:        {}", tool()?.display());
        }
        process::run(
            Command::new("python3")
                .args(["helm/tests/run.py", "--setup"])
                .current_dir(crate::root()),
        )?;
    }
    Ok(())
}

//! `cargo xtask load`: a k6 scenario against a server of its own.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, ensure};

use crate::{
    demo::{self, Build},
    process, tools,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A script of `loadtests/`, without `.js`.
    #[arg(default_value = "smoke")]
    scenario: String,
    /// Port of 127.0.0.1 to serve on.
    #[arg(long, default_value_t = 8090)]
    port: u16,
    /// Use the debug build: quick to build, slow to serve.
    #[arg(long)]
    debug: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let script: PathBuf = crate::root().join("loadtests").join(format!("{}.js", args.scenario));
    ensure!(script.is_file(), "there is no scenario {}", script.display());
    let k6 = tools::k6()?;
    let build = if args.debug { Build::Debug } else { Build::Release };
    let (server, _users) = demo::serve_shipped(build, args.port)?;
    let mut scenario = Command::new(k6);
    scenario.args(["run", "--quiet", "-e"]).arg(format!("BASE_URL={}", server.url()));
    scenario.args(["-e", "USERS=800"]).arg(script).env("K6_NO_USAGE_REPORT", "true");
    process::run(&mut scenario)
}

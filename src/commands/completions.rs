//! `plugrank completions`.

use std::io::{Write, stdout};

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::cli::Cli;

pub(super) fn print(shell: Shell) -> Result<()> {
    // Written at once: a reader that has seen enough is no failure half way.
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "plugrank", &mut script);
    Ok(stdout().write_all(&script)?)
}

//! The one binary: `plugrank --help`.

use std::process::ExitCode;

use clap::Parser;
use plugrank::{cli::Cli, commands};

fn main() -> ExitCode {
    match commands::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.logged {
                eprintln!("plugrank: {}", failure.message);
            }
            ExitCode::from(failure.exit_code)
        }
    }
}

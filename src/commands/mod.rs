//! One module a command.

mod bundle;
mod experiment;
mod export;
mod load;
mod serve;
mod tune;

use plugrank_runtime::{Settings, settings::SettingsError};

use crate::cli::{Cli, Command, ConfigArg};

/// Exit code for settings that cannot be used (`EX_USAGE` of sysexits.h).
const EXIT_SETTINGS: u8 = 64;

/// Why the process ends, for people and for whoever started it.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong and what would fix it.
    pub message: String,
    /// The process's exit code.
    pub exit_code: u8,
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self { message: error.to_string(), exit_code: EXIT_SETTINGS }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { message: format!("{error:#}"), exit_code: 1 }
    }
}

/// Carries out the command line.
///
/// # Errors
/// A [`Failure`] with what to print and the exit code.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Bundle(command) => Ok(bundle::run(&command)?),
        Command::Experiment(command) => Ok(experiment::run(&command)?),
        Command::Tune(args) => tune::run(&args),
        Command::Settings(args) => {
            let settings = settings(&args)?;
            let text = toml::to_string_pretty(&settings).map_err(anyhow::Error::from)?;
            print!("{text}");
            Ok(())
        }
    }
}

fn settings(args: &ConfigArg) -> Result<Settings, SettingsError> {
    Settings::load(args.config.as_deref())
}

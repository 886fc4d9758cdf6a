//! One module a command.

mod bundle;
mod completions;
mod demo;
mod experiment;
mod export;
mod keys;
mod load;
mod rank;
mod replay;
mod serve;
mod settings;
mod store;
mod top;
mod tune;

use plugrank_settings::SettingsError;

use crate::cli::{Cli, Command};

/// Exit code for settings that cannot be used (`EX_USAGE` of sysexits.h).
const EXIT_SETTINGS: u8 = 64;

/// Why the process ends, for people and for the program that started it.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong and what would fix it.
    pub message: String,
    /// The process's exit code.
    pub exit_code: u8,
    /// Whether the output already says so.
    pub logged: bool,
}

impl Failure {
    /// Settings cannot be used.
    fn settings(message: String) -> Self {
        Self { message, exit_code: EXIT_SETTINGS, logged: false }
    }

    /// The log has it.
    fn logged(error: anyhow::Error) -> Self {
        Self { logged: true, ..error.into() }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::settings(error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { message: format!("{error:#}"), exit_code: 1, logged: false }
    }
}

/// Carries out the command line.
///
/// # Errors
/// A [`Failure`] with what to print and the exit code.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Rank(args) => Ok(rank::run(&args)?),
        Command::Top(args) => Ok(top::run(&args)?),
        Command::Serve(args) => serve::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Store(command) => store::run(&command),
        Command::Bundle(command) => Ok(bundle::run(&command)?),
        Command::Experiment(args) => Ok(experiment::run(&args)?),
        Command::Replay(args) => replay::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Keys(command) => Ok(keys::run(&command)?),
        Command::Settings(args) => settings::print(&args),
        Command::Validate(args) => settings::validate(&args),
        Command::Completions { shell } => Ok(completions::print(shell)?),
    }
}

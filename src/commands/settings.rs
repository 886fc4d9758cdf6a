//! `plugrank settings` and `plugrank validate`.

use plugrank_settings::{SettingsError, document, near_misses, process_variables};

use super::Failure;
use crate::{
    Settings,
    cli::{ConfigArg, SettingsArgs, SettingsFormat},
};

/// The settings that the command line and the environment name.
pub(super) fn load(args: &ConfigArg) -> Result<Settings, SettingsError> {
    let variables = process_variables()?;
    for warning in near_misses::<Settings>(variables.keys().map(String::as_str)) {
        eprintln!("plugrank: warning: {warning}");
    }
    Settings::from_sources(args.config.as_deref(), variables)
}

pub(super) fn print(args: &SettingsArgs) -> Result<(), Failure> {
    let text = match args.format {
        SettingsFormat::File => load(&args.config)?.to_file(),
        SettingsFormat::Table => Settings::table(),
        SettingsFormat::Schema => format!("{:#}\n", document::chart_schema::<Settings>()),
    };
    print!("{text}");
    Ok(())
}

/// Names every problem, one a line.
pub(super) fn validate(args: &ConfigArg) -> Result<(), Failure> {
    let Err(error) = load(args) else {
        println!("the settings can be used");
        return Ok(());
    };
    let message = match &error {
        SettingsError::Problems(problems) => {
            let lines = problems.iter().map(|problem| format!("\n  {problem}"));
            format!("impossible settings:{}", lines.collect::<String>())
        }
        SettingsError::File { .. } => error.to_string(),
    };
    Err(Failure { message, exit_code: 1, logged: false })
}

//! `plugrank settings` and `plugrank validate`.

use plugrank_settings::{SettingsError, SettingsProblem, document, near_misses, process_variables};
use serde_json::{Value, json};

use super::Failure;
use crate::{
    Settings,
    cli::{ConfigArg, SettingsArgs, SettingsFormat, ValidateArgs},
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
pub(super) fn validate(args: &ValidateArgs) -> Result<(), Failure> {
    let loaded = load(&args.config);
    if args.json {
        println!("{:#}", as_json(loaded.as_ref().err()));
    } else if loaded.is_ok() {
        println!("the settings can be used");
    }
    let Err(error) = loaded else { return Ok(()) };
    let message = match &error {
        SettingsError::Problems(problems) => {
            let lines = problems.iter().map(|problem| format!("\n  {problem}"));
            format!("impossible settings:{}", lines.collect::<String>())
        }
        SettingsError::File { .. } => error.to_string(),
    };
    Err(Failure { message, exit_code: 1, logged: args.json })
}

fn as_json(error: Option<&SettingsError>) -> Value {
    let problems = match error {
        None => Vec::new(),
        Some(SettingsError::Problems(problems)) => {
            let named = |one: &SettingsProblem| json!({"key": one.key, "message": one.message});
            problems.iter().map(named).collect()
        }
        Some(file) => vec![json!({"key": null, "message": file.to_string()})],
    };
    json!({"valid": error.is_none(), "problems": problems})
}

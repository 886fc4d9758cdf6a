//! Reads settings from their three sources: defaults, then a file, then the environment.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use config::{Config, ConfigError, Environment, File, FileFormat, Source, Value, ValueKind};
use serde_path_to_error::Segment;

use crate::{
    Section, SettingsError, SettingsProblem, check,
    names::{PREFIX, SEPARATOR, is_setting},
};

/// The settings of this process: defaults, then `file`, then the environment.
///
/// # Errors
/// As [`SettingsError`] says.
pub fn load<S: Section>(file: Option<&Path>) -> Result<S, SettingsError> {
    from_sources(file, process_variables()?)
}

/// The environment of this process, as far as it may be about settings.
///
/// # Errors
/// When a setting is not UTF-8.
pub fn process_variables() -> Result<HashMap<String, String>, SettingsError> {
    let mut variables = HashMap::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => _ = variables.insert(name, value),
            Err(_) if is_setting(&name) => {
                let message = "is an environment variable that is not UTF-8".to_owned();
                return Err(SettingsError::Problems(vec![SettingsProblem { key: name, message }]));
            }
            Err(_) => {}
        }
    }
    Ok(variables)
}

/// The settings from the defaults, `file` and `variables` in place of the environment. Variables
/// without the prefix `PLUGRANK__` are not settings and are left alone.
///
/// # Errors
/// As [`SettingsError`] says.
pub fn from_sources<S: Section>(
    file: Option<&Path>,
    variables: HashMap<String, String>,
) -> Result<S, SettingsError> {
    let mut builder = Config::builder();
    if let Some(path) = file {
        builder = builder.add_source(read(path)?);
    }
    let environment = Environment::with_prefix(PREFIX)
        .separator(SEPARATOR)
        .source(Some(variables.into_iter().filter(|(name, _)| is_setting(name)).collect()));
    let merged = builder.add_source(environment).build().and_then(|merged| merged.collect());
    let merged = merged.map_err(|error| SettingsError::Problems(vec![unnamed(&error)]))?;
    let (settings, mut problems) = deserialize(Value::new(None, ValueKind::Table(merged)));
    let Some(settings) = settings else { return Err(SettingsError::Problems(problems)) };
    problems.extend(check(&settings).err().into_iter().flatten());
    if problems.is_empty() { Ok(settings) } else { Err(SettingsError::Problems(problems)) }
}

/// Reads a file alone first, so that a broken one is named in the error.
fn read(path: &Path) -> Result<File<config::FileSourceString, FileFormat>, SettingsError> {
    let failed = |message: String| SettingsError::File { path: PathBuf::from(path), message };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let source = File::from_str(&text, FileFormat::Toml);
    source.collect().map_err(|error| failed(error.to_string()))?;
    Ok(source)
}

/// Reads every key; one that cannot be read is told about and keeps its default, so that all are told about
/// at once.
fn deserialize<S: Section>(mut values: Value) -> (Option<S>, Vec<SettingsProblem>) {
    let mut problems = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize(values.clone()) {
            Ok(settings) => return (Some(settings), problems),
            Err(error) => error,
        };
        let keys: Vec<String> = error
            .path()
            .iter()
            .map_while(|segment| match segment {
                Segment::Map { key } => Some(key.clone()),
                _ => None,
            })
            .collect();
        let key = error.path().to_string();
        problems
            .push(SettingsProblem { key, message: format!("cannot be used: {}", error.inner()) });
        if !remove(&mut values, &keys) {
            return (None, problems);
        }
    }
}

/// Takes a key out, or the list or value that holds it; `false` where there is none.
fn remove(values: &mut Value, keys: &[String]) -> bool {
    let ValueKind::Table(table) = &mut values.kind else { return false };
    let Some((first, rest)) = keys.split_first() else { return false };
    match table.get_mut(first) {
        None => false,
        Some(inner) => remove(inner, rest) || table.remove(first).is_some(),
    }
}

fn unnamed(error: &ConfigError) -> SettingsProblem {
    SettingsProblem { key: "?".to_owned(), message: format!("cannot be used: {error}") }
}

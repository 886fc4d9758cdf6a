//! What is wrong with settings.

use std::{fmt, path::PathBuf};

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblem {
    /// The key, e.g. `server.k_max`.
    pub key: String,
    /// What is wrong, and what the value may be.
    pub message: String,
}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.key, self.message)
    }
}

/// Why the settings cannot be used. The process stops before it binds a port.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read, or is no TOML.
    #[error("the settings file {} cannot be used: {message}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// Keys that do not exist, values of the wrong type or out of range: all that there are.
    #[error("impossible settings: {}", list(.0))]
    Problems(Vec<SettingsProblem>),
}

fn list(problems: &[SettingsProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The problems of options as one text, for the error of the crate that refuses them.
///
/// # Errors
/// When there are problems.
pub fn refuse(checked: Result<(), Vec<SettingsProblem>>) -> Result<(), String> {
    checked.map_err(|problems| list(&problems))
}

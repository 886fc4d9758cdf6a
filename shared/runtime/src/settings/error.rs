//! Why the settings cannot be used.

use std::path::PathBuf;

use super::Violation;

/// Why the settings cannot be used. The process stops with [`SettingsError::EXIT_CODE`] before it
/// binds a port.
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
    /// A key that does not exist, or a value of the wrong type.
    #[error("setting `{key}`: {message}")]
    Key {
        /// Which key.
        key: String,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// Values out of range.
    #[error("impossible settings: {}", list(.0))]
    Impossible(Vec<Violation>),
}

impl SettingsError {
    /// Exit code of a process that cannot run with its settings (`EX_USAGE` of sysexits.h).
    pub const EXIT_CODE: u8 = 64;
}

fn list(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

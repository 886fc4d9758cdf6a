//! The settings file, as every command that reads one names it.

use std::path::PathBuf;

/// Where the settings file is.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigArg {
    /// Settings file (TOML). What it leaves out keeps its default; environment variables such as
    /// PLUGRANK__SERVER__BIND override both.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

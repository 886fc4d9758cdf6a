//! What the program was built from.

/// The version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit, where the build named it in the environment variable `PLUGRANK_COMMIT`.
pub const COMMIT: &str = match option_env!("PLUGRANK_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

//! A model on a server of someone else's, in place of a session.

mod elsewhere;
mod link;
mod meet;
mod silence;

use std::time::Duration;

use plugrank_transport::RemoteOptions;

pub use elsewhere::ModelElsewhere;

/// Which model, and how its server is called.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// Addresses, second calls, retries and leaving out.
    pub server: RemoteOptions,
    /// Its name there.
    pub model: String,
    /// Its version there; the server's choice when absent.
    pub version: Option<String>,
    /// Longest wait for a run, whatever the deadline.
    pub timeout: Duration,
}

/// Why a model elsewhere cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is none, or the process has no thread left.
    #[error("scoring.open_inference: {0}")]
    Options(String),
    /// The server does not run the bundle's graph.
    #[error("scoring.open_inference: model `{model}` at {at} cannot be used: {message}")]
    Model {
        /// Its name.
        model: String,
        /// The addresses.
        at: String,
        /// What is wrong, and what would mend it.
        message: String,
    },
}

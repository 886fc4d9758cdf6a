//! A model on a server of someone else's, in place of a session.

mod handshake;
mod link;
mod model_server;
mod silence;

pub use model_server::ModelServerClient;

/// Why a model on another server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelServerError {
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

//! A model that another server runs.

use std::sync::Arc;

use plugrank_inference::RemoteGraph;

/// Another server that runs the unified graph.
#[derive(Clone)]
pub struct RemoteModel {
    /// The server.
    pub server: Arc<dyn RemoteGraph>,
    /// Whether it was reached. If not, its run times are learned from the requests that come once
    /// it is there; until then the ID-based model answers.
    pub reached: bool,
}

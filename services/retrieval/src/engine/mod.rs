//! An index outside of this process, which all replicas share: what it does for retrieval, and what
//! retrieval lends it. What a replica knows of items (whether they are shown, who clicked them) stays
//! its own.

mod host;
mod shared_vectors;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::JoinHandle;

pub use host::EngineHost;
pub use shared_vectors::SharedVectors;

pub use crate::state::ItemVectors;
use crate::state::RetrievalState;

/// Has item vectors outside of this process.
#[async_trait]
pub trait VectorEngine: Send + Sync + 'static {
    /// Tells retrieval which vectors to search, fills them where no other process does, and keeps
    /// them up to date. Does not end by itself; it is dropped when retrieval is.
    async fn keep_up(self: Box<Self>, host: EngineHost);
}

/// An engine at work. It ends with this value.
pub(crate) struct EngineTask(JoinHandle<()>);

impl EngineTask {
    pub(crate) fn start(engine: Box<dyn VectorEngine>, state: Arc<RetrievalState>) -> Self {
        Self(tokio::spawn(engine.keep_up(EngineHost::new(state))))
    }
}

impl Drop for EngineTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

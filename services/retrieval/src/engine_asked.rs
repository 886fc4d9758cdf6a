//! Whether an index outside of this process was asked what it has.

use tokio::sync::watch;

/// Item vectors are in an engine outside of this process, and whether it was asked yet.
pub(crate) struct EngineAsked(watch::Sender<bool>);

impl EngineAsked {
    pub(crate) fn not_yet() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Says that there are vectors, or why there are none is known.
    pub(crate) fn set(&self) {
        self.0.send_replace(true);
    }

    /// Returns when there are vectors to search, or the servers did not let us find out.
    pub(crate) async fn wait(&self) {
        // The sender lives as long as this does.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}

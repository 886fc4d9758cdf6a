//! Reads a user once for a request.

use std::sync::Arc;

use plugrank_bundle::Bundle;
use plugrank_contract::{
    Deadline, HistoryLimits, TimestampMs, UserId, UserRead, UserView, context::TRACE_TARGET,
};
use plugrank_store::Store;
use tracing::Instrument;

/// Reads users as far back as one bundle reads their histories.
pub struct UserReader {
    store: Arc<dyn Store>,
    limits: HistoryLimits,
}

impl UserReader {
    /// A reader of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, limits: HistoryLimits) -> Self {
        Self { store, limits }
    }

    /// A reader of what a bundle reads.
    #[must_use]
    pub fn for_bundle(store: Arc<dyn Store>, bundle: &Bundle) -> Self {
        let lengths = bundle.manifest().history;
        let limits = HistoryLimits { clicks: lengths.clicks, impressions: lengths.impressions };
        Self::new(store, limits)
    }

    /// Entries that are read of a history.
    #[must_use]
    pub fn limits(&self) -> HistoryLimits {
        self.limits
    }

    /// The user as of a moment: the one that is given if it goes back far enough, else read again.
    /// When that fails or takes too long, or a stage before has seen the store fail: an unknown
    /// user, and why.
    pub async fn read(
        &self,
        id: &UserId,
        as_of: TimestampMs,
        given: &UserRead,
        deadline: Deadline,
    ) -> (Arc<UserView>, Option<String>) {
        match given {
            UserRead::Read(view) if view.limits.cover(self.limits) => {
                return (Arc::clone(view), None);
            }
            UserRead::Failed(why) => {
                return (Arc::new(UserView::unknown(id.clone())), Some(why.clone()));
            }
            UserRead::Read(_) | UserRead::NotRead => {}
        }
        let span = tracing::info_span!(target: TRACE_TARGET, "user");
        let read = deadline.limit(self.store.user_view(id, as_of, self.limits));
        let why = match read.instrument(span).await {
            Some(Ok(view)) => return (view, None),
            Some(Err(error)) => format!("user `{id}` could not be read: {error}"),
            None => format!("user `{id}` was not read in time"),
        };
        (Arc::new(UserView::unknown(id.clone())), Some(why))
    }
}

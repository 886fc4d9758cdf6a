//! Why a store could not do it.

/// The store could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or is full. When the connection or the disk failed while a write
    /// was being confirmed, that write may still have happened, and in a store of several servers
    /// a part of it. Every write may be repeated safely, and repeating it completes it.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read: another version wrote it, or it is damaged.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
}

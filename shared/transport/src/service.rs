//! What a caller sees of a service, wherever it runs.

use std::sync::Arc;

use async_trait::async_trait;
use plugrank_contract::{Call, CallError, Context};

/// Answers calls of type `C`.
///
/// The logic of a service implements this as a plain struct, and is tested as one. In front of it
/// stand `Local` (its actor's address and an admission limit) and `Remote` (HTTP to another
/// process), which implement it too, so callers never know which they hold.
#[async_trait]
pub trait Service<C: Call>: Send + Sync + 'static {
    /// Answers one call.
    ///
    /// # Errors
    /// As [`CallError`] says; a deadline in `context` that has passed is `DeadlineExceeded`.
    async fn call(&self, context: Context, call: C) -> Result<C::Reply, CallError>;
}

/// A service as a dependency of another.
pub type Client<C> = Arc<dyn Service<C>>;

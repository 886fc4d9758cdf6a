//! What makes a struct a call.

use serde::{Serialize, de::DeserializeOwned};

/// A request to a service: its reply type and the path it has on the wire.
///
/// The struct itself is both the actor message and, encoded with postcard, the HTTP body.
pub trait Call: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// What the service answers.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// Versioned wire path, e.g. `/rpc/v1/scoring/score`.
    const PATH: &'static str;
    /// Whether a second, identical call does no harm, so that it may be retried or hedged.
    const IDEMPOTENT: bool;
    /// Whether every process of the role has to hear of it, because each keeps something of its
    /// own that it changes. Otherwise any one of them answers.
    const EVERY_REPLICA: bool = false;
    /// What the replies of two processes of the role say together, where every one is asked.
    #[must_use]
    fn merge(_: Self::Reply, other: Self::Reply) -> Self::Reply {
        other
    }
    /// Whether a local service works on it where its caller runs, without a hop. Calls that change
    /// what the service holds go through its actor's mailbox: a caller that hangs up must not leave
    /// half of them done.
    const IN_PLACE: bool = true;
}

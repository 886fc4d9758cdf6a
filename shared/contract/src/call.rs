//! What makes a struct a call.

use serde::{Serialize, de::DeserializeOwned};

/// A request to a service: its reply type and the path it has on the wire.
///
/// The struct itself is both the actor message and, encoded with postcard, the HTTP body.
///
/// ```
/// use plugrank_contract::{Call, scoring::Score};
/// use serde::{Deserialize, Serialize};
///
/// /// How many items a process knows.
/// #[derive(Clone, Serialize, Deserialize)]
/// struct CountItems {}
///
/// impl Call for CountItems {
///     type Reply = u64;
///     const PATH: &'static str = "/rpc/v1/items/count";
///     const IDEMPOTENT: bool = true;
///     // Every process is asked, and the largest count is what they say together.
///     const EVERY_REPLICA: bool = true;
///     fn merge(one: u64, other: u64) -> u64 {
///         one.max(other)
///     }
/// }
///
/// assert_eq!(CountItems::merge(7, 9), 9);
/// assert!(!Score::EVERY_REPLICA, "any process of the scoring role answers");
/// ```
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

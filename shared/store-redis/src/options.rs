//! How a Redis store connects and how long it remembers.

use std::time::Duration;

use crate::RedisAccess;

/// How a Redis store connects and how long it remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisOptions {
    /// Stands before every key: stores of different namespaces share a server without meeting.
    pub namespace: String,
    /// Credentials for the servers, and the certificate that is trusted.
    pub access: RedisAccess,
    /// Connections at most; in a cluster, each to every node. Calls beyond wait for one, within their time.
    pub connections: usize,
    /// Time to open a connection.
    pub connect_timeout: Duration,
    /// Time for one exchange with the server, waiting for a connection included. Bulk writes take
    /// several exchanges.
    pub call_timeout: Duration,
    /// Replicas that must have a write before it is confirmed (`WAIT`). 0: the master alone
    /// confirms, and what it had no time to pass on is lost when it dies.
    pub replicas: usize,
    /// About how many changes of items are kept for those who follow them; one that falls further
    /// behind reads the whole catalog again. Written with the next change.
    pub changes_kept: u64,
    /// How long what a user did and saw is kept after the last of it, at least one second: the servers
    /// forget it by themselves then. [`forget_older`](plugrank_store::Store::forget_older) does so event
    /// by event.
    pub event_memory: Duration,
    /// After how long an event counts half for its item's popularity.
    pub popularity_half_life: Duration,
    /// How long cached vectors stay after they were written. At least one second.
    pub vector_memory: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            namespace: "plugrank".into(),
            access: RedisAccess::default(),
            connections: 16,
            connect_timeout: Duration::from_secs(1),
            call_timeout: Duration::from_secs(2),
            replicas: 0,
            changes_kept: 1_000_000,
            event_memory: 90 * DAY,
            popularity_half_life: 30 * DAY,
            vector_memory: 7 * DAY,
        }
    }
}

//! What a store on Redis keeps: section `[store.redis_data]`.

use std::time::Duration;

use garde::Validate;
use plugrank_settings::rules;
use plugrank_store::{DEFAULT_HALF_LIFE, Retention};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the store keeps on Redis servers, under which keys, and how safely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct RedisOptions {
    /// What every key in Redis begins with, so that several shops share servers: letters, digits, `-` and `_`.
    /// Another namespace is another, empty store.
    #[garde(custom(key_namespace))]
    pub namespace: String,
    /// Replicas that must have a write before it is confirmed (`WAIT`), so that none is lost when a master
    /// dies; 0: the master alone confirms.
    #[garde(range(min = 0, max = 100))]
    pub replicas: usize,
    /// About how many changes of items the servers keep for processes that follow them; one that is
    /// further behind reads the whole catalog again.
    #[garde(range(min = 1000, max = 1_000_000_000))]
    pub changes_kept: u64,
    /// How long cached vectors are kept after they were written; then they are encoded again. In hours.
    #[garde(range(min = 1, max = 87_600))]
    pub vector_hours: u64,
    /// How long what a user did and saw is kept after the last of it, at least one second: the servers
    /// forget it by themselves then. [`forget_older`](plugrank_store::Store::forget_older) does so event
    /// by event. Set beside the stores.
    #[serde(skip)]
    #[garde(skip)]
    pub event_memory: Duration,
    /// After how long an event counts half for its item's popularity: the same for every store, and set
    /// beside them.
    #[serde(skip)]
    #[garde(skip)]
    pub popularity_half_life: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            namespace: "plugrank".into(),
            replicas: 0,
            changes_kept: 1_000_000,
            vector_hours: 168,
            event_memory: Retention::default().longest_log(),
            popularity_half_life: DEFAULT_HALF_LIFE,
        }
    }
}

impl RedisOptions {
    /// How long cached vectors stay after they were written.
    pub(crate) const fn vector_memory(&self) -> Duration {
        Duration::from_secs(self.vector_hours * 60 * 60)
    }
}

fn key_namespace(name: &str, _: &()) -> garde::Result {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(plain);
    rules::holds(fits, || "1 to 64 letters, digits, `-` and `_`".to_owned())
}

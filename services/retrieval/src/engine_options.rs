//! Where item vectors are searched: section `[retrieval.engine]` of the settings.

use garde::Validate;
use plugrank_settings::{RedisConnection, RedisUse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where item vectors are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// In an index of each process.
    Embedded,
    /// In vector sets on servers of Redis 8.0 or later that all processes share (docs/scaling.md).
    Redis,
}

/// Where item vectors are searched, and how a shared engine is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct EngineOptions {
    /// Where item vectors are searched.
    #[garde(skip)]
    pub kind: EngineKind,
    /// The servers, when kind is "redis".
    #[garde(dive(&RedisUse { used: self.kind == EngineKind::Redis, anywhere: false }))]
    pub redis: RedisConnection,
    /// Vector sets that the vectors are spread over: at least one for each master of a cluster.
    #[garde(range(min = 1, max = 256))]
    pub shards: usize,
    /// Whether elements are kept as 8-bit integers: a quarter of the memory, a little less exact.
    #[garde(skip)]
    pub int8: bool,
    /// Whether a search compares every vector: exact, for small catalogs and for comparison.
    #[garde(skip)]
    pub exact: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            kind: EngineKind::Embedded,
            redis: RedisConnection::default(),
            shards: 1,
            int8: false,
            exact: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::EngineOptions;

    fn read(variables: &[(&str, &str)]) -> Result<EngineOptions, String> {
        let named =
            |(name, value): &(&str, &str)| (format!("PLUGRANK__{name}"), (*value).to_owned());
        let variables: HashMap<_, _> = variables.iter().map(named).collect();
        plugrank_settings::from_sources(None, variables).map_err(|error| error.to_string())
    }

    #[test]
    fn contradictory_settings_are_named() {
        const REDIS: (&str, &str) = ("KIND", "redis");
        const URL: (&str, &str) = ("REDIS__URL", "redis://u:s3cret@a:6379");
        const CLUSTER: (&str, &str) = ("REDIS__CLUSTER_URLS", "redis://a:1, redis://b:1");
        for one in [URL, CLUSTER] {
            let settings = read(&[REDIS, one]).unwrap();
            assert!(!serde_json::to_string(&settings).unwrap().contains("s3cret"));
        }
        for (variables, key) in [
            (&[REDIS][..], "redis.url"),
            (&[REDIS, URL, CLUSTER], "redis.cluster_urls"),
            (&[REDIS, ("REDIS__SENTINEL_URLS", "redis://a:1")], "redis.sentinel_urls"),
            (&[("REDIS__URL", "http://s3cret@a")], "redis.url"),
            (&[REDIS, URL, ("SHARDS", "257")], "shards"),
            (&[REDIS, URL, ("REDIS__USERNAME", "app")], "redis.username"),
        ] {
            let error = read(variables).unwrap_err();
            assert!(error.contains(key) && !error.contains("s3cret"), "{key}: {error}");
        }
    }
}

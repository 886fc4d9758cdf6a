//! Where item vectors are searched: section `[retrieval.engine]` of the settings.

use std::path::PathBuf;

use garde::Validate;
use plugrank_settings::{as_stars, list, rules::holds, without_password, without_passwords};
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
    /// When kind is "redis", one of two. The one server; rediss:// for TLS.
    #[serde(serialize_with = "without_password")]
    #[garde(custom(tcp_url), custom(self.one_way("redis_url")))]
    #[schemars(example = &"redis://127.0.0.1:6379/0", extend("writeOnly" = true))]
    pub redis_url: Option<String>,
    /// Or nodes of a Redis Cluster, from which the others are learned.
    #[serde(deserialize_with = "list::texts", serialize_with = "without_passwords")]
    #[garde(custom(tcp_urls), custom(self.one_way("redis_cluster_urls")))]
    #[schemars(
        example = ["redis://vectors-0:6379", "redis://vectors-1:6379"],
        extend("writeOnly" = true)
    )]
    pub redis_cluster_urls: Vec<String>,
    /// ACL user at these servers, in place of the one in an address.
    #[garde(custom(with_password(&self.redis_password)))]
    #[schemars(example = &"plugrank")]
    pub redis_username: Option<String>,
    /// Its password; better set as PLUGRANK__RETRIEVAL__ENGINE__REDIS_PASSWORD.
    #[serde(serialize_with = "as_stars")]
    #[garde(skip)]
    #[schemars(example = &"secret", extend("writeOnly" = true))]
    pub redis_password: Option<String>,
    /// File of certificates (PEM) to trust for rediss://, in place of the system's.
    #[garde(skip)]
    #[schemars(example = &"/etc/plugrank/redis-ca.pem")]
    pub redis_ca_file: Option<PathBuf>,
    /// Connections kept, at most; in a cluster, to each node.
    #[garde(range(min = 1, max = 10_000))]
    pub redis_pool: usize,
    /// Maximum wait for a connection or answer, in milliseconds. A request's own time cuts it sooner.
    #[garde(range(min = 1, max = 60_000))]
    pub timeout_ms: u64,
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
            redis_url: None,
            redis_cluster_urls: Vec::new(),
            redis_username: None,
            redis_password: None,
            redis_ca_file: None,
            redis_pool: 16,
            timeout_ms: 1000,
            shards: 1,
            int8: false,
            exact: false,
        }
    }
}

impl EngineOptions {
    /// Of the two ways to Redis exactly one is given when that is the engine.
    fn one_way<T>(&self, key: &str) -> impl FnOnce(&T, &()) -> garde::Result {
        let wrong = match (self.redis_url.is_some(), !self.redis_cluster_urls.is_empty()) {
            (false, false) => key == "redis_url",
            (true, true) => key == "redis_cluster_urls",
            _ => false,
        };
        let wrong = wrong && self.kind == EngineKind::Redis;
        move |_, ()| {
            holds(!wrong, || {
                "the only one of redis_url and redis_cluster_urls when retrieval.engine.kind is redis"
                    .to_owned()
            })
        }
    }
}

fn with_password(password: &Option<String>) -> impl FnOnce(&Option<String>, &()) -> garde::Result {
    move |username, ()| {
        holds(password.is_some() || username.is_none(), || {
            "given with redis_password, or in the address".to_owned()
        })
    }
}

fn tcp(url: &str) -> bool {
    url.starts_with("redis://") || url.starts_with("rediss://")
}

fn tcp_url(url: &Option<String>, _: &()) -> garde::Result {
    holds(url.as_deref().is_none_or(tcp), || {
        "an address such as redis://127.0.0.1:6379/0, rediss:// for TLS".to_owned()
    })
}

fn tcp_urls(urls: &[String], _: &()) -> garde::Result {
    holds(urls.iter().all(|url| tcp(url)), || {
        "addresses such as redis://host:6379 or rediss://host:6379".to_owned()
    })
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
    fn what_does_not_go_together_is_named() {
        const REDIS: (&str, &str) = ("KIND", "redis");
        const URL: (&str, &str) = ("REDIS_URL", "redis://u:s3cret@a:6379");
        const CLUSTER: (&str, &str) = ("REDIS_CLUSTER_URLS", "redis://a:1, redis://b:1");
        for one in [URL, CLUSTER] {
            let settings = read(&[REDIS, one]).unwrap();
            assert!(!serde_json::to_string(&settings).unwrap().contains("s3cret"));
        }
        for (variables, key) in [
            (&[REDIS][..], "redis_url"),
            (&[REDIS, URL, CLUSTER], "redis_cluster_urls"),
            (&[("REDIS_URL", "http://s3cret@a")], "redis_url"),
            (&[REDIS, URL, ("SHARDS", "257")], "shards"),
            (&[("REDIS_USERNAME", "app")], "redis_username"),
        ] {
            let error = read(variables).unwrap_err();
            assert!(error.contains(key) && !error.contains("s3cret"), "{key}: {error}");
        }
    }
}

//! Which store there is and how it is opened or reached: section `[store]`.

use std::path::PathBuf;

use garde::Validate;
use plugrank_settings::{RedisConnection, RedisUse, rules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// A file, no server beside it.
    Embedded,
    /// Redis servers, shared by processes.
    Redis,
}

/// Where items, users, histories, events and vectors are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct StoreOptions {
    /// Which store.
    #[garde(skip)]
    pub kind: StoreKind,
    /// The embedded store's file; its folder is made when missing.
    #[garde(custom(rules::path))]
    pub path: PathBuf,
    /// Memory for pages of the embedded store's file, in MiB.
    #[garde(range(min = 1, max = 1_048_576))]
    pub page_cache_mb: usize,
    /// Memory for users' profiles and histories read from the embedded store, in MiB.
    #[garde(range(min = 0, max = 1_048_576))]
    pub user_cache_mb: usize,
    /// Whether opening the embedded store reads all of it and verifies every checksum, also where it was
    /// closed cleanly; after an unclean end that is done in any case.
    #[garde(skip)]
    pub verify_on_open: bool,
    /// Replicas that must have a write before it is confirmed, so that none is lost when a master dies;
    /// 0: the master alone confirms.
    #[garde(range(min = 0, max = 100))]
    pub redis_replicas: usize,
    /// Changes of items that the servers keep for those that follow them, about; whoever falls further
    /// behind reads the whole catalog again.
    #[garde(range(min = 1000, max = 1_000_000_000))]
    pub redis_changes: u64,
    /// How long an event is kept and its repeat known: a repeat that comes later counts again, and a
    /// click finds its impression no longer. In hours.
    #[garde(range(min = 1, max = 87_600))]
    pub redis_event_hours: u64,
    /// How long cached vectors are kept after they were written; then they are encoded again. In hours.
    #[garde(range(min = 1, max = 87_600))]
    pub redis_vector_hours: u64,
    /// What every key in Redis begins with, so that several shops share servers: letters, digits, `-` and `_`.
    /// Another namespace is another, empty store.
    #[garde(custom(namespace))]
    pub redis_namespace: String,
    /// The servers, when kind is "redis" (docs/redis.md).
    #[garde(dive(&RedisUse { used: self.kind == StoreKind::Redis, anywhere: true }))]
    pub redis: RedisConnection,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            kind: StoreKind::Embedded,
            path: "data/plugrank.redb".into(),
            page_cache_mb: 256,
            user_cache_mb: 128,
            verify_on_open: false,
            redis_replicas: 0,
            redis_changes: 1_000_000,
            redis_event_hours: 720,
            redis_vector_hours: 168,
            redis_namespace: "plugrank".to_owned(),
            redis: RedisConnection::default(),
        }
    }
}

fn namespace(name: &str, _: &()) -> garde::Result {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(plain);
    rules::holds(fits, || "1 to 64 letters, digits, `-` and `_`".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<StoreOptions, String> {
        let named =
            |(name, value): &(&str, &str)| (format!("PLUGRANK__{name}"), (*value).to_owned());
        let variables: HashMap<_, _> = variables.iter().map(named).collect();
        plugrank_settings::from_sources(None, variables).map_err(|error| error.to_string())
    }

    #[test]
    fn a_password_is_not_written() {
        let store = read(&[
            ("REDIS__URL", "redis://app:s3cret@host:6379/0"),
            ("REDIS__CLUSTER_URLS", "redis://app:s3cret@a:6379, rediss://:s3cret@b:6379"),
            ("REDIS__USERNAME", "app"),
            ("REDIS__PASSWORD", "s3cret"),
        ])
        .unwrap();
        let written = toml::to_string(&store).unwrap();
        assert!(written.contains("redis://app:***@host:6379/0"), "{written}");
        assert!(written.contains("rediss://:***@b:6379"), "{written}");
        assert!(!written.contains("s3cret"));
    }

    #[test]
    fn each_way_to_redis_is_possible() {
        for ways in [
            &[("REDIS__URL", "rediss://host:6379"), ("REDIS__CA_FILE", "/ca.pem")][..],
            &[("REDIS__CLUSTER_URLS", "redis://a:6379,redis://b:6379")],
            &[("REDIS__SENTINEL_URLS", "redis://a:26379"), ("REDIS__SENTINEL_MASTER", "main")],
        ] {
            let store = read(&[&[("KIND", "redis")], ways].concat()).unwrap();
            assert_eq!(store.kind, StoreKind::Redis);
        }
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        const URL: (&str, &str) = ("REDIS__URL", "redis://u:s3cret@a:6379");
        const CLUSTER: (&str, &str) = ("REDIS__CLUSTER_URLS", "redis://u:s3cret@a:6379");
        const SENTINEL: (&str, &str) = ("REDIS__SENTINEL_URLS", "redis://u:s3cret@a:26379");
        const NAME: (&str, &str) = ("REDIS__SENTINEL_MASTER", "main");
        for (variables, key) in [
            (&[][..], "redis.url"),
            (&[URL, CLUSTER], "redis.cluster_urls"),
            (&[CLUSTER, SENTINEL, NAME], "redis.sentinel_urls"),
            (&[SENTINEL], "redis.sentinel_master"),
            (&[URL, NAME], "redis.sentinel_master"),
            (&[URL, ("REDIS__CA_FILE", "/ca.pem")], "redis.ca_file"),
            (&[URL, ("REDIS__USERNAME", "app")], "redis.username"),
            (&[("REDIS__CLUSTER_URLS", "unix:/s3cret")], "redis.cluster_urls"),
            (&[("REDIS__URL", "http://s3cret@a")], "redis.url"),
        ] {
            let error = read(&[&[("KIND", "redis")], variables].concat()).unwrap_err();
            assert!(error.contains(key) && !error.contains("s3cret"), "{key}: {error}");
        }
    }
}

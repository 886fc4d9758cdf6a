//! Section `[store]`.

use std::path::PathBuf;

use garde::Validate;
use plugrank_settings::{
    as_stars, list,
    rules::{self, holds},
    without_password, without_passwords,
};
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
pub struct StoreSettings {
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
    /// Whether opening the embedded store reads all of it and verifies every checksum.
    #[garde(skip)]
    pub verify_on_open: bool,
    /// When kind is "redis", one of three (docs/redis.md). The one Redis server; rediss:// for TLS.
    #[serde(serialize_with = "without_password")]
    #[garde(custom(tcp_or_unix_url), custom(self.one_way("redis_url")))]
    #[schemars(example = &"redis://127.0.0.1:6379/0", extend("writeOnly" = true))]
    pub redis_url: Option<String>,
    /// Or nodes of a Redis Cluster, from which the others are learned.
    #[serde(deserialize_with = "list::texts", serialize_with = "without_passwords")]
    #[garde(custom(tcp_urls), custom(self.one_way("redis_cluster_urls")))]
    #[schemars(
        example = ["redis://redis-0:6379", "redis://redis-1:6379"],
        extend("writeOnly" = true)
    )]
    pub redis_cluster_urls: Vec<String>,
    /// Or Redis Sentinels.
    #[serde(deserialize_with = "list::texts", serialize_with = "without_passwords")]
    #[garde(custom(tcp_urls), custom(self.one_way("redis_sentinel_urls")))]
    #[schemars(
        example = ["redis://sentinel-0:26379", "redis://sentinel-1:26379"],
        extend("writeOnly" = true)
    )]
    pub redis_sentinel_urls: Vec<String>,
    /// The name by which the Sentinels know the master.
    #[garde(custom(self.master_with_sentinels()))]
    #[schemars(example = &"plugrank")]
    pub redis_sentinel_master: Option<String>,
    /// ACL user at the Redis servers, in place of the one in an address.
    #[garde(custom(self.user_with_password()))]
    #[schemars(example = &"plugrank")]
    pub redis_username: Option<String>,
    /// Its password; better set as PLUGRANK__STORE__REDIS_PASSWORD.
    #[serde(serialize_with = "as_stars")]
    #[garde(skip)]
    #[schemars(example = &"secret", extend("writeOnly" = true))]
    pub redis_password: Option<String>,
    /// File of certificates (PEM) to trust for rediss://, in place of the system's.
    #[garde(custom(self.certificates_with_tls()))]
    #[schemars(example = &"/etc/plugrank/redis-ca.pem")]
    pub redis_ca_file: Option<PathBuf>,
    /// Connections kept, at most; in a cluster, to each node.
    #[garde(range(min = 1, max = 10_000))]
    pub redis_pool: usize,
    /// Maximum wait for a Redis connection or answer, in milliseconds.
    #[garde(range(min = 1, max = 60_000))]
    pub redis_timeout_ms: u64,
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
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            kind: StoreKind::Embedded,
            path: "data/plugrank.redb".into(),
            page_cache_mb: 256,
            user_cache_mb: 128,
            verify_on_open: false,
            redis_url: None,
            redis_cluster_urls: Vec::new(),
            redis_sentinel_urls: Vec::new(),
            redis_sentinel_master: None,
            redis_username: None,
            redis_password: None,
            redis_ca_file: None,
            redis_pool: 16,
            redis_timeout_ms: 1000,
            redis_replicas: 0,
            redis_changes: 1_000_000,
            redis_event_hours: 720,
            redis_vector_hours: 168,
        }
    }
}

impl StoreSettings {
    /// Of the three ways to Redis exactly one is given when that is the store.
    fn one_way<T>(&self, key: &str) -> impl FnOnce(&T, &()) -> garde::Result {
        let given = [
            ("redis_url", self.redis_url.is_some()),
            ("redis_cluster_urls", !self.redis_cluster_urls.is_empty()),
            ("redis_sentinel_urls", !self.redis_sentinel_urls.is_empty()),
        ];
        let mut given = given.iter().filter(|(_, given)| *given).map(|(key, _)| *key);
        let wrong = match (given.next(), given.next()) {
            (None, _) => Some("redis_url"),
            (Some(_), second) => second,
        };
        let wrong = self.kind == StoreKind::Redis && wrong == Some(key);
        move |_, ()| {
            holds(!wrong, || {
                "the only one of redis_url, redis_cluster_urls and redis_sentinel_urls when store.kind \
                 is redis"
                    .to_owned()
            })
        }
    }

    fn master_with_sentinels(&self) -> impl FnOnce(&Option<String>, &()) -> garde::Result {
        let redis = self.kind == StoreKind::Redis;
        let sentinels = !self.redis_sentinel_urls.is_empty();
        move |master, ()| {
            let named = master.as_deref().is_some_and(|name| !name.is_empty());
            holds(!redis || sentinels == named, || {
                "the master's name with redis_sentinel_urls, absent without".to_owned()
            })
        }
    }

    fn user_with_password(&self) -> impl FnOnce(&Option<String>, &()) -> garde::Result {
        let redis = self.kind == StoreKind::Redis;
        move |username, ()| {
            if redis { with_password(&self.redis_password)(username, &()) } else { Ok(()) }
        }
    }

    fn certificates_with_tls(&self) -> impl FnOnce(&Option<PathBuf>, &()) -> garde::Result {
        let redis = self.kind == StoreKind::Redis;
        let urls = self.redis_url.iter().chain(&self.redis_cluster_urls);
        let tls = urls.chain(&self.redis_sentinel_urls).any(|url| url.starts_with("rediss://"));
        move |file, ()| {
            holds(!redis || tls || file.is_none(), || {
                "absent, or the address one of rediss://".to_owned()
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

fn tcp_or_unix_url(url: &Option<String>, _: &()) -> garde::Result {
    match url.as_deref() {
        Some(url) if url.starts_with("unix:") => Ok(()),
        _ => tcp_url(url, &()),
    }
}

fn tcp_urls(urls: &[String], _: &()) -> garde::Result {
    holds(urls.iter().all(|url| tcp(url)), || {
        "addresses such as redis://host:6379 or rediss://host:6379".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<StoreSettings, String> {
        let named =
            |(name, value): &(&str, &str)| (format!("PLUGRANK__{name}"), (*value).to_owned());
        let variables: HashMap<_, _> = variables.iter().map(named).collect();
        plugrank_settings::from_sources(None, variables).map_err(|error| error.to_string())
    }

    #[test]
    fn a_password_is_not_written() {
        let store = read(&[
            ("REDIS_URL", "redis://app:s3cret@host:6379/0"),
            ("REDIS_CLUSTER_URLS", "redis://app:s3cret@a:6379, rediss://:s3cret@b:6379"),
            ("REDIS_USERNAME", "app"),
            ("REDIS_PASSWORD", "s3cret"),
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
            &[("REDIS_URL", "rediss://host:6379"), ("REDIS_CA_FILE", "/ca.pem")][..],
            &[("REDIS_CLUSTER_URLS", "redis://a:6379,redis://b:6379")],
            &[("REDIS_SENTINEL_URLS", "redis://a:26379"), ("REDIS_SENTINEL_MASTER", "main")],
        ] {
            let store = read(&[&[("KIND", "redis")], ways].concat()).unwrap();
            assert_eq!(store.kind, StoreKind::Redis);
        }
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        const URL: (&str, &str) = ("REDIS_URL", "redis://u:s3cret@a:6379");
        const CLUSTER: (&str, &str) = ("REDIS_CLUSTER_URLS", "redis://u:s3cret@a:6379");
        const SENTINEL: (&str, &str) = ("REDIS_SENTINEL_URLS", "redis://u:s3cret@a:26379");
        const NAME: (&str, &str) = ("REDIS_SENTINEL_MASTER", "main");
        for (variables, key) in [
            (&[][..], "redis_url"),
            (&[URL, CLUSTER], "redis_cluster_urls"),
            (&[CLUSTER, SENTINEL, NAME], "redis_sentinel_urls"),
            (&[SENTINEL], "redis_sentinel_master"),
            (&[URL, NAME], "redis_sentinel_master"),
            (&[URL, ("REDIS_CA_FILE", "/ca.pem")], "redis_ca_file"),
            (&[URL, ("REDIS_USERNAME", "app")], "redis_username"),
            (&[("REDIS_CLUSTER_URLS", "unix:/s3cret")], "redis_cluster_urls"),
            (&[("REDIS_URL", "http://s3cret@a")], "redis_url"),
        ] {
            let error = read(&[&[("KIND", "redis")], variables].concat()).unwrap_err();
            assert!(error.contains(key) && !error.contains("s3cret"), "{key}: {error}");
        }
    }
}

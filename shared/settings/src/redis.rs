//! How Redis servers are reached: one type for every section that has some.

use std::{path::PathBuf, time::Duration};

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{as_stars, list, rules::holds, without_password, without_passwords};

/// How Redis servers are reached, at one address, at several of a cluster, or through Sentinels.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(context(RedisUse))]
pub struct RedisConnection {
    /// Address of a single server, rediss:// for TLS. Set one of url, cluster_urls and
    /// sentinel_urls.
    #[serde(serialize_with = "without_password")]
    #[garde(custom(address), custom(self.only_way("url")))]
    #[schemars(example = &"redis://127.0.0.1:6379/0", extend("writeOnly" = true))]
    pub url: Option<String>,
    /// Nodes of a Redis Cluster, from which the others are discovered.
    #[serde(deserialize_with = "list::texts", serialize_with = "without_passwords")]
    #[garde(custom(addresses), custom(self.only_way("cluster_urls")))]
    #[schemars(extend("examples" = [["redis://redis-0:6379", "redis://redis-1:6379"]], "writeOnly" = true))]
    pub cluster_urls: Vec<String>,
    /// Addresses of Redis Sentinels; not supported by a vector engine.
    #[serde(deserialize_with = "list::texts", serialize_with = "without_passwords")]
    #[garde(custom(addresses), custom(sentinels), custom(self.only_way("sentinel_urls")))]
    #[schemars(extend("examples" = [["redis://sentinel-0:26379", "redis://sentinel-1:26379"]], "writeOnly" = true))]
    pub sentinel_urls: Vec<String>,
    /// The name by which the Sentinels know the master.
    #[garde(custom(self.with_sentinels()))]
    #[schemars(example = &"plugrank")]
    pub sentinel_master: Option<String>,
    /// ACL user at the servers, in place of the one in an address.
    #[garde(custom(self.with_password()))]
    #[schemars(example = &"plugrank")]
    pub username: Option<String>,
    /// Its password; better set in the environment.
    #[serde(serialize_with = "as_stars")]
    #[garde(skip)]
    #[schemars(example = &"secret", extend("writeOnly" = true))]
    pub password: Option<String>,
    /// File of certificates (PEM) to trust for rediss://, in place of the system's.
    #[garde(custom(self.with_tls()))]
    #[schemars(example = &"/etc/plugrank/redis-ca.pem")]
    pub ca_file: Option<PathBuf>,
    /// Connections kept, at most; in a cluster, to each node.
    #[garde(range(min = 1, max = 10_000))]
    pub pool: usize,
    /// Maximum wait for a connection or answer, in milliseconds; a request's own deadline ends it
    /// earlier.
    #[garde(range(min = 1, max = 60_000))]
    pub timeout_ms: u64,
}

/// What a section has its servers for.
#[derive(Clone, Copy, Debug)]
pub struct RedisUse {
    /// Whether they are used at all: then one way to them is given.
    pub used: bool,
    /// Whether Sentinels and sockets of this machine will do.
    pub anywhere: bool,
}

impl Default for RedisConnection {
    fn default() -> Self {
        Self {
            url: None,
            cluster_urls: Vec::new(),
            sentinel_urls: Vec::new(),
            sentinel_master: None,
            username: None,
            password: None,
            ca_file: None,
            pool: 16,
            timeout_ms: 1000,
        }
    }
}

// Without passwords.
impl std::fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = toml::to_string(self).map_err(|_| std::fmt::Error)?;
        f.debug_tuple("RedisConnection").field(&text).finish()
    }
}

impl RedisConnection {
    /// To one server.
    #[must_use]
    pub fn single(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::default() }
    }

    /// To a Redis Cluster, by some of its nodes.
    #[must_use]
    pub fn cluster(urls: Vec<String>) -> Self {
        Self { cluster_urls: urls, ..Self::default() }
    }

    /// To the master that Sentinels watch.
    #[must_use]
    pub fn sentinel(urls: Vec<String>, master: impl Into<String>) -> Self {
        Self { sentinel_urls: urls, sentinel_master: Some(master.into()), ..Self::default() }
    }

    /// Time for opening a connection, and for one exchange, waiting for a connection included. Bulk writes
    /// take several exchanges.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Of the ways to the servers exactly one is given.
    fn only_way<T>(&self, key: &'static str) -> impl FnOnce(&T, &RedisUse) -> garde::Result {
        let given = [
            ("url", self.url.is_some()),
            ("cluster_urls", !self.cluster_urls.is_empty()),
            ("sentinel_urls", !self.sentinel_urls.is_empty()),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key);
        let wrong = match (given.next(), given.next()) {
            (None, _) => Some("url"),
            (Some(_), second) => second,
        };
        move |_, use_| {
            holds(!use_.used || wrong != Some(key), || {
                "the only one of url, cluster_urls and sentinel_urls when kind is redis".to_owned()
            })
        }
    }

    fn with_sentinels(&self) -> impl FnOnce(&Option<String>, &RedisUse) -> garde::Result {
        let sentinels = !self.sentinel_urls.is_empty();
        move |master, use_| {
            let named = master.as_deref().is_some_and(|name| !name.is_empty());
            holds(!use_.used || sentinels == named, || {
                "the master's name with sentinel_urls, absent without".to_owned()
            })
        }
    }

    fn with_password(&self) -> impl FnOnce(&Option<String>, &RedisUse) -> garde::Result {
        let password = self.password.is_some();
        move |username, use_| {
            holds(!use_.used || password || username.is_none(), || {
                "given with password, or in the address".to_owned()
            })
        }
    }

    fn with_tls(&self) -> impl FnOnce(&Option<PathBuf>, &RedisUse) -> garde::Result {
        let urls = self.url.iter().chain(&self.cluster_urls).chain(&self.sentinel_urls);
        let tls = urls.into_iter().any(|url| url.starts_with("rediss://"));
        move |file, use_| {
            holds(!use_.used || tls || file.is_none(), || {
                "absent, or the address one of rediss://".to_owned()
            })
        }
    }
}

fn tcp(url: &str) -> bool {
    url.starts_with("redis://") || url.starts_with("rediss://")
}

fn address(url: &Option<String>, use_: &RedisUse) -> garde::Result {
    let known = |url: &str| tcp(url) || use_.anywhere && url.starts_with("unix:");
    holds(url.as_deref().is_none_or(known), || {
        "an address such as redis://127.0.0.1:6379/0, rediss:// for TLS".to_owned()
    })
}

fn addresses(urls: &[String], _: &RedisUse) -> garde::Result {
    holds(urls.iter().all(|url| tcp(url)), || {
        "addresses such as redis://host:6379 or rediss://host:6379".to_owned()
    })
}

fn sentinels(urls: &[String], use_: &RedisUse) -> garde::Result {
    holds(!use_.used || use_.anywhere || urls.is_empty(), || {
        "absent: a vector engine is one server or a cluster".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::RedisConnection;

    #[test]
    fn passwords_are_redacted() {
        let url = "redis://app:s3cret@host:6379/0".to_owned();
        let connection = RedisConnection {
            cluster_urls: vec![url.clone()],
            url: Some(url),
            password: Some("s3cret".to_owned()),
            ..RedisConnection::default()
        };
        let shown = format!("{connection:?}");
        assert!(shown.contains("host:6379") && !shown.contains("s3cret"), "{shown}");
    }
}

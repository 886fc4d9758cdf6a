//! Section `[retrieval.engine]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    check::Checks,
    list,
    store::{as_stars, tcp, without_password, without_passwords},
};

/// Where item vectors are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// In an index of each process.
    Embedded,
    /// In vector sets on Redis servers.
    Redis,
}

/// Where item vectors are searched, and how a shared engine is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// Which.
    pub kind: EngineKind,
    /// Address of the one server. Written without its password.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "without_password")]
    pub redis_url: Option<String>,
    /// Addresses of nodes of a cluster. Written without passwords.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "list::texts",
        serialize_with = "without_passwords"
    )]
    pub redis_cluster_urls: Vec<String>,
    /// ACL user, in place of the one in an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis_username: Option<String>,
    /// Its password. Written as `***`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "as_stars")]
    pub redis_password: Option<String>,
    /// Certificates to trust for `rediss://`, in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis_ca_file: Option<PathBuf>,
    /// Connections kept, at most; in a cluster, to each node.
    pub redis_pool: usize,
    /// Longest wait for a connection or answer.
    pub timeout_ms: u64,
    /// Vector sets that the vectors are spread over.
    pub shards: usize,
    /// Whether elements are kept as 8-bit integers.
    pub int8: bool,
    /// Whether a search compares every vector.
    pub exact: bool,
}

impl EngineSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        const URL: &str = "retrieval.engine.redis_url";
        const URLS: &str = "retrieval.engine.redis_cluster_urls";
        // Addresses may hold a password, so they are not repeated.
        const OTHER: &str = "another kind of address";
        checks.that(
            self.redis_url.as_deref().is_none_or(tcp),
            URL,
            OTHER,
            "an address such as redis://127.0.0.1:6379/0, rediss:// for TLS",
        );
        checks.that(
            self.redis_cluster_urls.iter().all(|url| tcp(url)),
            URLS,
            OTHER,
            "addresses such as redis://host:6379 or rediss://host:6379",
        );
        const ONE: &str = "the only one of redis_url and redis_cluster_urls when retrieval.engine.kind \
                           is redis";
        if self.kind == EngineKind::Redis {
            match (self.redis_url.is_some(), !self.redis_cluster_urls.is_empty()) {
                (false, false) => checks.that(false, URL, "absent", ONE),
                (true, true) => checks.that(false, URLS, "given beside redis_url", ONE),
                _ => {}
            }
        }
        checks.that(
            self.redis_password.is_some() || self.redis_username.is_none(),
            "retrieval.engine.redis_username",
            "given without retrieval.engine.redis_password",
            "given with it, or in the address",
        );
        checks.range("retrieval.engine.redis_pool", self.redis_pool, 1..=10_000);
        checks.range("retrieval.engine.timeout_ms", self.timeout_ms, 1..=60_000);
        checks.range("retrieval.engine.shards", self.shards, 1..=256);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::Settings;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let named = |(name, value): &(&str, &str)| {
            (format!("PLUGRANK__RETRIEVAL__{name}"), (*value).to_owned())
        };
        let variables: HashMap<_, _> = variables.iter().map(named).collect();
        Settings::from_sources(None, variables).map_err(|error| error.to_string())
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        const REDIS: (&str, &str) = ("ENGINE__KIND", "redis");
        const URL: (&str, &str) = ("ENGINE__REDIS_URL", "redis://u:s3cret@a:6379");
        const CLUSTER: (&str, &str) = ("ENGINE__REDIS_CLUSTER_URLS", "redis://a:1, redis://b:1");
        for one in [URL, CLUSTER] {
            let settings = read(&[REDIS, one]).unwrap();
            assert!(!toml::to_string(&settings).unwrap().contains("s3cret"));
        }
        for (variables, key) in [
            (&[REDIS][..], "retrieval.engine.redis_url"),
            (&[REDIS, URL, CLUSTER], "retrieval.engine.redis_cluster_urls"),
            (&[("ENGINE__REDIS_URL", "http://s3cret@a")], "retrieval.engine.redis_url"),
            (&[REDIS, URL, ("ENGINE__SHARDS", "257")], "retrieval.engine.shards"),
            (&[("ENGINE__REDIS_USERNAME", "app")], "retrieval.engine.redis_username"),
            (&[("SNAPSHOT__PATH", "")], "retrieval.snapshot.path"),
            (&[("SNAPSHOT__EVERY_MS", "1")], "retrieval.snapshot.every_ms"),
        ] {
            let error = read(variables).unwrap_err();
            assert!(error.contains(key) && !error.contains("s3cret"), "{key}: {error}");
        }
    }
}

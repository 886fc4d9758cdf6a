//! Section `[store]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use super::{check::Checks, list};

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// A file, no server beside it.
    Embedded,
    /// A Redis server, shared by processes.
    Redis,
}

/// Where items, users, histories, events and vectors are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// Which store.
    pub kind: StoreKind,
    /// The embedded store's file.
    pub path: PathBuf,
    /// Memory for pages of the embedded store's file, in MiB.
    pub page_cache_mb: usize,
    /// Memory for users' profiles and histories read from the embedded store, in MiB.
    pub user_cache_mb: usize,
    /// Whether opening the embedded store verifies all of it.
    pub verify_on_open: bool,
    /// Address of the one Redis server. Written without its password.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "without_password")]
    pub redis_url: Option<String>,
    /// Addresses of nodes of a Redis Cluster. Written without passwords.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "list::texts",
        serialize_with = "without_passwords"
    )]
    pub redis_cluster_urls: Vec<String>,
    /// Addresses of Redis Sentinels. Written without passwords.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "list::texts",
        serialize_with = "without_passwords"
    )]
    pub redis_sentinel_urls: Vec<String>,
    /// The name by which the Sentinels know the master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis_sentinel_master: Option<String>,
    /// ACL user at the Redis servers, in place of the one in an address.
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
    /// Longest wait for a Redis connection or answer.
    pub redis_timeout_ms: u64,
    /// Replicas that confirm a write before it counts as written.
    pub redis_replicas: usize,
    /// Changes of items kept for those that follow them.
    pub redis_changes: u64,
    /// Hours that events, and what tells their repeats, are kept.
    pub redis_event_hours: u64,
    /// Hours that cached vectors are kept.
    pub redis_vector_hours: u64,
}

impl StoreSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.path("store.path", &self.path);
        checks.range("store.page_cache_mb", self.page_cache_mb, 1..=1_048_576);
        checks.range("store.user_cache_mb", self.user_cache_mb, 0..=1_048_576);
        self.check_redis(checks);
        checks.range("store.redis_pool", self.redis_pool, 1..=10_000);
        checks.range("store.redis_timeout_ms", self.redis_timeout_ms, 1..=60_000);
        checks.range("store.redis_replicas", self.redis_replicas, 0..=100);
        checks.range("store.redis_event_hours", self.redis_event_hours, 1..=87_600);
        checks.range("store.redis_vector_hours", self.redis_vector_hours, 1..=87_600);
        checks.range("store.redis_changes", self.redis_changes, 1000..=1_000_000_000);
    }

    fn check_redis(&self, checks: &mut Checks) {
        // Addresses may hold a password, so they are not repeated.
        const OTHER: &str = "another kind of address";
        const SEVERAL: &str = "addresses such as redis://host:6379 or rediss://host:6379";
        let alone = |url: &String| tcp(url) || url.starts_with("unix:");
        checks.that(
            self.redis_url.as_ref().is_none_or(alone),
            "store.redis_url",
            OTHER,
            "an address such as redis://127.0.0.1:6379/0, rediss:// for TLS",
        );
        let all_tcp = |urls: &[String]| urls.iter().all(|url| tcp(url));
        checks.that(all_tcp(&self.redis_cluster_urls), "store.redis_cluster_urls", OTHER, SEVERAL);
        checks.that(
            all_tcp(&self.redis_sentinel_urls),
            "store.redis_sentinel_urls",
            OTHER,
            SEVERAL,
        );
        if self.kind != StoreKind::Redis {
            return;
        }
        let given = [
            (self.redis_url.is_some(), "store.redis_url"),
            (!self.redis_cluster_urls.is_empty(), "store.redis_cluster_urls"),
            (!self.redis_sentinel_urls.is_empty(), "store.redis_sentinel_urls"),
        ];
        let given: Vec<&'static str> =
            given.into_iter().filter(|(is, _)| *is).map(|(_, key)| key).collect();
        const ONE: &str = "the only one of redis_url, redis_cluster_urls and redis_sentinel_urls \
                           when store.kind is redis";
        match given[..] {
            [] => checks.that(false, "store.redis_url", "absent", ONE),
            [_] => {}
            [first, second, ..] => {
                checks.that(false, second, &format!("given beside {first}"), ONE);
            }
        }
        let sentinels = !self.redis_sentinel_urls.is_empty();
        let master = self.redis_sentinel_master.as_deref();
        checks.that(
            sentinels == master.is_some_and(|name| !name.is_empty()),
            "store.redis_sentinel_master",
            master.unwrap_or("absent"),
            "the master's name with redis_sentinel_urls, absent without",
        );
        let urls = self.redis_url.iter().chain(&self.redis_cluster_urls);
        let tls = urls.chain(&self.redis_sentinel_urls).any(|url| url.starts_with("rediss://"));
        checks.that(
            tls || self.redis_ca_file.is_none(),
            "store.redis_ca_file",
            "given",
            "absent, or the address one of rediss://",
        );
        checks.that(
            self.redis_password.is_some() || self.redis_username.is_none(),
            "store.redis_username",
            "given without store.redis_password",
            "given with it, or in the address",
        );
    }
}

pub(super) fn tcp(url: &str) -> bool {
    url.starts_with("redis://") || url.starts_with("rediss://")
}

/// Settings are printed and logged; a password must not be.
fn hidden(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (login, host))) => {
            let user = login.split_once(':').map_or(login, |(user, _)| user);
            format!("{scheme}://{user}:***@{host}")
        }
        None => url.to_owned(),
    }
}

pub(super) fn without_password<S: Serializer>(
    url: &Option<String>,
    to: S,
) -> Result<S::Ok, S::Error> {
    url.as_deref().map(hidden).serialize(to)
}

pub(super) fn without_passwords<S: Serializer>(urls: &[String], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(urls.iter().map(|url| hidden(url)))
}

pub(super) fn as_stars<S: Serializer>(password: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    password.as_ref().map(|_| "***").serialize(to)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::Settings;

    fn read(variables: &[(&str, &str)]) -> Result<StoreSettings, String> {
        let named = |(name, value): &(&str, &str)| {
            (format!("PLUGRANK__STORE__{name}"), (*value).to_owned())
        };
        let variables: HashMap<_, _> = variables.iter().map(named).collect();
        let settings = Settings::from_sources(None, variables);
        settings.map(|all| all.store).map_err(|error| error.to_string())
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
            (&[][..], "store.redis_url"),
            (&[URL, CLUSTER], "store.redis_cluster_urls"),
            (&[CLUSTER, SENTINEL, NAME], "store.redis_sentinel_urls"),
            (&[SENTINEL], "store.redis_sentinel_master"),
            (&[URL, NAME], "store.redis_sentinel_master"),
            (&[URL, ("REDIS_CA_FILE", "/ca.pem")], "store.redis_ca_file"),
            (&[URL, ("REDIS_USERNAME", "app")], "store.redis_username"),
            (&[("REDIS_CLUSTER_URLS", "unix:/s3cret")], "store.redis_cluster_urls"),
            (&[("REDIS_URL", "http://s3cret@a")], "store.redis_url"),
        ] {
            let error = read(&[&[("KIND", "redis")], variables].concat()).unwrap_err();
            assert!(error.contains(key) && !error.contains("s3cret"), "{key}: {error}");
        }
    }
}

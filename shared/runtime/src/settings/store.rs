//! Section `[store]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use super::check::Checks;

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
    /// Memory for items read from the store, in MiB.
    pub item_cache_mb: usize,
    /// Whether opening the embedded store verifies all of it.
    pub verify_on_open: bool,
    /// Address of the Redis server. Written without its password.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "without_password")]
    pub redis_url: Option<String>,
    /// Connections kept to the Redis server.
    pub redis_pool: usize,
    /// Longest wait for a Redis connection or answer.
    pub redis_timeout_ms: u64,
}

impl StoreSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.path("store.path", &self.path);
        checks.range("store.page_cache_mb", self.page_cache_mb, 1..=1_048_576);
        checks.range("store.item_cache_mb", self.item_cache_mb, 0..=1_048_576);
        let url = self.redis_url.as_deref();
        let redis = url.is_some_and(|url| url.starts_with("redis://") || url.starts_with("unix:"));
        let needed = self.kind == StoreKind::Redis || url.is_some();
        // The address may hold a password, so it is not repeated.
        let found = if url.is_some() { "another kind of address" } else { "absent" };
        checks.that(
            redis || !needed,
            "store.redis_url",
            found,
            "an address such as redis://127.0.0.1:6379/0 when store.kind is redis",
        );
        checks.range("store.redis_pool", self.redis_pool, 1..=10_000);
        checks.range("store.redis_timeout_ms", self.redis_timeout_ms, 1..=60_000);
    }
}

/// Settings are printed and logged; a password must not be.
fn without_password<S: Serializer>(url: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    let Some(url) = url else { return to.serialize_none() };
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (login, host))) => {
            let user = login.split_once(':').map_or(login, |(user, _)| user);
            to.serialize_str(&format!("{scheme}://{user}:***@{host}"))
        }
        None => to.serialize_str(url),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::Settings;

    #[test]
    fn a_password_is_not_written() {
        let url = "redis://app:s3cret@host:6379/0".to_owned();
        let variables = HashMap::from([("PLUGRANK__STORE__REDIS_URL".to_owned(), url)]);
        let store = Settings::from_sources(None, variables).unwrap().store;
        let written = toml::to_string(&store).unwrap();
        assert!(written.contains("redis://app:***@host:6379/0"), "{written}");
        assert!(!written.contains("s3cret"));
    }
}

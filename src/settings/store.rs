//! Which store there is and how it is opened or reached: section `[store]`.

use std::{path::PathBuf, time::Duration};

use garde::Validate;
use plugrank_settings::{RedisConnection, RedisUse, rules};
use plugrank_store::Retention;
use plugrank_store_embedded::EmbeddedOptions;
use plugrank_store_redis::RedisOptions;
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
    /// How long an event is kept, in days. A repeat that arrives later counts again, and a click no
    /// longer finds its impression.
    #[garde(range(min = 1, max = 36_500))]
    pub event_days: u64,
    /// How long a served list is kept, in days.
    #[garde(range(min = 1, max = 36_500))]
    pub exposure_days: u64,
    /// How long an entry of a user's history is kept, in days.
    #[garde(range(min = 1, max = 36_500))]
    pub history_days: u64,
    /// After how many days an event counts half for the popularity of its item.
    #[garde(range(min = 0.01, max = 36_500.0), custom(rules::finite))]
    pub popularity_half_life_days: f64,
    /// Memory and checks, when kind is "embedded".
    #[garde(dive)]
    pub embedded: EmbeddedOptions,
    /// The servers, when kind is "redis" (docs/redis.md).
    #[garde(dive(&RedisUse { used: self.kind == StoreKind::Redis, anywhere: true }))]
    pub redis: RedisConnection,
    /// What is kept there, when kind is "redis".
    #[garde(dive)]
    pub redis_data: RedisOptions,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            kind: StoreKind::Embedded,
            path: "data/plugrank.redb".into(),
            event_days: 90,
            exposure_days: 30,
            history_days: 365,
            popularity_half_life_days: 30.0,
            embedded: EmbeddedOptions::default(),
            redis: RedisConnection::default(),
            redis_data: RedisOptions::default(),
        }
    }
}

/// What commands wait for servers at least, for one exchange.
const COMMAND_TIMEOUT_MS: u64 = 30_000;

impl StoreOptions {
    /// How long is kept what users did and saw.
    #[must_use]
    pub const fn retention(&self) -> Retention {
        Retention {
            events: days(self.event_days),
            exposures: days(self.exposure_days),
            history: days(self.history_days),
        }
    }

    /// After how long an event counts half for the popularity of its item.
    pub(crate) fn popularity_half_life(&self) -> Duration {
        days(1).mul_f64(self.popularity_half_life_days)
    }

    /// For commands, on whom no request waits: what they write at a time may take longer than what a request
    /// waits for, as on a busy machine.
    pub(crate) fn patient(&self) -> Self {
        let mut patient = self.clone();
        patient.redis.timeout_ms = patient.redis.timeout_ms.max(COMMAND_TIMEOUT_MS);
        patient
    }

    /// How the embedded store is opened.
    pub(crate) fn embedded(&self) -> EmbeddedOptions {
        let popularity_half_life = self.popularity_half_life();
        EmbeddedOptions { popularity_half_life, ..self.embedded.clone() }
    }

    /// What a store on Redis keeps.
    pub(crate) fn redis_data(&self) -> RedisOptions {
        RedisOptions {
            event_memory: self.retention().longest_log(),
            popularity_half_life: self.popularity_half_life(),
            ..self.redis_data.clone()
        }
    }
}

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
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
    fn passwords_are_not_written() {
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
    fn each_redis_topology_can_be_configured() {
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
    fn contradictory_settings_are_named() {
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

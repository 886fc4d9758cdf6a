//! How services in other processes are called: section `[peers]` of the settings.

use std::{path::PathBuf, time::Duration};

use garde::Validate;
use plugrank_access::RoleToken;
use plugrank_settings::{
    list,
    rules::{between, finite, holds, optional_path, share, web_urls},
    without_passwords,
};
use plugrank_tls::PeerTlsOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the other roles are when they run in other processes, and how they are called. One address
/// each (https:// for TLS), or several, as a list or with commas; a name stands for every address it resolves to (in
/// Kubernetes that of a headless Service).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct PeerOptions {
    /// Addresses of retrieval. Absent: it runs in this process.
    #[serde(deserialize_with = "list::texts", serialize_with = "without_passwords")]
    #[garde(custom(addresses(&self.tls)))]
    #[schemars(example = &"http://retrieval:8081")]
    pub retrieval_url: Vec<String>,
    /// Addresses of embedding. Absent: it runs in this process.
    #[serde(deserialize_with = "list::texts", serialize_with = "without_passwords")]
    #[garde(custom(addresses(&self.tls)))]
    #[schemars(example = &"http://embedding:8082")]
    pub embedding_url: Vec<String>,
    /// Addresses of scoring. Absent: it runs in this process.
    #[serde(deserialize_with = "list::texts", serialize_with = "without_passwords")]
    #[garde(custom(addresses(&self.tls)))]
    #[schemars(example = &"http://10.0.0.3:8083, http://10.0.0.4:8083")]
    pub scoring_url: Vec<String>,
    /// Addresses of re-ranking. Absent: it runs in this process.
    #[serde(deserialize_with = "list::texts", serialize_with = "without_passwords")]
    #[garde(custom(addresses(&self.tls)))]
    #[schemars(example = &"http://reranking:8084")]
    pub reranking_url: Vec<String>,
    /// File with the token that roles show each other: a line each of 32 or more characters, the same
    /// file for all roles. The first is shown, all are taken; read again when it changes. Absent: roles
    /// do not authenticate their callers, which is refused where their port is not on loopback.
    #[garde(custom(optional_path))]
    #[schemars(example = &"/etc/plugrank/role-token")]
    pub token_file: Option<PathBuf>,
    /// TLS between roles.
    #[garde(dive)]
    pub tls: PeerTlsOptions,
    /// How often names are resolved again, in milliseconds. Also when a process fails.
    #[garde(range(min = 500, max = 3_600_000))]
    pub resolve_every_ms: u64,
    /// Maximum wait for a connection, in milliseconds.
    #[garde(range(min = 1, max = 60_000))]
    pub connect_timeout_ms: u64,
    /// Maximum wait for the answer to a call that has no deadline of its own, in milliseconds.
    #[garde(range(min = 1, max = 600_000))]
    pub call_timeout_ms: u64,
    /// Whether a call that is slow to be answered is sent to another process as well, where the call
    /// is idempotent; the first answer counts.
    #[garde(skip)]
    pub hedge: bool,
    /// After how long, in milliseconds. Absent: after what 95 of 100 recent calls of its kind took.
    #[garde(range(min = 1, max = 60_000))]
    #[schemars(example = 20)]
    pub hedge_after_ms: Option<u64>,
    /// Hedged calls and retries, as a share of first calls; 0: none. Ten a second are always
    /// allowed unless it is 0.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    pub extra_calls_share: f64,
    /// Failures in a row after which a process is left out.
    #[garde(range(min = 1, max = 1_000_000))]
    pub eject_after: u32,
    /// Share of failures among its latest 32 calls at which a process is left out.
    #[garde(custom(share))]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub eject_share: f64,
    /// How long it is left out before it is asked for readiness, in milliseconds; doubled each time
    /// it fails again, up to eject_max_ms.
    #[garde(range(min = 1, max = 600_000))]
    pub eject_ms: u64,
    /// How long it is left out at most, in milliseconds, at least eject_ms.
    #[garde(range(min = 1, max = 600_000), custom(between(self.eject_ms, 600_000)))]
    pub eject_max_ms: u64,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self {
            retrieval_url: Vec::new(),
            embedding_url: Vec::new(),
            scoring_url: Vec::new(),
            reranking_url: Vec::new(),
            token_file: None,
            tls: PeerTlsOptions::default(),
            resolve_every_ms: 5_000,
            connect_timeout_ms: 250,
            call_timeout_ms: 10_000,
            hedge: true,
            hedge_after_ms: None,
            extra_calls_share: 0.1,
            eject_after: 5,
            eject_share: 0.5,
            eject_ms: 500,
            eject_max_ms: 2_000,
        }
    }
}

/// Addresses of a role; over TLS where it is known whom to trust.
fn addresses(tls: &PeerTlsOptions) -> impl FnOnce(&[String], &()) -> garde::Result {
    let trusts = tls.ca_file.is_some();
    move |urls, ()| {
        web_urls(urls, &())?;
        holds(trusts || !urls.iter().any(|url| url.starts_with("https://")), || {
            "addresses of http:// while peers.tls.ca_file is absent".to_owned()
        })
    }
}

impl PeerOptions {
    /// Maximum wait for the answer to a call that has no deadline of its own.
    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }

    /// When a second call is sent because the first has not answered. Only calls that do no harm twice
    /// are hedged, and only to another endpoint.
    pub(crate) fn hedge(&self) -> Hedge {
        match (self.hedge, self.hedge_after_ms) {
            (false, _) => Hedge::Off,
            (true, None) => Hedge::RecentP95,
            (true, Some(after)) => Hedge::After(Duration::from_millis(after)),
        }
    }
}

/// When a second call is sent because the first has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hedge {
    Off,
    /// After what 95 of 100 recent calls of the same kind took.
    RecentP95,
    After(Duration),
}

/// A service in other processes.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// Name in logs and errors, e.g. `scoring`.
    pub name: &'static str,
    /// Base addresses, e.g. `http://10.0.0.3:8083` or `http://scoring:8083`. A name stands for all
    /// the addresses it resolves to.
    pub base_urls: Vec<String>,
    /// How it is called. The addresses in it are not read, nor the file of tokens.
    pub peers: PeerOptions,
    /// Shown with each call, where the service asks for it.
    pub token: Option<RoleToken>,
}

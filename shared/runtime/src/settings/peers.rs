//! Section `[peers]`.

use serde::{Deserialize, Serialize};

use super::{check::Checks, list};

/// Where the roles are that run in other processes, and how they are called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSettings {
    /// Addresses of retrieval; in this process when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list::texts")]
    pub retrieval_url: Vec<String>,
    /// Addresses of embedding; in this process when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list::texts")]
    pub embedding_url: Vec<String>,
    /// Addresses of scoring; in this process when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list::texts")]
    pub scoring_url: Vec<String>,
    /// Addresses of re-ranking; in this process when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list::texts")]
    pub reranking_url: Vec<String>,
    /// How often names are resolved again.
    pub resolve_every_ms: u64,
    /// Longest wait for a connection.
    pub connect_timeout_ms: u64,
    /// Longest wait for the answer to a call without a deadline.
    pub call_timeout_ms: u64,
    /// Whether a second call is sent to another process when the first is slow to answer.
    pub hedge: bool,
    /// After how long; by what recent calls took when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge_after_ms: Option<u64>,
    /// Second calls and retries, as a share of first calls.
    pub extra_calls_share: f64,
    /// Failures in a row after which a process is left out.
    pub eject_after: u32,
    /// Share of failures among recent calls at which a process is left out.
    pub eject_share: f64,
    /// How long a process is left out at first.
    pub eject_ms: u64,
    /// How long it is left out at most before it is asked again.
    pub eject_max_ms: u64,
}

impl PeerSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        for (key, urls) in [
            ("peers.retrieval_url", &self.retrieval_url),
            ("peers.embedding_url", &self.embedding_url),
            ("peers.scoring_url", &self.scoring_url),
            ("peers.reranking_url", &self.reranking_url),
        ] {
            urls.iter().for_each(|url| checks.http_url(key, Some(url)));
        }
        checks.range("peers.resolve_every_ms", self.resolve_every_ms, 500..=3_600_000);
        checks.range("peers.connect_timeout_ms", self.connect_timeout_ms, 1..=60_000);
        checks.range("peers.call_timeout_ms", self.call_timeout_ms, 1..=600_000);
        if let Some(after) = self.hedge_after_ms {
            checks.range("peers.hedge_after_ms", after, 1..=60_000);
        }
        checks.range("peers.extra_calls_share", self.extra_calls_share, 0.0..=1.0);
        checks.range("peers.eject_after", self.eject_after, 1..=1_000_000);
        checks.share("peers.eject_share", self.eject_share);
        checks.range("peers.eject_ms", self.eject_ms, 1..=600_000);
        if self.eject_ms > 0 {
            checks.range("peers.eject_max_ms", self.eject_max_ms, self.eject_ms..=600_000);
        }
    }
}

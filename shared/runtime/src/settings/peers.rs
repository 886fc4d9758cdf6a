//! Section `[peers]`.

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// Where the roles are that run in other processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSettings {
    /// Retrieval; in this process when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrieval_url: Option<String>,
    /// Embedding; in this process when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_url: Option<String>,
    /// Scoring; in this process when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoring_url: Option<String>,
    /// Re-ranking; in this process when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reranking_url: Option<String>,
    /// Longest wait for a connection.
    pub connect_timeout_ms: u64,
    /// Longest wait for the answer to a call without a deadline.
    pub call_timeout_ms: u64,
}

impl PeerSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.http_url("peers.retrieval_url", self.retrieval_url.as_deref());
        checks.http_url("peers.embedding_url", self.embedding_url.as_deref());
        checks.http_url("peers.scoring_url", self.scoring_url.as_deref());
        checks.http_url("peers.reranking_url", self.reranking_url.as_deref());
        checks.range("peers.connect_timeout_ms", self.connect_timeout_ms, 1..=60_000);
        checks.range("peers.call_timeout_ms", self.call_timeout_ms, 1..=600_000);
    }
}

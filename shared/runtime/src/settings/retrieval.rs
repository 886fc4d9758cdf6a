//! Section `[retrieval]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{EngineSettings, check::Checks};

/// The retrieval service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrievalSettings {
    /// Candidates handed on to scoring.
    pub limit: u32,
    /// Latest clicks read of a user: what counts as seen, and what the sources go by.
    pub seen_clicks: usize,
    /// Share of the remaining time the sources get.
    pub source_time_share: f64,
    /// Latest clicks whose co-visited items are read.
    pub co_visitation_clicks: usize,
    /// How many of the user's categories are used.
    pub categories: usize,
    /// How often popularity lists are sorted again when something changed.
    pub popular_refresh_ms: u64,
    /// Calls in flight at a time.
    pub max_in_flight: usize,
    /// How much each source contributes.
    pub shares: SourceShareSettings,
    /// The index of item vectors.
    pub ann: AnnSettings,
    /// Where item vectors are searched.
    pub engine: EngineSettings,
    /// What is kept for the next start.
    pub snapshot: SnapshotSettings,
}

/// Share of the limit each source is asked for; 0 turns it off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceShareSettings {
    /// Nearest neighbours of the user's clicks.
    pub ann: f64,
    /// Clicked together with what the user clicked.
    pub co_visitation: f64,
    /// Popular in the user's categories.
    pub category: f64,
    /// Popular overall.
    pub popular: f64,
    /// New in the catalog.
    pub fresh: f64,
}

/// The index of item vectors (HNSW).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnnSettings {
    /// Links a node has in each layer.
    pub connectivity: usize,
    /// Candidates looked at while a vector is added.
    pub expansion_add: usize,
    /// Candidates looked at in a search.
    pub expansion_search: usize,
    /// Latest clicks whose vectors make the mean that is searched for.
    pub mean_clicks: usize,
    /// Latest clicks that are searched for on their own as well.
    pub interests: usize,
    /// Searches at a time, and threads that build the index; one per core when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
}

/// Snapshots of what retrieval holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSettings {
    /// Folder they are kept in; none are made when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// How often one is made, when something changed.
    pub every_ms: u64,
}

impl RetrievalSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        self.engine.check(checks);
        if let Some(path) = &self.snapshot.path {
            checks.path("retrieval.snapshot.path", path);
        }
        checks.range("retrieval.snapshot.every_ms", self.snapshot.every_ms, 1_000..=86_400_000);
        checks.range("retrieval.limit", self.limit, 1..=10_000);
        checks.range("retrieval.seen_clicks", self.seen_clicks, 1..=100_000);
        checks.share("retrieval.source_time_share", self.source_time_share);
        checks.range("retrieval.co_visitation_clicks", self.co_visitation_clicks, 1..=1000);
        checks.range("retrieval.categories", self.categories, 1..=1000);
        checks.range("retrieval.popular_refresh_ms", self.popular_refresh_ms, 1..=3_600_000);
        checks.range("retrieval.max_in_flight", self.max_in_flight, 1..=1_000_000);
        for (key, share) in [
            ("retrieval.shares.ann", self.shares.ann),
            ("retrieval.shares.co_visitation", self.shares.co_visitation),
            ("retrieval.shares.category", self.shares.category),
            ("retrieval.shares.popular", self.shares.popular),
            ("retrieval.shares.fresh", self.shares.fresh),
        ] {
            checks.range(key, share, 0.0..=1.0);
        }
        checks.range("retrieval.ann.connectivity", self.ann.connectivity, 2..=512);
        checks.range("retrieval.ann.expansion_add", self.ann.expansion_add, 1..=100_000);
        checks.range("retrieval.ann.expansion_search", self.ann.expansion_search, 1..=100_000);
        checks.range("retrieval.ann.mean_clicks", self.ann.mean_clicks, 1..=1000);
        checks.range("retrieval.ann.interests", self.ann.interests, 0..=100);
        if let Some(threads) = self.ann.threads {
            checks.range("retrieval.ann.threads", threads, 1..=1024);
        }
    }
}

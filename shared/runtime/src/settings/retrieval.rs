//! Section `[retrieval]`.

use std::path::PathBuf;

use garde::Validate;
use plugrank_settings::rules::{finite, optional_path, share};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EngineSettings;

/// The retrieval service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct RetrievalSettings {
    /// Candidates handed on to scoring.
    #[garde(range(min = 1, max = 10_000))]
    pub limit: u32,
    /// Latest clicks read of a user: what counts as seen, and what the sources go by.
    #[garde(range(min = 1, max = 100_000))]
    pub seen_clicks: usize,
    /// Share of the remaining time the sources get; half of it may go into reading the user's clicks.
    #[garde(custom(share))]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub source_time_share: f64,
    /// Latest clicks whose co-visited items are read.
    #[garde(range(min = 1, max = 1000))]
    pub co_visitation_clicks: usize,
    /// How many of the user's categories are used.
    #[garde(range(min = 1, max = 1000))]
    pub categories: usize,
    /// How often popularity lists are sorted again when something changed, in milliseconds.
    #[garde(range(min = 1, max = 3_600_000))]
    pub popular_refresh_ms: u64,
    /// Calls in flight at a time; one more is answered "overloaded".
    #[garde(range(min = 1, max = 1_000_000))]
    pub max_in_flight: usize,
    /// Share of the limit each source is asked for; 0 turns it off. They need not add up to 1: sources
    /// name the same items, and what is left over is filled from the popular ones.
    #[garde(dive)]
    pub shares: SourceShareSettings,
    /// The index of item vectors (HNSW).
    #[garde(dive)]
    pub ann: AnnSettings,
    /// Where item vectors are searched, and how a shared engine is reached.
    #[garde(dive)]
    pub engine: EngineSettings,
    /// Snapshots of the item table and the index, for the next start.
    #[garde(dive)]
    pub snapshot: SnapshotSettings,
}

impl Default for RetrievalSettings {
    fn default() -> Self {
        Self {
            limit: 300,
            seen_clicks: 1000,
            source_time_share: 0.8,
            co_visitation_clicks: 20,
            categories: 3,
            popular_refresh_ms: 10_000,
            max_in_flight: 1024,
            shares: SourceShareSettings::default(),
            ann: AnnSettings::default(),
            engine: EngineSettings::default(),
            snapshot: SnapshotSettings::default(),
        }
    }
}

/// How much each source contributes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct SourceShareSettings {
    /// Nearest neighbours of the user's clicks.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    pub ann: f64,
    /// Clicked together with what the user clicked.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    pub co_visitation: f64,
    /// Popular in the user's categories.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    pub category: f64,
    /// Popular overall.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    pub popular: f64,
    /// New in the catalog.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    pub fresh: f64,
}

impl Default for SourceShareSettings {
    fn default() -> Self {
        Self { ann: 0.5, co_visitation: 0.3, category: 0.2, popular: 0.2, fresh: 0.1 }
    }
}

/// The index of item vectors (HNSW).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct AnnSettings {
    /// Links a node of the index has in each layer (M of HNSW).
    #[garde(range(min = 2, max = 512))]
    pub connectivity: usize,
    /// Candidates looked at while a vector is added (efConstruction).
    #[garde(range(min = 1, max = 100_000))]
    pub expansion_add: usize,
    /// Candidates looked at in a search (ef).
    #[garde(range(min = 1, max = 100_000))]
    pub expansion_search: usize,
    /// Latest clicks whose vectors make the mean that is searched for.
    #[garde(range(min = 1, max = 1000))]
    pub mean_clicks: usize,
    /// Latest clicks that are searched for on their own as well.
    #[garde(range(min = 0, max = 100))]
    pub interests: usize,
    /// Searches at a time, and threads that build the index. Absent: one per core.
    #[garde(range(min = 1, max = 1024))]
    #[schemars(example = 2)]
    pub threads: Option<usize>,
}

impl Default for AnnSettings {
    fn default() -> Self {
        Self {
            connectivity: 16,
            expansion_add: 128,
            expansion_search: 128,
            mean_clicks: 50,
            interests: 3,
            threads: None,
        }
    }
}

/// Snapshots of what retrieval holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct SnapshotSettings {
    /// Folder in which the item table and the index are kept, so that a process starts in seconds.
    /// Absent: each start reads the whole catalog.
    #[garde(custom(optional_path))]
    #[schemars(example = &"data/retrieval")]
    pub path: Option<PathBuf>,
    /// How often a snapshot is made, when something changed, in milliseconds.
    #[garde(range(min = 1_000, max = 86_400_000))]
    pub every_ms: u64,
}

impl Default for SnapshotSettings {
    fn default() -> Self {
        Self { path: None, every_ms: 600_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::{RetrievalSettings, SnapshotSettings};

    #[test]
    fn impossible_values_are_named() {
        let snapshot = SnapshotSettings { path: Some("".into()), every_ms: 1 };
        let settings = RetrievalSettings { snapshot, ..RetrievalSettings::default() };
        let problems = plugrank_settings::check(&settings).unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|problem| &*problem.key).collect();
        assert_eq!(keys, ["snapshot.every_ms", "snapshot.path"]);
    }
}

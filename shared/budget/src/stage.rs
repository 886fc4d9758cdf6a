//! The stages of a request.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stage of the ranking pipeline, in the order they run.
///
/// ```
/// use plugrank_budget::Stage;
///
/// assert_eq!(Stage::ALL.map(Stage::as_str), ["retrieval", "scoring", "reranking"]);
/// assert!(Stage::Retrieval < Stage::Scoring, "stages are in the order they run");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Candidates from several sources.
    Retrieval,
    /// Vectors, user state and the unified model.
    Scoring,
    /// Diversity, rules, exploration.
    Reranking,
}

impl Stage {
    /// All stages, in the order they run.
    pub const ALL: [Self; 3] = [Self::Retrieval, Self::Scoring, Self::Reranking];

    /// Name in replies, settings, metrics and spans.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retrieval => "retrieval",
            Self::Scoring => "scoring",
            Self::Reranking => "reranking",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

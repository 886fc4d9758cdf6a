//! What an experiment is to find, and what ends it.

use serde::{Deserialize, Serialize};

/// What was planned before the first unit came. Changing it afterwards makes its guarantees void.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnalysisPlan {
    /// Share of false alarms that is accepted, of an experiment without a difference.
    pub alpha: f64,
    /// Share of differences of `lift` that are to be found.
    pub power: f64,
    /// Relative difference that matters, such as 0.03.
    pub lift: f64,
    /// Units of both arms together at which always-valid intervals are tightest.
    pub units: u64,
}

impl Default for AnalysisPlan {
    fn default() -> Self {
        Self { alpha: 0.05, power: 0.8, lift: 0.03, units: 20_000 }
    }
}

/// A measure that must not get worse in any experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guardrail {
    /// What is watched.
    pub metric: GuardrailMetric,
    /// By how much an arm may be worse than the control, as a difference of shares.
    pub margin: f64,
}

/// What a guardrail watches: a share of the exposures, or of the catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailMetric {
    /// Exposures that came after their deadline.
    #[default]
    Late,
    /// Exposures that were answered at a lower rung or with a stage cut short.
    Degraded,
    /// Exposures that failed.
    Errors,
    /// Share of the candidates whose vectors were there; less is worse.
    VectorCoverage,
    /// Share of the catalog that an arm's lists show, at an equal number of lists; less is worse.
    CatalogCoverage,
}

impl GuardrailMetric {
    /// Its name, as definitions have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Degraded => "degraded",
            Self::Errors => "errors",
            Self::VectorCoverage => "vector_coverage",
            Self::CatalogCoverage => "catalog_coverage",
        }
    }
}

//! Settings of re-ranking, with defaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of re-ranking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RerankingOptions {
    /// Candidates with the best click probabilities among which similarity is compared; `k` where that
    /// is more.
    pub pool: usize,
    /// Diversity.
    pub diversity: DiversityOptions,
    /// Category cap.
    pub category_cap: CategoryCapOptions,
    /// Exploration.
    pub exploration: ExplorationOptions,
}

impl Default for RerankingOptions {
    fn default() -> Self {
        Self {
            pool: 200,
            diversity: DiversityOptions::default(),
            category_cap: CategoryCapOptions::default(),
            exploration: ExplorationOptions::default(),
        }
    }
}

/// Settings of diversity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiversityOptions {
    /// λ of maximal marginal relevance, above 0 and at most 1: 1 is click probability alone, less
    /// is more diverse.
    pub lambda: f32,
}

impl Default for DiversityOptions {
    fn default() -> Self {
        Self { lambda: 0.8 }
    }
}

/// Settings of the category cap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CategoryCapOptions {
    /// Whether there is one.
    pub enabled: bool,
    /// At most so many items of one main category ...
    pub max: usize,
    /// ... among the first so many places.
    pub first: usize,
}

impl Default for CategoryCapOptions {
    fn default() -> Self {
        Self { enabled: true, max: 10, first: 20 }
    }
}

/// Settings of exploration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExplorationOptions {
    /// Share of the places kept for fresh items that would not have made it, 0 to 0.5; 0 turns
    /// exploration off.
    pub share: f64,
    /// An item is fresh so long after it entered the catalog.
    #[serde(with = "humantime_serde")]
    pub fresh_for: Duration,
}

impl Default for ExplorationOptions {
    fn default() -> Self {
        Self { share: 0.05, fresh_for: Duration::from_secs(7 * 24 * 3_600) }
    }
}

/// A setting is impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("re-ranking setting `{field}`: {problem}")]
pub struct OptionsError {
    /// Dotted name of the setting.
    pub field: &'static str,
    /// What would be right.
    pub problem: &'static str,
}

impl RerankingOptions {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`OptionsError`] with the name of the first setting that is impossible.
    pub fn validate(&self) -> Result<(), OptionsError> {
        let need = |holds: bool, field, problem| {
            if holds { Ok(()) } else { Err(OptionsError { field, problem }) }
        };
        need(self.pool > 0, "pool", "must be at least 1")?;
        let lambda = self.diversity.lambda;
        need(
            (0.01..=1.0).contains(&lambda),
            "diversity.lambda",
            "must be from 0.01 to 1; 1 turns diversity off",
        )?;
        need(self.category_cap.max > 0, "category_cap.max", "must be at least 1")?;
        need(self.category_cap.first > 0, "category_cap.first", "must be at least 1")?;
        need(
            (0.0..=0.5).contains(&self.exploration.share),
            "exploration.share",
            "must be from 0 to 0.5; 0 turns exploration off",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::RerankingOptions;

    #[test]
    fn defaults_are_valid_and_survive_a_round_trip() {
        let defaults = RerankingOptions::default();
        defaults.validate().unwrap();
        let text = serde_json::to_string(&defaults).unwrap();
        assert_eq!(serde_json::from_str::<RerankingOptions>(&text).unwrap(), defaults);
    }

    #[test]
    fn unknown_keys_are_refused_and_missing_ones_have_defaults() {
        let text = r#"{"exploration": {"fresh_for": "2days"}}"#;
        let options: RerankingOptions = serde_json::from_str(text).unwrap();
        assert_eq!(options.exploration.fresh_for.as_secs(), 2 * 24 * 3_600);
        assert_eq!(options.exploration.share, 0.05);
        assert!(serde_json::from_str::<RerankingOptions>(r#"{"lambda": 1}"#).is_err());
    }

    #[test]
    fn impossible_values_are_named() {
        type Change = fn(&mut RerankingOptions);
        let set: [(&str, Change); 4] = [
            ("pool", |o| o.pool = 0),
            ("diversity.lambda", |o| o.diversity.lambda = f32::NAN),
            ("category_cap.max", |o| o.category_cap.max = 0),
            ("exploration.share", |o| o.exploration.share = 0.9),
        ];
        for (field, change) in set {
            let mut options = RerankingOptions::default();
            change(&mut options);
            assert_eq!(options.validate().unwrap_err().field, field);
        }
    }
}

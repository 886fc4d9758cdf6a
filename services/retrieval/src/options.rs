//! Settings of retrieval, with defaults.

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf, time::Duration};

use plugrank_contract::HistoryLimits;

use serde::{Deserialize, Serialize};

use crate::{RetrievalError, sources::check_quotas};

/// Settings of retrieval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrievalOptions {
    /// Most candidates a request may ask for or name.
    pub max_candidates: u32,
    /// Latest clicks that are read of a user: what counts as seen, and what the sources go by.
    pub seen_clicks: usize,
    /// How much of a user's history is read at least, for the stages that come after.
    pub history: HistoryLimits,
    /// Share of the remaining time the sources get; one that takes longer is reported as failed.
    pub source_time_share: f64,
    /// How much sources contribute, by their names; one that is absent has a quota of its own.
    pub quotas: BTreeMap<String, Quota>,
    /// Nearest neighbours over item vectors.
    pub ann: AnnOptions,
    /// Clicked together.
    pub co_visitation: CoVisitationOptions,
    /// Popular in the user's categories.
    pub category: CategoryOptions,
    /// Popularity lists.
    pub popular: PopularOptions,
    /// Snapshots.
    pub snapshot: SnapshotOptions,
}

impl Default for RetrievalOptions {
    fn default() -> Self {
        Self {
            max_candidates: 10_000,
            seen_clicks: 1_000,
            history: HistoryLimits { clicks: 50, impressions: 50 },
            source_time_share: 0.8,
            quotas: BTreeMap::new(),
            ann: AnnOptions::default(),
            co_visitation: CoVisitationOptions::default(),
            category: CategoryOptions::default(),
            popular: PopularOptions::default(),
            snapshot: SnapshotOptions::default(),
        }
    }
}

/// A source's part of the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Share of the limit the source is asked for, 0 to 1; 0 turns it off. Shares need not sum to
    /// 1: sources name the same items, and what is left over is filled from the popular ones.
    pub share: f64,
    /// Weight of its ranks when the lists are merged.
    pub weight: f64,
}

impl Quota {
    /// Candidates the source is asked for out of `limit`.
    #[must_use]
    pub fn of(&self, limit: usize) -> usize {
        (self.share * limit as f64).ceil() as usize
    }
}

/// Element type of the vectors in the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorStorage {
    /// Half precision: half the memory for vectors, conversion at every comparison.
    F16,
    /// Single precision.
    #[default]
    F32,
}

/// Settings of the nearest-neighbour source and its index (HNSW, arXiv 1603.09320).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnnOptions {
    /// Links a node has in each layer (M); the lowest layer has twice as many.
    pub connectivity: usize,
    /// Candidates looked at while a vector is added (efConstruction).
    pub expansion_add: usize,
    /// Candidates looked at in a search (ef), unless more neighbours are asked for.
    pub expansion_search: usize,
    /// Element type of the stored vectors.
    pub storage: VectorStorage,
    /// Clicks whose vectors make the mean.
    pub mean_clicks: usize,
    /// After so many clicks a click's weight in the mean is halved.
    pub half_life_clicks: f64,
    /// Latest clicks that are searched for on their own as well.
    pub interests: usize,
    /// Searches at a time, and threads that build the index; absent: as many as there are cores.
    pub threads: Option<NonZeroUsize>,
}

impl Default for AnnOptions {
    fn default() -> Self {
        Self {
            connectivity: 16,
            expansion_add: 128,
            expansion_search: 128,
            storage: VectorStorage::default(),
            mean_clicks: 50,
            half_life_clicks: 8.0,
            interests: 3,
            threads: None,
        }
    }
}

impl AnnOptions {
    /// Threads in use: what is set, else one for each core.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get)
    }
}

/// Settings of the co-visitation source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoVisitationOptions {
    /// Latest clicks whose neighbours are read.
    pub clicks: usize,
    /// After so many clicks the weight of a click's neighbours is halved.
    pub half_life_clicks: f64,
    /// Items of which is kept what was clicked together with them since the start; about 1 KB
    /// each. Of as many items is kept what the loader computed.
    pub live_items: u64,
    /// What the loader computed is read from the store again when it is so old.
    #[serde(with = "humantime_serde")]
    pub refresh_every: Duration,
}

impl Default for CoVisitationOptions {
    fn default() -> Self {
        Self {
            clicks: 20,
            half_life_clicks: 8.0,
            live_items: 100_000,
            refresh_every: Duration::from_secs(10),
        }
    }
}

/// Settings of the category source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CategoryOptions {
    /// How many of the user's categories are used, most clicked first.
    pub categories: usize,
    /// Items kept in each category's list.
    pub list_length: usize,
}

impl Default for CategoryOptions {
    fn default() -> Self {
        Self { categories: 3, list_length: 2_000 }
    }
}

/// Settings of the popularity lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PopularOptions {
    /// The lists are sorted again when something changed and this much time has passed.
    #[serde(with = "humantime_serde")]
    pub refresh_every: Duration,
}

impl Default for PopularOptions {
    fn default() -> Self {
        Self { refresh_every: Duration::from_secs(10) }
    }
}

/// Settings of snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SnapshotOptions {
    /// Folder that they are kept in; absent: none are made, and each start reads the whole catalog.
    /// Only for a store that tells of changes ([`Store::changes`](plugrank_store::Store::changes)).
    pub folder: Option<PathBuf>,
    /// How often one is made, when something changed.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self { folder: None, every: Duration::from_secs(600) }
    }
}

impl RetrievalOptions {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`RetrievalError::Options`] with the name of the first setting that is impossible.
    pub fn validate(&self) -> Result<(), RetrievalError> {
        positive("max_candidates", self.max_candidates as usize)?;
        positive("seen_clicks", self.seen_clicks)?;
        if !(self.source_time_share > 0.0 && self.source_time_share <= 1.0) {
            return wrong("source_time_share", "must be above 0 and at most 1");
        }
        check_quotas(self)?;
        if !(2..=512).contains(&self.ann.connectivity) {
            return wrong("ann.connectivity", "must be from 2 to 512; 16 suits most catalogs");
        }
        positive("ann.expansion_add", self.ann.expansion_add)?;
        positive("ann.expansion_search", self.ann.expansion_search)?;
        positive("ann.mean_clicks", self.ann.mean_clicks)?;
        half_life("ann.half_life_clicks", self.ann.half_life_clicks)?;
        positive("co_visitation.clicks", self.co_visitation.clicks)?;
        half_life("co_visitation.half_life_clicks", self.co_visitation.half_life_clicks)?;
        positive("category.categories", self.category.categories)?;
        positive("category.list_length", self.category.list_length)?;
        Ok(())
    }
}

fn wrong(field: &str, problem: &str) -> Result<(), RetrievalError> {
    Err(RetrievalError::Options { field: field.to_owned(), problem: problem.to_owned() })
}

fn positive(field: &str, value: usize) -> Result<(), RetrievalError> {
    if value == 0 { wrong(field, "must be at least 1") } else { Ok(()) }
}

fn half_life(field: &str, clicks: f64) -> Result<(), RetrievalError> {
    if clicks > 0.0 && clicks.is_finite() {
        return Ok(());
    }
    wrong(field, "must be a number of clicks above 0")
}

#[cfg(test)]
mod tests {
    use super::{Quota, RetrievalOptions};

    #[test]
    fn defaults_are_valid_and_survive_a_round_trip() {
        let defaults = RetrievalOptions::default();
        defaults.validate().unwrap();
        let text = serde_json::to_string(&defaults).unwrap();
        assert_eq!(serde_json::from_str::<RetrievalOptions>(&text).unwrap(), defaults);
    }

    #[test]
    fn a_partial_section_keeps_the_other_defaults() {
        let text = r#"{"popular": {"refresh_every": "3s"}}"#;
        let options: RetrievalOptions = serde_json::from_str(text).unwrap();
        assert_eq!(options.popular.refresh_every.as_secs(), 3);
        assert_eq!(options.ann, RetrievalOptions::default().ann);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = serde_json::from_str::<RetrievalOptions>(r#"{"ann": {"ef": 3}}"#).unwrap_err();
        assert!(error.to_string().contains("ef"), "{error}");
    }

    #[test]
    fn quotas_are_of_sources_there_are() {
        let text = r#"{"quotas": {"ann": {"share": 0.7, "weight": 2.0}}}"#;
        let mut options: RetrievalOptions = serde_json::from_str(text).unwrap();
        options.validate().unwrap();
        options.quotas.insert("an".to_owned(), Quota { share: 0.1, weight: 1.0 });
        let message = options.validate().unwrap_err().to_string();
        for part in ["`quotas.an`", "ann, co_visitation, category, popular, fresh"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn impossible_values_are_named() {
        type Change = fn(&mut RetrievalOptions);
        let set: [(&str, Change); 5] = [
            ("max_candidates", |o| o.max_candidates = 0),
            ("source_time_share", |o| o.source_time_share = f64::NAN),
            ("quotas.fresh", |o| {
                o.quotas.insert("fresh".to_owned(), Quota { share: -0.1, weight: 1.0 });
            }),
            ("ann.connectivity", |o| o.ann.connectivity = 1),
            ("ann.half_life_clicks", |o| o.ann.half_life_clicks = 0.0),
        ];
        for (field, change) in set {
            let mut options = RetrievalOptions::default();
            change(&mut options);
            let message = options.validate().unwrap_err().to_string();
            assert!(message.contains(&format!("`{field}`")), "{message}");
        }
    }
}

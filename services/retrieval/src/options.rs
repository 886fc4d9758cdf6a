//! How retrieval is run: section `[retrieval]` of the settings.

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf, time::Duration};

use garde::Validate;
use plugrank_contract::{Filter, HistoryLimits};
use plugrank_settings::{
    check,
    rules::{finite, holds, optional_path, share},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EngineOptions, RetrievalError};

pub use crate::shown_too_often::ShownTooOftenOptions;

/// The retrieval service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct RetrievalOptions {
    /// Candidates handed on to scoring.
    #[garde(range(min = 1, max = 10_000))]
    pub limit: u32,
    /// Most candidates a request may ask for or name. Not a setting: the process knows it.
    #[serde(skip)]
    #[garde(range(min = 1))]
    pub max_candidates: u32,
    /// What candidates of each surface come from. Not a setting of this section: the surfaces have one of
    /// their own.
    #[serde(skip)]
    #[garde(skip)]
    pub surfaces: BTreeMap<String, SurfaceCandidates>,
    /// How much of a user's history is read at least, for the stages that come after. Not a setting: the
    /// bundle says it.
    #[serde(skip)]
    #[garde(skip)]
    pub history: HistoryLimits,
    /// Latest clicks read of a user: what counts as seen, and what the sources go by.
    #[garde(range(min = 1, max = 100_000))]
    pub seen_clicks: usize,
    /// Share of the remaining time the sources get; half of it may go into reading the user's clicks.
    /// One that takes longer is reported as failed.
    #[garde(custom(share))]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub source_time_share: f64,
    /// Calls in flight at a time; one more is answered "overloaded".
    #[garde(range(min = 1, max = 1_000_000))]
    pub max_in_flight: usize,
    /// Share of the limit each source is asked for; 0 turns it off. They need not add up to 1: sources
    /// name the same items, and what is left over is filled from the popular ones.
    #[serde(rename = "shares", with = "source_shares")]
    #[garde(rename("shares"), custom(possible_shares))]
    #[schemars(with = "SourceShares")]
    pub quotas: BTreeMap<String, Quota>,
    /// The index of item vectors (HNSW, arXiv 1603.09320), and what is searched for in it.
    #[garde(dive)]
    pub ann: AnnOptions,
    /// Items clicked together with what the user clicked.
    #[garde(dive)]
    pub co_visitation: CoVisitationOptions,
    /// Items that a user was shown again and again and did not click.
    #[garde(dive)]
    pub shown_too_often: ShownTooOftenOptions,
    /// Items popular in the user's categories.
    #[garde(dive)]
    pub category: CategoryOptions,
    /// Popularity lists.
    #[garde(dive)]
    pub popular: PopularOptions,
    /// Where item vectors are searched, and how a shared engine is reached.
    #[garde(dive)]
    pub engine: EngineOptions,
    /// Snapshots of the item table and the index, for the next start.
    #[garde(dive)]
    pub snapshot: SnapshotOptions,
}

impl Default for RetrievalOptions {
    fn default() -> Self {
        Self {
            limit: 300,
            max_candidates: 10_000,
            surfaces: BTreeMap::new(),
            history: HistoryLimits { clicks: 50, impressions: 50 },
            seen_clicks: 1_000,
            source_time_share: 0.8,
            max_in_flight: 1024,
            quotas: SourceShares::default().in_quotas(),
            ann: AnnOptions::default(),
            co_visitation: CoVisitationOptions::default(),
            shown_too_often: ShownTooOftenOptions::default(),
            category: CategoryOptions::default(),
            popular: PopularOptions::default(),
            engine: EngineOptions::default(),
            snapshot: SnapshotOptions::default(),
        }
    }
}

/// What candidates of a surface come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SurfaceCandidates {
    /// The sources that are asked, each with its part; those of every request where there are none.
    pub sources: BTreeMap<String, Quota>,
    /// What every candidate meets. A column that no item has yet holds nothing.
    pub filter: Filter,
    /// What was shown too often here; as for every request where it is absent.
    pub shown_too_often: Option<ShownTooOftenOptions>,
}

/// A source's part of the candidates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// Share of the limit the source is asked for, 0 to 1; 0 turns it off.
    pub share: f64,
    /// Weight of its ranks when the lists are merged.
    pub weight: f64,
}

impl Quota {
    /// Candidates the source is asked for out of `limit`.
    #[must_use]
    pub fn count(&self, limit: usize) -> usize {
        (self.share * limit as f64).ceil() as usize
    }
}

/// How much each source contributes: `quotas` as the settings have them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
struct SourceShares {
    /// Nearest neighbours of the user's clicks.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    ann: f64,
    /// Clicked together with what the user clicked.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    co_visitation: f64,
    /// Popular in the user's categories.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    category: f64,
    /// Popular overall.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    popular: f64,
    /// New in the catalog.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    fresh: f64,
    /// New in the categories of the user's latest clicks. Off: measure it on lists of your own.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    fresh_in_categories: f64,
}

impl Default for SourceShares {
    fn default() -> Self {
        Self {
            ann: 0.5,
            co_visitation: 0.3,
            category: 0.2,
            popular: 0.2,
            fresh: 0.1,
            fresh_in_categories: 0.0,
        }
    }
}

impl SourceShares {
    fn in_quotas(self) -> BTreeMap<String, Quota> {
        let Ok(serde_json::Value::Object(shares)) = serde_json::to_value(self) else {
            unreachable!("a struct of numbers is an object")
        };
        let quota = |share: serde_json::Value| Quota {
            share: share.as_f64().unwrap_or(f64::NAN),
            weight: 1.0,
        };
        shares.into_iter().map(|(name, share)| (name, quota(share))).collect()
    }

    /// What `quotas` says of the sources that have a setting; 0 where it says nothing.
    fn from_quotas(quotas: &BTreeMap<String, Quota>) -> Self {
        let mut shares = Self::default().in_quotas();
        for (name, known) in &mut shares {
            known.share = quotas.get(name).map_or(0.0, |quota| quota.share);
        }
        let shares = shares.into_iter().map(|(name, quota)| (name, quota.share));
        serde_json::from_value(shares.collect()).unwrap_or_default()
    }
}

/// Quotas as shares of the sources by name.
mod source_shares {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Quota, SourceShares};

    pub(super) fn serialize<S: Serializer>(
        quotas: &BTreeMap<String, Quota>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        SourceShares::from_quotas(quotas).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<String, Quota>, D::Error> {
        SourceShares::deserialize(from).map(SourceShares::in_quotas)
    }
}

fn possible_shares(quotas: &BTreeMap<String, Quota>, _: &()) -> garde::Result {
    let wrong = quotas.iter().filter(|(_, quota)| !(0.0..=1.0).contains(&quota.share));
    let names: Vec<&str> = wrong.map(|(name, _)| name.as_str()).collect();
    holds(names.is_empty(), || format!("0 to 1 for each source, also {}", names.join(", ")))
}

/// Element type of the vectors in the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VectorStorage {
    /// Half precision: half the memory for vectors, conversion at every comparison.
    F16,
    /// Single precision.
    #[default]
    F32,
}

/// Settings of the nearest-neighbour source and its index (HNSW, arXiv 1603.09320).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct AnnOptions {
    /// Links a node of the index has in each layer (M of HNSW); the lowest layer has twice as many.
    #[garde(range(min = 2, max = 512))]
    pub connectivity: usize,
    /// Candidates looked at while a vector is added (efConstruction).
    #[garde(range(min = 1, max = 100_000))]
    pub expansion_add: usize,
    /// Candidates looked at in a search (ef), unless more neighbours are asked for.
    #[garde(range(min = 1, max = 100_000))]
    pub expansion_search: usize,
    /// Element type of the vectors in the index.
    #[garde(skip)]
    pub storage: VectorStorage,
    /// Latest clicks whose vectors make the mean that is searched for.
    #[garde(range(min = 1, max = 1000))]
    pub mean_clicks: usize,
    /// After so many clicks a click's weight in the mean is halved.
    #[garde(range(min = 0.1, max = 10_000.0), custom(finite))]
    pub half_life_clicks: f64,
    /// Latest clicks that are searched for on their own as well.
    #[garde(range(min = 0, max = 100))]
    pub interests: usize,
    /// Searches at a time, and threads that build the index. Absent: one per core.
    #[garde(range(min = 1, max = 1024))]
    #[schemars(example = 2)]
    pub threads: Option<usize>,
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
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.unwrap_or_else(cores)
    }
}

/// Settings of the co-visitation source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct CoVisitationOptions {
    /// Latest clicks whose co-visited items are read.
    #[garde(range(min = 1, max = 1000))]
    pub clicks: usize,
    /// After so many clicks the weight of a click's co-visited items is halved.
    #[garde(range(min = 0.1, max = 10_000.0), custom(finite))]
    pub half_life_clicks: f64,
    /// After so many days a click together counts half.
    #[garde(range(min = 0.01, max = 36_500.0), custom(finite))]
    pub half_life_days: f64,
    /// Items whose co-visited items are counted from live events; about 2 KB each. As many are kept of
    /// what the loader computed. At a start the log of events is read again.
    #[garde(range(min = 0, max = 1_000_000_000))]
    pub live_items: u64,
    /// What the loader computed is read from the store again when it is so old, in milliseconds.
    #[garde(range(min = 1, max = 3_600_000))]
    pub refresh_ms: u64,
}

impl Default for CoVisitationOptions {
    fn default() -> Self {
        Self {
            clicks: 20,
            half_life_clicks: 8.0,
            half_life_days: 30.0,
            live_items: 100_000,
            refresh_ms: 10_000,
        }
    }
}

impl CoVisitationOptions {
    /// How long until a click together counts half.
    #[must_use]
    pub fn half_life(&self) -> Duration {
        Duration::from_secs_f64(self.half_life_days * 86_400.0)
    }

    /// Age at which what the loader computed is read again.
    pub(crate) fn refresh_every(&self) -> Duration {
        Duration::from_millis(self.refresh_ms)
    }
}

/// Settings of the category source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct CategoryOptions {
    /// How many of the user's categories are used, most clicked first.
    #[garde(range(min = 1, max = 1000))]
    pub categories: usize,
    /// Items kept in each category's list.
    #[garde(range(min = 1, max = 1_000_000))]
    pub list_length: usize,
}

impl Default for CategoryOptions {
    fn default() -> Self {
        Self { categories: 3, list_length: 2_000 }
    }
}

/// Settings of the popularity lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct PopularOptions {
    /// How often popularity lists are sorted again when something changed, in milliseconds.
    #[garde(range(min = 1, max = 3_600_000))]
    pub refresh_ms: u64,
    /// After how long an event counts half; the store's, not a setting of its own.
    #[garde(skip)]
    #[serde(skip)]
    pub half_life: Duration,
}

impl Default for PopularOptions {
    fn default() -> Self {
        Self { refresh_ms: 10_000, half_life: Duration::from_secs(30 * 24 * 60 * 60) }
    }
}

impl PopularOptions {
    /// After how long an event counts half.
    pub(crate) const fn half_life(&self) -> Duration {
        self.half_life
    }

    /// Time after which the lists are sorted again.
    pub(crate) fn refresh_every(&self) -> Duration {
        Duration::from_millis(self.refresh_ms)
    }
}

/// Settings of snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct SnapshotOptions {
    /// Folder in which the item table and the index are kept, so that a process starts in seconds; only
    /// for a store that tells of changes. Absent: with an embedded store, its path with ".snapshots"
    /// added; with another, each start reads the whole catalog.
    #[garde(custom(optional_path))]
    #[schemars(example = &"data/retrieval")]
    pub path: Option<PathBuf>,
    /// How often a snapshot is made, when something changed, in milliseconds.
    #[garde(range(min = 1_000, max = 86_400_000))]
    pub every_ms: u64,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self { path: None, every_ms: 600_000 }
    }
}

impl SnapshotOptions {
    /// How often a snapshot is made.
    pub(crate) fn every(&self) -> Duration {
        Duration::from_millis(self.every_ms)
    }
}

impl RetrievalOptions {
    /// Checks every setting but the quotas, which the list of sources checks.
    ///
    /// # Errors
    /// [`RetrievalError::Options`] with the name of the first setting that is impossible.
    pub fn validate(&self) -> Result<(), RetrievalError> {
        match check(self).err().into_iter().flatten().next() {
            Some(problem) => {
                Err(RetrievalError::Options { field: problem.key, problem: problem.message })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Quota, RetrievalOptions};

    #[test]
    fn source_shares_are_set_by_name_and_others_keep_defaults() {
        let text = r#"{"shares": {"ann": 0.7}}"#;
        let options: RetrievalOptions = serde_json::from_str(text).unwrap();
        assert_eq!(options.quotas["ann"], Quota { share: 0.7, weight: 1.0 });
        assert_eq!(options.quotas["fresh"], RetrievalOptions::default().quotas["fresh"]);
        assert!(serde_json::from_str::<RetrievalOptions>(r#"{"shares": {"an": 0.7}}"#).is_err());
    }

    #[test]
    fn invalid_values_are_named() {
        type Change = fn(&mut RetrievalOptions);
        let set: [(&str, Change); 6] = [
            ("max_candidates", |o| o.max_candidates = 0),
            ("source_time_share", |o| o.source_time_share = f64::NAN),
            ("ann.connectivity", |o| o.ann.connectivity = 1),
            ("ann.half_life_clicks", |o| o.ann.half_life_clicks = 0.0),
            ("snapshot.path", |o| o.snapshot.path = Some("".into())),
            ("snapshot.every_ms", |o| o.snapshot.every_ms = 1),
        ];
        for (field, change) in set {
            let mut options = RetrievalOptions::default();
            change(&mut options);
            let message = options.validate().unwrap_err().to_string();
            assert!(message.contains(&format!("`{field}`")), "{message}");
        }
    }
}

//! Calls of the scoring service.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Call, CallError, FeatureValues, Filter, HistoryEntry, ItemList, NamedTensor, TimestampMs,
    UserId, UserRead, embedding::Tiers, reranking::RankFacts,
};

/// Which of the bundle's models scores.
///
/// ```
/// use plugrank_contract::scoring::ModelKind;
///
/// assert_eq!(ModelKind::default(), ModelKind::Unified);
/// assert_eq!(serde_json::from_str::<ModelKind>("\"idrec\"").unwrap(), ModelKind::Idrec);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// PPM plugged into its host.
    #[default]
    Unified,
    /// The ID-based host alone.
    Idrec,
}

/// Scores candidates for a user.
///
/// ```
/// use plugrank_contract::{
///     ItemList, UserRead,
///     embedding::Tiers,
///     scoring::{ModelKind, RecordCoverage, Score, Scored, ScoringLoad},
/// };
///
/// let call = Score {
///     user_id: "ann".into(),
///     items: ItemList::named(vec!["lamp".into(), "sofa".into()]),
///     user: UserRead::NotRead,
///     as_of: 1_000,
///     model: ModelKind::Unified,
///     tiers: Tiers::All,
///     facts_for: 0,
///     rule_inputs: Default::default(),
///     given: None,
///     value: Some("click * item.price".into()),
///     explain: false,
/// };
/// let reply = Scored {
///     bundle: "shop-7".into(),
///     ctr: [0.1, 0.3].into(),
///     scores: vec![],
///     value: None,
///     facts: None,
///     model: ModelKind::Idrec,
///     fell: None,
///     late: None,
///     coverage: RecordCoverage { rows: 2, memory: 2, ..RecordCoverage::default() },
///     batch_rows: 2,
///     load: ScoringLoad { backlog_us: 0 },
/// };
/// assert_eq!(reply.ctr.len(), call.items.len());
/// assert_ne!(reply.model, call.model, "the reply says which model scored");
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Score {
    /// For whom.
    pub user_id: UserId,
    /// Candidates, in the order the scores come back.
    pub items: ItemList,
    /// The user, when a stage before has read them.
    pub user: UserRead,
    /// Only behaviour strictly before this moment is read.
    pub as_of: TimestampMs,
    /// Which model, if it can be run in time; the reply says which was.
    pub model: ModelKind,
    /// How far to go for vectors.
    pub tiers: Tiers,
    /// How many candidates, by falling probability, re-ranking compares by their vectors; 0 where it
    /// looks facts up for itself.
    pub facts_for: u32,
    /// What else of the candidates re-ranking reads there.
    pub rule_inputs: Arc<RuleInputs>,
    /// What the caller says of the situation; `None` where nothing.
    pub given: Option<Arc<GivenFeatures>>,
    /// Formula of what an item is worth, in place of the service's own; `None` for that.
    pub value: Option<Arc<str>>,
    /// Whether the reply says what went into the values.
    pub explain: bool,
}

/// What the rules of the settings read of items, beside categories, ages and vectors.
///
/// ```
/// use plugrank_contract::scoring::RuleInputs;
///
/// let nothing = RuleInputs::default();
/// let brands = RuleInputs { columns: vec!["brand".to_owned()], ..RuleInputs::default() };
/// assert!(nothing.is_empty() && !brands.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleInputs {
    /// Columns whose values are read.
    pub columns: Vec<String>,
    /// Filters of which it is asked whether they are met.
    pub filters: Vec<Filter>,
    /// Whether it is asked how often items were shown and clicked.
    pub stats: bool,
    /// Whether the rules put candidates in another order than that of their probabilities, so that any
    /// of them may be compared by its vector.
    pub reorders: bool,
}

impl RuleInputs {
    /// Whether nothing is read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.filters.is_empty() && !self.stats
    }
}

/// Feature values that a request brings with it.
///
/// ```
/// use std::sync::Arc;
///
/// use plugrank_contract::{
///     FeatureValues,
///     scoring::{GivenCandidateFeatures, GivenFeatures},
/// };
///
/// let one = |name: &str, value: i64| FeatureValues::from([(name.to_owned(), value.into())]);
/// let given = GivenFeatures {
///     request: one("basket", 3),
///     candidates: vec![GivenCandidateFeatures { place: 0, features: Arc::new(one("bid", 2)) }],
///     ..GivenFeatures::default()
/// };
/// assert_eq!(given.candidates[0].features["bid"], 2.into());
/// assert!(given.user.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenFeatures {
    /// Of the situation.
    pub request: FeatureValues,
    /// Of the user, over those that are stored.
    pub user: FeatureValues,
    /// What the user did before the request, newest first, in place of what is stored of it.
    pub recent: Option<Arc<[HistoryEntry]>>,
    /// Of each candidate, in the order of the call's; none where none were given.
    pub candidates: Vec<GivenCandidateFeatures>,
}

/// Feature values given of one candidate.
///
/// [`GivenFeatures`] has an example.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenCandidateFeatures {
    /// Its place in the caller's list.
    pub place: u32,
    /// The values.
    pub features: Arc<FeatureValues>,
}

/// How many vectors were available.
///
/// ```
/// use plugrank_contract::scoring::RecordCoverage;
///
/// let coverage = RecordCoverage { rows: 10, memory: 7, encoded: 2, missing: 1, ..Default::default() };
/// let told = coverage.memory + coverage.store + coverage.encoded + coverage.missing;
/// assert_eq!(told, coverage.rows, "each row's record has one origin");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordCoverage {
    /// Rows scored.
    pub rows: u32,
    /// Rows whose record was in the in-process tier.
    pub memory: u32,
    /// Rows whose record came from the store.
    pub store: u32,
    /// Rows encoded for this request.
    pub encoded: u32,
    /// Rows scored with the missing-vector.
    pub missing: u32,
    /// History entries read.
    pub history: u32,
}

/// How busy the service is.
///
/// [`Score`] has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoringLoad {
    /// Time the queue would take to be worked off now, in microseconds.
    pub backlog_us: u32,
}

/// What one task of the model predicts of the candidates.
///
/// ```
/// use plugrank_contract::scoring::TaskScores;
///
/// let scores = TaskScores { task: "purchase".into(), probabilities: [0.01, 0.04].into() };
/// assert_eq!(scores.probabilities.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskScores {
    /// The task.
    pub task: Arc<str>,
    /// Calibrated probability of each candidate, same order.
    pub probabilities: Arc<[f32]>,
}

/// What candidates are worth by a formula.
///
/// ```
/// use plugrank_contract::scoring::Valued;
///
/// let valued = Valued {
///     formula: "click * item.price".into(),
///     values: [2.0, 3.0].into(),
///     broken: None,
///     names: vec!["click".into(), "item.price".into()],
///     numbers: vec![0.1, 20.0, 0.3, 10.0],
/// };
/// assert_eq!(valued.numbers_of(1), [0.3, 10.0]);
/// assert!(valued.numbers_of(2).is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Valued {
    /// The formula.
    pub formula: Arc<str>,
    /// Value of each candidate, same order; what is no finite number sinks.
    pub values: Arc<[f32]>,
    /// Why some or all are not what the formula says; `None` where all are.
    pub broken: Option<String>,
    /// The formula's names; none unless explained.
    pub names: Vec<Arc<str>>,
    /// What they stood for, candidate by candidate; NaN for what was missing. None unless explained.
    pub numbers: Vec<f32>,
}

impl Valued {
    /// What the names stood for at a candidate.
    #[must_use]
    pub fn numbers_of(&self, candidate: usize) -> &[f32] {
        let width = self.names.len();
        self.numbers.get(candidate * width..(candidate + 1) * width).unwrap_or_default()
    }
}

/// Reply to [`Score`].
///
/// [`Score`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Version of the bundle that scored.
    pub bundle: Arc<str>,
    /// Calibrated probability of the model's main task, a click, for each candidate, same order.
    pub ctr: Arc<[f32]>,
    /// Those of each task, where the model has several.
    pub scores: Vec<TaskScores>,
    /// What the candidates are worth, where there is a formula; else that is the probability.
    pub value: Option<Valued>,
    /// What re-ranking reads of the candidates, when asked for.
    pub facts: Option<Arc<RankFacts>>,
    /// Which model scored.
    pub model: ModelKind,
    /// Why it was not the one asked for; `None` when it was.
    pub fell: Option<CallError>,
    /// What could not be read in time, so that something else stands in for it.
    pub late: Option<String>,
    /// Vectors available.
    pub coverage: RecordCoverage,
    /// Rows of the batch this request ran in, its padding included.
    pub batch_rows: u32,
    /// How busy the service is.
    pub load: ScoringLoad,
}

impl Call for Score {
    type Reply = Scored;
    const PATH: &'static str = "/rpc/v1/scoring/score";
    const IDEMPOTENT: bool = true;
}

/// Asks whether the model can read feature values, before they are stored.
///
/// ```
/// use plugrank_contract::{
///     FeatureValues,
///     scoring::{CheckFeatures, FeatureOwner, FeaturesChecked, WrongFeature},
/// };
///
/// let values = vec![FeatureValues::from([("age".to_owned(), "old".into())])];
/// let call = CheckFeatures { owner: FeatureOwner::User, values };
/// let wrong = WrongFeature { name: "age".to_owned(), detail: "must be a number".to_owned() };
/// let reply = FeaturesChecked { wrong: vec![Some(wrong)] };
/// assert_eq!(reply.wrong.len(), call.values.len());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckFeatures {
    /// Whose features they are.
    pub owner: FeatureOwner,
    /// Those of each.
    pub values: Vec<FeatureValues>,
}

/// Whose features stored values are.
///
/// [`CheckFeatures`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FeatureOwner {
    /// Of items.
    Item,
    /// Of users.
    User,
}

/// Reply to [`CheckFeatures`].
///
/// [`CheckFeatures`] has an example.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeaturesChecked {
    /// What of each cannot be read; `None` where all can.
    pub wrong: Vec<Option<WrongFeature>>,
}

/// A feature value that the model cannot read.
///
/// [`CheckFeatures`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongFeature {
    /// The feature, by the name it was given.
    pub name: String,
    /// What is wrong, for people.
    pub detail: String,
}

impl Call for CheckFeatures {
    type Reply = FeaturesChecked;
    const PATH: &'static str = "/rpc/v1/scoring/check_features";
    const IDEMPOTENT: bool = true;
}

/// Runs one of the bundle's graphs on tensors given by the caller, in the batches of ordinary
/// scoring.
///
/// ```
/// use plugrank_contract::{
///     NamedTensor, TensorDtype,
///     scoring::{Infer, Inferred, ModelKind},
/// };
///
/// let tensor = |name: &str, shape: Vec<usize>| NamedTensor {
///     name: name.to_owned(),
///     dtype: TensorDtype::F32,
///     data: vec![0; 4 * shape.iter().product::<usize>()],
///     shape,
/// };
/// let call = Infer { model: ModelKind::Idrec, inputs: vec![tensor("history_mask", vec![1, 8])] };
/// let reply = Inferred { outputs: vec![tensor("logits", vec![1, 3])] };
/// assert_eq!((call.inputs[0].data.len(), reply.outputs[0].data.len()), (32, 12));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Infer {
    /// Which graph.
    pub model: ModelKind,
    /// Every input of the graph, in any order: `[users, ..]`, `[users, candidates, ..]` or
    /// `[users, history, ..]`.
    pub inputs: Vec<NamedTensor>,
}

/// Reply to [`Infer`].
///
/// [`Infer`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inferred {
    /// Every output of the graph, in its order. Logits are as the graph gives them, without
    /// calibration.
    pub outputs: Vec<NamedTensor>,
}

impl Call for Infer {
    type Reply = Inferred;
    const PATH: &'static str = "/rpc/v1/scoring/infer";
    const IDEMPOTENT: bool = true;
}

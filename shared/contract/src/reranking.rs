//! Calls of the re-ranking service.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Call, ItemList, Matrix, TimestampMs,
    retrieval::{Name, SurfaceName},
};

/// What rules read of candidates, for a re-ranking role whose process does not hold the item table.
/// It comes with the scores.
///
/// [`Rerank`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankFacts {
    /// Number of the main category, then of the others, of each candidate. The numbers mean the
    /// same within one request alone.
    pub categories: Vec<Vec<u32>>,
    /// When each candidate entered the catalog.
    pub created_at: Vec<Option<TimestampMs>>,
    /// Which candidates have a row in `vectors`: places in the list, in the order of the rows.
    pub with_vector: Vec<u32>,
    /// Item vectors by [`Self::with_vector`], not normalised.
    pub vectors: Matrix,
    /// What the rules of the settings ask for.
    pub rules: RuleFacts,
}

/// What the rules of the settings read of candidates, as [`RuleInputs`](crate::scoring::RuleInputs)
/// asks: a row for each column or filter, with a place for each candidate.
///
/// ```
/// use plugrank_contract::reranking::RuleFacts;
///
/// // A column of brands, a column of prices, a filter; two candidates.
/// let facts = RuleFacts {
///     keys: vec![vec![1, 0], vec![]],
///     numbers: vec![vec![], vec![19.5, f32::NAN]],
///     met: vec![vec![true, false]],
///     stats: vec![(100, 7), (0, 0)],
/// };
/// assert_eq!((facts.key(0, 0), facts.key(0, 1)), (1, 0));
/// assert!(facts.number(1, 1).is_nan() && facts.meets(0, 0));
/// assert_eq!(facts.shown_and_clicked(0), (100, 7));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleFacts {
    /// For each column: names the value, alike where the values are; 0 where there is none. The names
    /// mean the same within one request alone.
    pub keys: Vec<Vec<u32>>,
    /// For each column: the number, NaN where there is none.
    pub numbers: Vec<Vec<f32>>,
    /// For each filter: whether it is met.
    pub met: Vec<Vec<bool>>,
    /// How often it was shown, and clicked.
    pub stats: Vec<(u64, u64)>,
}

impl RuleFacts {
    /// Names a candidate's value of a column; 0 where it has none.
    #[must_use]
    pub fn key(&self, column: usize, candidate: usize) -> u32 {
        at(&self.keys, column, candidate).unwrap_or(0)
    }

    /// A candidate's number in a column; NaN where it has none.
    #[must_use]
    pub fn number(&self, column: usize, candidate: usize) -> f32 {
        at(&self.numbers, column, candidate).unwrap_or(f32::NAN)
    }

    /// Whether a candidate meets a filter.
    #[must_use]
    pub fn meets(&self, filter: usize, candidate: usize) -> bool {
        at(&self.met, filter, candidate).unwrap_or(false)
    }

    /// How often a candidate was shown, and clicked.
    #[must_use]
    pub fn shown_and_clicked(&self, candidate: usize) -> (u64, u64) {
        self.stats.get(candidate).copied().unwrap_or_default()
    }
}

fn at<T: Copy>(rows: &[Vec<T>], row: usize, candidate: usize) -> Option<T> {
    rows.get(row)?.get(candidate).copied()
}

/// Greatest [`Rerank::diversity`]: beyond it click probability would say nothing.
pub const MAX_DIVERSITY: f32 = 0.99;

/// Orders candidates for display.
///
/// ```
/// use std::sync::Arc;
///
/// use plugrank_contract::{
///     Dtype, ItemList, Matrix,
///     reranking::{Place, RankFacts, Rerank, Reranked, RuleFacts},
/// };
///
/// let call = Rerank {
///     items: ItemList::named(vec!["lamp".into(), "sofa".into()]),
///     ctr: [0.1, 0.3].into(),
///     worth: None,
///     facts: Some(Arc::new(RankFacts {
///         categories: vec![vec![1], vec![2]],
///         created_at: vec![None, Some(1_000)],
///         with_vector: vec![],
///         vectors: Matrix::empty(64, Dtype::F16),
///         rules: RuleFacts::default(),
///     })),
///     surface: "home".into(),
///     k: 1,
///     before: 0,
///     diversity: None,
///     explain: false,
///     as_of: 2_000,
///     seed: 7,
/// };
/// let first = Place { candidate: 1, score: 0.3, rule: "ranked".into(), propensity: None };
/// let reply = Reranked { places: vec![first], ..Reranked::default() };
/// let best = reply.places[0].candidate as usize;
/// assert_eq!(call.items.id_at(best).unwrap().as_str(), "sofa");
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rerank {
    /// Candidates, any order, no duplicates.
    pub items: ItemList,
    /// Calibrated click probability of each, for rules that go by it.
    pub ctr: Arc<[f32]>,
    /// What each is worth by a formula of values, which is what the order goes by; `None` where there is no formula: what
    /// [`Self::worth`] gives then is `ctr`. What is no finite number sinks.
    pub worth: Option<Arc<[f32]>>,
    /// What the rules read, where the re-ranking role cannot look it up.
    pub facts: Option<Arc<RankFacts>>,
    /// Where they are shown: its rules count.
    pub surface: SurfaceName,
    /// How many to return.
    pub k: u32,
    /// How many places the pages before have.
    pub before: u32,
    /// What similarity to what stands above counts against value, 0 to 0.99; `None`: as the settings
    /// have it.
    pub diversity: Option<f32>,
    /// Whether to say which rule moved an item how far.
    pub explain: bool,
    /// The moment of the request; decides what is fresh.
    pub as_of: TimestampMs,
    /// Seeds exploration, so that one request always has one answer.
    pub seed: u64,
}

/// A candidate at its place.
///
/// [`Rerank`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Which candidate: its place in [`Rerank::items`].
    pub candidate: u32,
    /// What the order goes by, falling from first to last.
    pub score: f32,
    /// What put it there: `ranked` by its value, a rule, or `cap_relaxed`.
    pub rule: Name,
    /// With which probability it was put there, given the places before; `None` where nothing is drawn.
    pub propensity: Option<f32>,
}

/// What a rule did to an item: its place without the rule and those after it, and with the rule. Places
/// count from 1; `None` where the item is not among those asked for.
///
/// ```
/// use plugrank_contract::reranking::Move;
///
/// let buried = Move { rule: "bury".into(), from: Some(3), to: None };
/// assert!(buried.to.is_none(), "it left the places that were asked for");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The rule.
    pub rule: Name,
    /// The place without it.
    pub from: Option<u32>,
    /// The place with it.
    pub to: Option<u32>,
}

/// Reply to [`Rerank`]: at most `k` candidates, first to last.
///
/// [`Rerank`] has an example.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reranked {
    /// Candidates in their final order.
    pub places: Vec<Place>,
    /// For each place, when asked for: its candidate's place in the order by value, and what moved it
    /// from there, rule by rule in the order in which they are applied.
    pub moves: Vec<(u32, Vec<Move>)>,
    /// Rules that could not be applied, with the reason (e.g. vectors not available).
    pub skipped: Vec<String>,
}

impl Rerank {
    /// What each candidate is worth.
    #[must_use]
    pub fn worth(&self) -> &Arc<[f32]> {
        self.worth.as_ref().unwrap_or(&self.ctr)
    }
}

impl Call for Rerank {
    type Reply = Reranked;
    const PATH: &'static str = "/rpc/v1/reranking/rerank";
    const IDEMPOTENT: bool = true;
}

//! What a ranking showed.

use serde::{Deserialize, Serialize};

use crate::{FeatureValues, ItemId, TimestampMs, UserId};

/// A list that was served: what was shown to whom, and by what it was made. Events name it by
/// `request_id`.
///
/// ```
/// use plugrank_contract::{ExposedArm, ExposedItem, Exposure, FeatureValues};
///
/// let list = Exposure {
///     request_id: "r1".to_owned(),
///     timestamp: 1_700_000_000_000,
///     user_id: "ann".into(),
///     surface: Some("home".to_owned()),
///     arms: vec![ExposedArm {
///         layer: "ranking".to_owned(),
///         experiment: "ppm".to_owned(),
///         arm: "unified".to_owned(),
///     }],
///     forced_arms: false,
///     bundle: Some("shop-7".to_owned()),
///     rung: "full".to_owned(),
///     degraded: false,
///     late: false,
///     failed: false,
///     coverage: 1.0,
///     features: FeatureValues::new(),
///     tasks: vec!["click".to_owned(), "purchase".to_owned()],
///     items: vec![ExposedItem {
///         item_id: "lamp".into(),
///         score: Some(0.2),
///         ctr: Some(0.2),
///         scores: vec![0.2, 0.01],
///         propensity: None,
///         features: FeatureValues::new(),
///     }],
///     rerank: Vec::new(),
/// };
/// // The logs keep it in postcard.
/// let row = postcard::to_stdvec(&list).unwrap();
/// assert_eq!(postcard::from_bytes::<Exposure>(&row).unwrap(), list);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exposure {
    /// Names the request, as its events do.
    pub request_id: String,
    /// When it was served.
    pub timestamp: TimestampMs,
    /// To whom.
    pub user_id: UserId,
    /// Where in the shop, when the request said so.
    pub surface: Option<String>,
    /// The arm of each layer of experiments that the request took part in.
    pub arms: Vec<ExposedArm>,
    /// Whether the request named its own arms: then it is no part of results.
    pub forced_arms: bool,
    /// Version of the bundle that scored; `None` where nothing was scored.
    pub bundle: Option<String>,
    /// The lowest rung that the answer stands on.
    pub rung: String,
    /// Whether it was less than it could be, other than by its arm.
    pub degraded: bool,
    /// Whether it came after its deadline.
    pub late: bool,
    /// Whether nothing could be ranked; it then has no items.
    pub failed: bool,
    /// Share of the candidates whose vectors were there.
    pub coverage: f32,
    /// Features of the request, as given.
    pub features: FeatureValues,
    /// Tasks whose probabilities [`ExposedItem::scores`] are, where the model has several.
    pub tasks: Vec<String>,
    /// The list, first to last: an item's position is its place in it, from 1.
    pub items: Vec<ExposedItem>,
    /// Of a request that was logged in full: what re-ranking was asked, candidates, values, facts and seed
    /// (postcard of [`Rerank`](crate::reranking::Rerank)), so that it can be done again. Else empty.
    pub rerank: Vec<u8>,
}

/// An arm of an experiment.
///
/// [`Exposure`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExposedArm {
    /// The layer.
    pub layer: String,
    /// The experiment.
    pub experiment: String,
    /// The arm.
    pub arm: String,
}

/// An item of a served list.
///
/// [`Exposure`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExposedItem {
    /// Which item.
    pub item_id: ItemId,
    /// What the order went by; `None` where it was retrieval's.
    pub score: Option<f32>,
    /// Calibrated probability of the main task.
    pub ctr: Option<f32>,
    /// Calibrated probability of each of [`Exposure::tasks`], in their order.
    pub scores: Vec<f32>,
    /// Probability with which the item stood at this place, where the rules know it.
    pub propensity: Option<f32>,
    /// Features of the candidate, as given with the request.
    pub features: FeatureValues,
}

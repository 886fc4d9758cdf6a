//! Calls of the retrieval service.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Call, Event, Filter, HistoryEntry, ItemId, ItemList, TimestampMs, UserId, UserRead};

/// Name of a source, a filter's reason or a rule, as replies and metrics show it.
pub type Name = Cow<'static, str>;

/// The sources that named a candidate: bit n stands for the n-th name of
/// [`Retrieved::source_names`].
///
/// ```
/// use plugrank_contract::retrieval::SourceSet;
///
/// let both = SourceSet::only(0).union(SourceSet::only(3));
/// assert!(both.contains(SourceSet::only(3)) && !both.contains(SourceSet::only(1)));
/// assert_eq!(both.iter().collect::<Vec<_>>(), [0, 3]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceSet(u32);

impl SourceSet {
    /// Most sources there can be.
    pub const MAX: usize = 32;

    /// The set of one source.
    ///
    /// # Panics
    /// When `source` is not below [`Self::MAX`].
    #[must_use]
    pub const fn only(source: usize) -> Self {
        assert!(source < Self::MAX, "too many sources");
        Self(1 << source)
    }

    /// With the sources of `other` too.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all sources of `other` are in it.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Places of the sources, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MAX).filter(move |source| self.0 >> source & 1 == 1)
    }
}

/// Names that [`SourceSet`]s refer to by their place.
pub type SourceNames = Arc<[Name]>;

/// Reason of an item that the catalog does not have.
pub const UNKNOWN: Name = Cow::Borrowed("unknown");
/// Reason of a candidate beyond the limit.
pub const OVER_LIMIT: Name = Cow::Borrowed("over_limit");

/// Name of a surface of the settings (`[surfaces.home]`); empty where a request names none.
pub type SurfaceName = Arc<str>;

/// Asks for the candidates of one request.
///
/// ```
/// use plugrank_contract::{
///     ItemList,
///     retrieval::{Dropped, Retrieve, Retrieved, SourceSet},
/// };
///
/// let call = Retrieve {
///     user_id: "ann".into(),
///     surface: "home".into(),
///     limit: 300,
///     candidates: None,
///     exclude: ItemList::named(vec!["boat".into()]),
///     shown: [].into(),
///     context: ItemList::default(),
///     recent: None,
///     filters: vec![],
///     as_of: 1_000,
///     explain: true,
/// };
/// let reply = Retrieved {
///     candidates: ItemList::named(vec!["lamp".into()]),
///     source_names: ["ann".into(), "popular".into()].into(),
///     sources: vec![SourceSet::only(1)],
///     dropped: vec![Dropped { item_id: "boat".into(), reason: "excluded".into() }],
///     dropped_total: 1,
///     ..Retrieved::default()
/// };
/// assert!(reply.candidates.len() <= call.limit as usize);
/// let named_by: Vec<&str> = reply.sources[0].iter().map(|at| &*reply.source_names[at]).collect();
/// assert_eq!(named_by, ["popular"]);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Retrieve {
    /// For whom.
    pub user_id: UserId,
    /// Where they are shown: its sources and its filter count.
    pub surface: SurfaceName,
    /// At most this many candidates.
    pub limit: u32,
    /// Caller-given candidates: when present no other source is asked, and what the user has seen
    /// is not filtered.
    pub candidates: Option<ItemList>,
    /// Items the caller does not want.
    pub exclude: ItemList,
    /// [Fingerprints](ItemId::fingerprint) of items that earlier pages showed, ascending: these are
    /// left out.
    pub shown: Arc<[u32]>,
    /// Items that the candidates should go with, most important first. The sources go by them in place
    /// of the user's clicks, and they are not among the candidates.
    pub context: ItemList,
    /// What the user did before `as_of`, newest first, in place of what is stored of it; `None` where
    /// the caller says nothing.
    pub recent: Option<Arc<[HistoryEntry]>>,
    /// Filters that every candidate meets.
    pub filters: Vec<Filter>,
    /// Only behaviour strictly before this moment is read.
    pub as_of: TimestampMs,
    /// Whether to list what was left out and why.
    pub explain: bool,
}

/// An item left out.
///
/// [`Retrieve`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Which item.
    pub item_id: ItemId,
    /// The filter that took it out: `unknown`, `excluded`, `shown`, `seen`, `unavailable`,
    /// `not_yet`, `filter`, `over_limit`.
    pub reason: Name,
}

/// The candidates: no duplicates, best retrieval order first (the order used when nothing can be
/// scored); for caller-given candidates the caller's order.
///
/// [`Retrieve`] has an example.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Retrieved {
    /// Candidates.
    pub candidates: ItemList,
    /// Names of the sources.
    pub source_names: SourceNames,
    /// For each candidate, every source that named it.
    pub sources: Vec<SourceSet>,
    /// What was left out and why, when asked for (at most a thousand entries).
    pub dropped: Vec<Dropped>,
    /// How many were left out.
    pub dropped_total: u32,
    /// How many of them the catalog does not have.
    pub unknown: u32,
    /// Sources that failed, with the reason; the others still answered.
    pub failed: Vec<(Name, String)>,
    /// The user, when retrieval has read them.
    pub user: UserRead,
}

impl Call for Retrieve {
    type Reply = Retrieved;
    const PATH: &'static str = "/rpc/v1/retrieval/retrieve";
    const IDEMPOTENT: bool = true;
}

/// Asks for the items whose vectors are nearest to that of an item.
///
/// ```
/// use plugrank_contract::{
///     ItemList,
///     retrieval::{Similar, SimilarItems},
/// };
///
/// let call = Similar { item_id: "lamp".into(), k: 2, filters: vec![] };
/// let reply = SimilarItems {
///     items: ItemList::named(vec!["candle".into()]),
///     similarity: vec![0.93],
///     bundle: "shop-7".to_owned(),
/// };
/// assert!(reply.items.len() == reply.similarity.len() && reply.items.len() <= call.k as usize);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Similar {
    /// Which item. It need not be available.
    pub item_id: ItemId,
    /// How many.
    pub k: u32,
    /// Filters that each of them meets.
    pub filters: Vec<Filter>,
}

/// Reply to [`Similar`]: available items by cosine, nearest first, without the item itself.
///
/// [`Similar`] has an example.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SimilarItems {
    /// The items.
    pub items: ItemList,
    /// Cosine of each item's vector with that of the item asked for.
    pub similarity: Vec<f32>,
    /// Version of the bundle that made the vectors.
    pub bundle: String,
}

impl Call for Similar {
    type Reply = SimilarItems;
    const PATH: &'static str = "/rpc/v1/retrieval/similar";
    const IDEMPOTENT: bool = true;
}

/// Tells retrieval of events that have been stored (popularity, co-visitation).
///
/// ```
/// use plugrank_contract::{Call, retrieval::ObserveEvents};
///
/// assert!(!ObserveEvents::IDEMPOTENT, "a second time would count each click twice");
/// assert!(ObserveEvents::EVERY_REPLICA && !ObserveEvents::IN_PLACE);
/// assert_eq!(postcard::to_stdvec(&ObserveEvents { events: vec![] }).unwrap(), [0]);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObserveEvents {
    /// Stored events.
    pub events: Vec<Event>,
}

impl Call for ObserveEvents {
    type Reply = ();
    const PATH: &'static str = "/rpc/v1/retrieval/observe-events";
    const IDEMPOTENT: bool = false;
    const EVERY_REPLICA: bool = true;
    const IN_PLACE: bool = false;
}

/// Tells retrieval that items in the store were written or removed; it reads them again.
///
/// ```
/// use plugrank_contract::{Call, retrieval::RefreshItems};
///
/// let call = RefreshItems { item_ids: vec!["lamp".into()] };
/// assert_eq!(call.item_ids.len(), 1);
/// assert!(RefreshItems::IDEMPOTENT && RefreshItems::EVERY_REPLICA);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefreshItems {
    /// Which items.
    pub item_ids: Vec<ItemId>,
}

impl Call for RefreshItems {
    type Reply = ();
    const PATH: &'static str = "/rpc/v1/retrieval/refresh-items";
    const IDEMPOTENT: bool = true;
    const EVERY_REPLICA: bool = true;
    const IN_PLACE: bool = false;
}

#[cfg(test)]
mod tests {
    use super::SourceSet;

    #[test]
    fn a_source_set_holds_each_source_once() {
        let both = SourceSet::only(0).union(SourceSet::only(31)).union(SourceSet::only(0));
        assert_eq!(both.iter().collect::<Vec<_>>(), [0, 31]);
        assert!(both.contains(SourceSet::only(31)) && !both.contains(SourceSet::only(1)));
    }
}

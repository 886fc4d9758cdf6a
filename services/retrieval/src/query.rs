//! A request, with what is known of its user.

use std::collections::HashSet;

use plugrank_contract::{ItemId, TimestampMs};

use crate::catalog::ItemIndex;

/// An item that a source names. One that the catalog does not have keeps its id, so that it can be
/// reported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Named {
    /// In the catalog.
    Known(ItemIndex),
    /// Not in the catalog.
    Unknown(ItemId),
}

/// A click of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Click {
    /// Which item.
    pub(crate) item_id: ItemId,
    /// The same in the catalog, if it is there.
    pub(crate) index: Option<ItemIndex>,
}

/// What the sources and filters read.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// Distinct items the user clicked before `as_of`, latest click first.
    pub(crate) clicks: Vec<Click>,
    /// Why the clicks could not be read, if so.
    pub(crate) clicks_failed: Option<String>,
    /// The moment of the request.
    pub(crate) as_of: TimestampMs,
    /// At most this many candidates.
    pub(crate) limit: usize,
    /// Caller-given candidates.
    pub(crate) caller: Option<Vec<Named>>,
    /// Items the caller does not want.
    pub(crate) excluded: HashSet<Named>,
    /// Items the user clicked.
    pub(crate) seen: HashSet<ItemIndex>,
}

impl Query {
    /// Whether the filters will take out a known item because of this user or this request, so
    /// that a source had better name another as well.
    pub(crate) fn blocks(&self, index: ItemIndex) -> bool {
        self.seen.contains(&index)
            || (!self.excluded.is_empty() && self.excluded.contains(&Named::Known(index)))
    }
}

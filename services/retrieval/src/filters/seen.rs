//! Items the user clicked before.

use plugrank_contract::retrieval::DropReason;

use crate::{
    catalog::Catalog,
    filters::Filter,
    query::{Named, Query},
};

/// Takes out what the user clicked, unless the caller names the candidates.
pub(crate) struct Seen;

impl Filter for Seen {
    fn reason(&self) -> DropReason {
        DropReason::Seen
    }

    fn keeps(&self, item: &Named, query: &Query, _: &Catalog) -> bool {
        query.caller.is_some() || !matches!(item, Named::Known(index) if query.seen.contains(index))
    }
}

//! Items the catalog does not have.

use plugrank_contract::retrieval::DropReason;

use crate::{
    catalog::{Catalog, State},
    filters::Filter,
    query::{Named, Query},
};

/// Takes out what the catalog does not have, or no longer has.
pub(crate) struct Unknown;

impl Filter for Unknown {
    fn reason(&self) -> DropReason {
        DropReason::Unknown
    }

    fn keeps(&self, item: &Named, _: &Query, catalog: &Catalog) -> bool {
        matches!(item, Named::Known(index) if catalog.state(*index) != State::Removed)
    }
}

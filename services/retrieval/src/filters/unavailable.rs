//! Items that are not to be shown.

use plugrank_contract::retrieval::DropReason;

use crate::{
    catalog::{Catalog, State},
    filters::Filter,
    query::{Named, Query},
};

/// Takes out what is marked unavailable.
pub(crate) struct Unavailable;

impl Filter for Unavailable {
    fn reason(&self) -> DropReason {
        DropReason::Unavailable
    }

    fn keeps(&self, item: &Named, _: &Query, catalog: &Catalog) -> bool {
        !matches!(item, Named::Known(index) if catalog.state(*index) == State::Unavailable)
    }
}

//! Items the caller does not want.

use plugrank_contract::retrieval::DropReason;

use crate::{
    catalog::Catalog,
    filters::Filter,
    query::{Named, Query},
};

/// Takes out what the caller excluded, caller-given candidates included.
pub(crate) struct Excluded;

impl Filter for Excluded {
    fn reason(&self) -> DropReason {
        DropReason::Excluded
    }

    fn keeps(&self, item: &Named, query: &Query, _: &Catalog) -> bool {
        !query.excluded.contains(item)
    }
}

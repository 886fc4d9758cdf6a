//! Items the catalog does not have.

use plugrank_contract::ItemIndex;
use plugrank_items::{Availability, View};

use crate::{filters::Filter, query::Query};

/// Takes out what the catalog does not have, or no longer has.
pub(crate) struct Unknown;

impl Filter for Unknown {
    fn reason(&self) -> &'static str {
        "unknown"
    }

    fn keeps(&self, item: ItemIndex, _: &Query, view: &View<'_>) -> bool {
        view.available(item) || view.availability(item) != Availability::Removed
    }
}

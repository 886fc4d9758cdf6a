//! Items that are not to be shown.

use plugrank_contract::ItemIndex;
use plugrank_items::{Availability, View};

use crate::{filters::Filter, query::Query};

/// Takes out what is marked unavailable.
pub(crate) struct Unavailable;

impl Filter for Unavailable {
    fn reason(&self) -> &'static str {
        "unavailable"
    }

    fn keeps(&self, item: ItemIndex, _: &Query, view: &View<'_>) -> bool {
        view.available(item) || view.availability(item) != Availability::Unavailable
    }
}

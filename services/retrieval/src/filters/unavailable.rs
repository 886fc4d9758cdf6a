//! Items that are not to be shown.

use plugrank_contract::ItemIndex;
use plugrank_items::{Availability, View};

use crate::{filters::CandidateFilter, query::RetrievalQuery};

/// Takes out what is marked unavailable.
pub(crate) struct Unavailable;

impl CandidateFilter for Unavailable {
    fn reason(&self) -> &'static str {
        "unavailable"
    }

    fn keeps(&self, item: ItemIndex, _: &RetrievalQuery, view: &View<'_>) -> bool {
        view.available(item) || view.availability(item) != Availability::Unavailable
    }
}

//! Items the catalog does not have.

use plugrank_contract::ItemIndex;
use plugrank_items::{Availability, View};

use crate::{filters::CandidateFilter, query::RetrievalQuery};

/// Takes out what the catalog does not have, or no longer has.
pub(crate) struct Unknown;

impl CandidateFilter for Unknown {
    fn reason(&self) -> &'static str {
        "unknown"
    }

    fn keeps(&self, item: ItemIndex, _: &RetrievalQuery, view: &View<'_>) -> bool {
        view.available(item) || view.availability(item) != Availability::Removed
    }
}

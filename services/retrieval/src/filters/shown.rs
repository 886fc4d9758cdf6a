//! Items that earlier pages of the list showed.

use plugrank_contract::ItemIndex;
use plugrank_items::View;

use crate::{filters::CandidateFilter, query::RetrievalQuery};

/// Takes out what the cursor of the request says was shown.
pub(crate) struct ShownBefore;

impl CandidateFilter for ShownBefore {
    fn reason(&self) -> &'static str {
        "shown"
    }

    fn keeps(&self, item: ItemIndex, query: &RetrievalQuery, _: &View<'_>) -> bool {
        !query.shown.contains(item)
    }

    fn applies(&self, query: &RetrievalQuery) -> bool {
        !query.shown.is_empty()
    }
}

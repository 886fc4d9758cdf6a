//! Items that the request's filters, or its surface's, do not want.

use plugrank_contract::ItemIndex;
use plugrank_items::View;

use crate::{filters::CandidateFilter, query::RetrievalQuery};

/// Takes out what does not meet the filters of the request. The sources search among what does, so
/// that this finds what they name all the same, and what the caller names.
pub(crate) struct AskedFor;

impl CandidateFilter for AskedFor {
    fn reason(&self) -> &'static str {
        "filter"
    }

    fn keeps(&self, item: ItemIndex, query: &RetrievalQuery, view: &View<'_>) -> bool {
        match &query.narrowed {
            Some(narrowed) => narrowed.contains(item),
            None => query.filters.iter().all(|filter| filter.keeps(view, item)),
        }
    }

    fn applies(&self, query: &RetrievalQuery) -> bool {
        !query.filters.is_empty()
    }
}

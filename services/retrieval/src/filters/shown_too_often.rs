//! Items that the user was shown again and again and did not click.

use plugrank_contract::ItemIndex;
use plugrank_items::View;

use crate::{filters::CandidateFilter, query::RetrievalQuery};

/// Takes out what was shown too often. Where the caller names the candidates, no impression is read, so
/// that it stays.
pub(crate) struct ShownTooOften;

impl CandidateFilter for ShownTooOften {
    fn reason(&self) -> &'static str {
        "shown_too_often"
    }

    fn keeps(&self, item: ItemIndex, query: &RetrievalQuery, _: &View<'_>) -> bool {
        !query.shown_too_often.contains(item)
    }

    fn applies(&self, query: &RetrievalQuery) -> bool {
        !query.shown_too_often.is_empty()
    }
}

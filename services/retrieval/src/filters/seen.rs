//! Items the user clicked before.

use plugrank_contract::ItemIndex;
use plugrank_items::View;

use crate::{filters::CandidateFilter, query::RetrievalQuery};

/// Takes out what the user clicked. Where the caller names the candidates, no click is read, so that
/// what the user has seen stays.
pub(crate) struct Seen;

impl CandidateFilter for Seen {
    fn reason(&self) -> &'static str {
        "seen"
    }

    fn keeps(&self, item: ItemIndex, query: &RetrievalQuery, _: &View<'_>) -> bool {
        !query.seen.contains(item)
    }

    fn applies(&self, query: &RetrievalQuery) -> bool {
        !query.seen.is_empty()
    }
}

//! Items the caller does not want.

use plugrank_contract::ItemIndex;
use plugrank_items::View;

use crate::{filters::CandidateFilter, query::RetrievalQuery};

/// Takes out what the caller excluded, caller-given candidates included.
pub(crate) struct Excluded;

impl CandidateFilter for Excluded {
    fn reason(&self) -> &'static str {
        "excluded"
    }

    fn keeps(&self, item: ItemIndex, query: &RetrievalQuery, _: &View<'_>) -> bool {
        !query.excluded.contains(item)
    }

    fn applies(&self, query: &RetrievalQuery) -> bool {
        !query.excluded.is_empty()
    }
}

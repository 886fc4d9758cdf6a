//! Items that enter the catalog later.

use plugrank_contract::ItemIndex;
use plugrank_items::View;

use crate::{filters::CandidateFilter, query::RetrievalQuery};

/// How far the clock of a writer of items may be ahead, in milliseconds: what is new is new at once.
const AHEAD_MS: i64 = 60_000;

/// Takes out what enters the catalog after the moment of the request: written ahead of its release,
/// or unknown at a moment in the past that is asked about. An item without a time was always there.
pub(crate) struct NotYet;

impl CandidateFilter for NotYet {
    fn reason(&self) -> &'static str {
        "not_yet"
    }

    fn keeps(&self, item: ItemIndex, query: &RetrievalQuery, view: &View<'_>) -> bool {
        view.created_at(item)
            .is_none_or(|created_at| created_at <= query.as_of.saturating_add(AHEAD_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::{AHEAD_MS, CandidateFilter, NotYet};
    use crate::{
        query::RetrievalQuery,
        testing::{item, table},
    };

    #[test]
    fn an_item_is_available_from_its_creation_time() {
        let items = table(
            [
                ("old", Some(9)),
                ("now", Some(10 + AHEAD_MS)),
                ("later", Some(11 + AHEAD_MS)),
                ("any", None),
            ]
            .map(|(id, at)| item(id, &[], at)),
        );
        let (view, query) =
            (items.view(), RetrievalQuery { as_of: 10, ..RetrievalQuery::default() });
        assert_eq!(
            [0, 1, 2, 3].map(|item| NotYet.keeps(item, &query, &view)),
            [true, true, false, true]
        );
    }
}

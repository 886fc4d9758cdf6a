//! What must not be among the candidates.

mod asked_for;
mod excluded;
mod not_yet;
mod seen;
mod shown;
mod shown_too_often;
mod unavailable;
mod unknown;

use plugrank_contract::ItemIndex;
use plugrank_items::View;

use crate::{candidates::Candidates, query::RetrievalQuery};

/// The filters, in the order in which they are asked: the first that objects gives the reason.
const FILTERS: &[&dyn CandidateFilter] = &[
    &unknown::Unknown,
    &excluded::Excluded,
    &shown::ShownBefore,
    &seen::Seen,
    &shown_too_often::ShownTooOften,
    &unavailable::Unavailable,
    &not_yet::NotYet,
    &asked_for::AskedFor,
];

/// Takes candidates out. Those that stay keep their order.
pub(crate) trait CandidateFilter: Sync {
    /// Why this filter takes a candidate out, as replies show it.
    fn reason(&self) -> &'static str;
    /// Whether the candidate stays.
    fn keeps(&self, item: ItemIndex, query: &RetrievalQuery, view: &View<'_>) -> bool;
    /// Whether it can take out anything for this request.
    fn applies(&self, _: &RetrievalQuery) -> bool {
        true
    }
    /// Notes which candidates no filter before took out and this one does. Nothing to implement: it
    /// is here so that a pass over the candidates is one call.
    fn object(
        &self,
        number: u8,
        items: &[ItemIndex],
        query: &RetrievalQuery,
        view: &View<'_>,
        objections: &mut [u8],
    ) {
        for (item, objection) in items.iter().zip(objections) {
            if *objection == NONE && !self.keeps(*item, query, view) {
                *objection = number;
            }
        }
    }
}

/// No filter objects. Other objections are the number of the filter, from 1.
const NONE: u8 = 0;

/// Items taken out and why, in the order of the candidates.
pub(crate) type Removed = Vec<(ItemIndex, &'static str)>;

/// Asks every filter about every candidate, and takes out those that one of them objects to.
pub(crate) fn apply(
    candidates: &mut Candidates,
    query: &RetrievalQuery,
    view: &View<'_>,
) -> Removed {
    apply_all(FILTERS, candidates, query, view)
}

/// Whether no filter objects to an item.
pub(crate) fn keep(item: ItemIndex, query: &RetrievalQuery, view: &View<'_>) -> bool {
    FILTERS.iter().all(|filter| !filter.applies(query) || filter.keeps(item, query, view))
}

fn apply_all(
    filters: &[&dyn CandidateFilter],
    candidates: &mut Candidates,
    query: &RetrievalQuery,
    view: &View<'_>,
) -> Removed {
    let mut objections = vec![NONE; candidates.len()];
    for (number, filter) in (NONE + 1..).zip(filters) {
        if filter.applies(query) {
            filter.object(number, &candidates.indices, query, view, &mut objections);
        }
    }
    let count = objections.iter().filter(|objection| **objection != NONE).count();
    let mut removed: Removed = Vec::with_capacity(count);
    if count == 0 {
        return removed;
    }
    let objected = candidates.indices.iter().zip(&objections);
    removed.extend(
        objected
            .filter(|(_, objection)| **objection != NONE)
            .map(|(item, objection)| (*item, filters[usize::from(*objection - 1)].reason())),
    );
    candidates.retain(|at| objections[at] == NONE);
    removed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plugrank_contract::{ItemIndex, UNKNOWN_ITEM, retrieval::SourceSet};
    use plugrank_items::{ItemTable, View};

    use super::{CandidateFilter, FILTERS, apply, apply_all};
    use crate::{
        candidates::Candidates,
        query::RetrievalQuery,
        testing::{item, table},
    };

    fn items() -> Arc<ItemTable> {
        let items = ["a", "b", "c", "d", "e"].map(|id| {
            let mut item = item(id, &[], None);
            item.available = id != "d";
            item
        });
        let table = table(items);
        table.remove([&"e".into()]);
        table
    }

    fn candidates() -> Candidates {
        let indices = vec![0, 1, 2, 3, 4, UNKNOWN_ITEM];
        let sources = (0..indices.len()).map(SourceSet::only).collect();
        Candidates { indices, sources }
    }

    #[test]
    fn the_first_filter_that_removes_an_item_is_the_reason() {
        let query = RetrievalQuery {
            seen: [1, 2].into_iter().collect(),
            excluded: [2, 4].into_iter().collect(),
            ..RetrievalQuery::default()
        };
        let mut candidates = candidates();
        let removed = apply(&mut candidates, &query, &items().view());
        assert_eq!((candidates.indices, candidates.sources), (vec![0], vec![SourceSet::only(0)]));
        assert_eq!(
            removed,
            [
                (1, "seen"),
                (2, "excluded"),
                (3, "unavailable"),
                (4, "unknown"),
                (UNKNOWN_ITEM, "unknown"),
            ]
        );
    }

    /// What one more filter takes: a type, and its place in the list.
    struct Odd;

    impl CandidateFilter for Odd {
        fn reason(&self) -> &'static str {
            "odd"
        }
        fn keeps(&self, item: ItemIndex, _: &RetrievalQuery, _: &View<'_>) -> bool {
            item.is_multiple_of(2)
        }
    }

    #[test]
    fn one_more_filter_is_one_line() {
        let mut filters = FILTERS.to_vec();
        filters.push(&Odd);
        let mut candidates = candidates();
        let query = RetrievalQuery::default();
        let removed = apply_all(&filters, &mut candidates, &query, &items().view());
        assert_eq!(candidates.indices, [0, 2]);
        assert_eq!(removed[0], (1, "odd"));
        assert_eq!(removed[1], (3, "unavailable"));
    }
}

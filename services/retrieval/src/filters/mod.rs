//! What must not be among the candidates.

mod excluded;
mod seen;
mod unavailable;
mod unknown;

use plugrank_contract::retrieval::DropReason;

use crate::{
    catalog::Catalog,
    merge::Merged,
    query::{Named, Query},
};

/// Takes candidates out. Those that stay keep their order.
pub(crate) trait Filter: Send + Sync {
    /// Why this filter takes a candidate out.
    fn reason(&self) -> DropReason;
    /// Whether the candidate stays.
    fn keeps(&self, item: &Named, query: &Query, catalog: &Catalog) -> bool;
}

/// What came of filtering.
pub(crate) struct Filtered {
    /// In the order they came.
    pub(crate) kept: Vec<Merged>,
    /// In the order they were taken out.
    pub(crate) removed: Vec<(Named, DropReason)>,
}

/// The filters, in the order in which they are asked: the first that objects gives the reason.
const FILTERS: [&dyn Filter; 4] =
    [&unknown::Unknown, &excluded::Excluded, &seen::Seen, &unavailable::Unavailable];

/// Asks every filter about every candidate.
pub(crate) fn apply(candidates: Vec<Merged>, query: &Query, catalog: &Catalog) -> Filtered {
    let mut kept = Vec::with_capacity(candidates.len());
    let mut removed = Vec::new();
    for candidate in candidates {
        match FILTERS.iter().find(|filter| !filter.keeps(&candidate.item, query, catalog)) {
            None => kept.push(candidate),
            Some(filter) => removed.push((candidate.item, filter.reason())),
        }
    }
    Filtered { kept, removed }
}

#[cfg(test)]
mod tests {
    use plugrank_contract::retrieval::{DropReason, Source};
    use plugrank_store::ItemStats;

    use super::apply;
    use crate::{
        catalog::Catalog,
        merge::Merged,
        query::{Named, Query},
        testing::item,
    };

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        for id in ["a", "b", "c", "d", "e"] {
            let mut item = item(id, &[], None);
            item.available = id != "d";
            catalog.put(&item, ItemStats::default());
        }
        catalog.remove(&"e".into());
        catalog
    }

    fn candidates() -> Vec<Merged> {
        let known = (0..5).map(Named::Known);
        known
            .chain([Named::Unknown("x".into())])
            .map(|item| Merged { item, sources: vec![Source::Popular] })
            .collect()
    }

    #[test]
    fn the_first_objection_is_the_reason() {
        let query = Query {
            seen: [1, 2].into(),
            excluded: [Named::Known(2), Named::Unknown("x".into())].into(),
            ..Query::default()
        };
        let filtered = apply(candidates(), &query, &catalog());
        let kept: Vec<_> = filtered.kept.iter().map(|candidate| &candidate.item).collect();
        assert_eq!(kept, [&Named::Known(0)]);
        assert_eq!(
            filtered.removed,
            [
                (Named::Known(1), DropReason::Seen),
                (Named::Known(2), DropReason::Excluded),
                (Named::Known(3), DropReason::Unavailable),
                (Named::Known(4), DropReason::Unknown),
                (Named::Unknown("x".into()), DropReason::Unknown),
            ]
        );
    }

    #[test]
    fn what_the_caller_names_may_have_been_seen() {
        let query =
            Query { seen: [1].into(), caller: Some(vec![Named::Known(1)]), ..Query::default() };
        let candidate = Merged { item: Named::Known(1), sources: vec![Source::Caller] };
        let filtered = apply(vec![candidate.clone()], &query, &catalog());
        assert_eq!((filtered.kept, filtered.removed), (vec![candidate], vec![]));
    }
}

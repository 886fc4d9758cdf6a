//! What a request's filters leave of the catalog.

use std::cmp::Reverse;

use plugrank_contract::{CallError, Filter, ItemIndex, TimestampMs};
use plugrank_items::{CompiledFilter, Matching, View};

/// Compiles the filters of a call.
///
/// # Errors
/// When the table cannot answer one; the error's pointer begins with the how manyth filter it is.
pub(crate) fn compile(
    filters: &[Filter],
    view: &View<'_>,
) -> Result<Vec<CompiledFilter>, CallError> {
    let compile = |(at, filter): (usize, &Filter)| {
        view.compile(filter).map_err(|problems| {
            let Some(problem) = problems.into_iter().next() else {
                return CallError::internal("a filter was refused without a reason");
            };
            CallError::invalid(problem.detail).at(format!("/filters/{at}{}", problem.pointer))
        })
    };
    filters.iter().enumerate().filter(|(_, filter)| !filter.is_empty()).map(compile).collect()
}

/// The items that can be shown and meet every filter of a request.
#[derive(Debug)]
pub(crate) struct Narrowed {
    matching: Matching,
    /// All of them, most popular first, where they are so few that lists of the whole catalog would
    /// be walked further than these are long.
    few: Option<Vec<ItemIndex>>,
}

impl Narrowed {
    /// What the filters leave, for a request of `limit` candidates.
    pub(crate) fn new(filters: &[CompiledFilter], view: &View<'_>, limit: usize) -> Self {
        let matching = CompiledFilter::matching(filters, view);
        let few = is_few(matching.len(), view.index_end() as usize, limit);
        let few = few.then(|| by_popularity(&matching, view));
        Self { matching, few }
    }

    /// Whether an item is one of them.
    pub(crate) fn contains(&self, item: ItemIndex) -> bool {
        self.matching.contains(item)
    }

    /// The items.
    pub(crate) fn matching(&self) -> &Matching {
        &self.matching
    }

    /// All of them, most popular first, when they are few.
    pub(crate) fn few(&self) -> Option<&[ItemIndex]> {
        self.few.as_deref()
    }

    /// All of them that have a time of creation up to a moment, newest first, when they are few.
    pub(crate) fn few_newest(&self, view: &View<'_>, as_of: TimestampMs) -> Option<Vec<ItemIndex>> {
        let created = |item: &ItemIndex| Some((Reverse(view.created_at(*item)?), Reverse(*item)));
        let mut newest: Vec<_> = self.few()?.iter().filter_map(created).collect();
        newest.retain(|(Reverse(at), _)| *at <= as_of);
        newest.sort_unstable();
        Some(newest.into_iter().map(|(_, Reverse(item))| item).collect())
    }
}

/// To find `limit` of `matching` items in a list of all `items`, about `items * limit / matching`
/// entries are walked; to sort those that match takes about as long as to walk four times as many.
fn is_few(matching: usize, items: usize, limit: usize) -> bool {
    matching <= limit || 4 * matching * matching < items * limit
}

/// In the order of the popularity lists, by the statistics of now.
fn by_popularity(matching: &Matching, view: &View<'_>) -> Vec<ItemIndex> {
    let mut items: Vec<_> = matching
        .iter()
        .map(|item| {
            let created_at = view.created_at(item).unwrap_or(TimestampMs::MIN);
            (Reverse(view.stats(item).clicks), Reverse(created_at), item)
        })
        .collect();
    items.sort_unstable();
    items.into_iter().map(|(_, _, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::is_few;

    #[test]
    fn few_matches_depends_on_matches_catalog_and_limit() {
        assert!(is_few(50, 100_000, 300) && is_few(2_000, 100_000, 300));
        assert!(!is_few(5_000, 100_000, 300) && !is_few(50_000, 100_000, 300));
        assert!(is_few(200, 200, 300), "no list is long enough to be walked");
    }
}

//! A request, with what is known about its user.

use std::sync::Arc;

use plugrank_contract::{
    HistoryEntry, ItemId, ItemIds, ItemIndex, ItemList, TimestampMs, UNKNOWN_ITEM, UserRead,
    UserView,
};
use plugrank_items::{Availability, CompiledFilter, ItemTable, View};

use crate::{index_set::IndexSet, narrowed::Narrowed, shown::Shown};

/// A click of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Click {
    /// Its place in the user's history, or among the items of the context.
    pub(crate) entry: usize,
    /// The item, if the catalog has it.
    pub(crate) index: Option<ItemIndex>,
}

/// What the sources and filters read.
#[derive(Debug, Default)]
pub(crate) struct RetrievalQuery {
    /// The user; not read where the caller names the candidates.
    pub(crate) user: UserRead,
    /// Distinct items the user clicked before `as_of`, latest click first; the items of `context`
    /// where there are any.
    pub(crate) clicks: Vec<Click>,
    /// Items the user clicked.
    pub(crate) seen: IndexSet,
    /// Items the caller does not want.
    pub(crate) excluded: IndexSet,
    /// Items that earlier pages showed.
    pub(crate) shown: Shown,
    /// Items that the user was shown again and again.
    pub(crate) shown_too_often: IndexSet,
    /// Items that the candidates should go with.
    pub(crate) context: ItemList,
    /// Filters that every candidate meets.
    pub(crate) filters: Vec<CompiledFilter>,
    /// What they leave, where candidates are searched for.
    pub(crate) narrowed: Option<Narrowed>,
    /// The moment of the request.
    pub(crate) as_of: TimestampMs,
    /// At most this many candidates.
    pub(crate) limit: usize,
}

impl RetrievalQuery {
    /// Takes note of what the user clicked last: at most `wanted` clicks.
    pub(crate) fn read_clicks(
        &mut self,
        user: UserRead,
        wanted: usize,
        items: &ItemTable,
        view: &View<'_>,
    ) {
        if let UserRead::Read(user) = &user {
            let clicked = |(_, entry): &(usize, &HistoryEntry)| entry.clicked;
            let entries = || user.entries.iter().enumerate().filter(clicked).take(wanted);
            let mut indices = Vec::with_capacity(user.entries.len().min(wanted));
            items.indices(&mut entries().map(|(_, entry)| entry.item_id.as_str()), &mut indices);
            self.seen = IndexSet::with_room(indices.len());
            self.clicks.reserve(indices.len());
            let mut unknown: Vec<&ItemId> = Vec::new();
            for ((entry, click), index) in entries().zip(indices) {
                let new = match index {
                    UNKNOWN_ITEM if unknown.contains(&&click.item_id) => false,
                    UNKNOWN_ITEM => {
                        unknown.push(&click.item_id);
                        true
                    }
                    _ => self.seen.insert(index),
                };
                if new {
                    let there = view.availability(index) != Availability::Removed;
                    self.clicks.push(Click { entry, index: there.then_some(index) });
                }
            }
        }
        self.user = user;
    }

    /// Lets the sources go by items in place of the user's clicks, and leaves these items out.
    pub(crate) fn go_with(&mut self, context: &ItemList, items: &Arc<ItemTable>, view: &View<'_>) {
        self.clicks.clear();
        for (entry, index) in context.indices_in(items).iter().copied().enumerate() {
            self.excluded.insert(index);
            let there = view.availability(index) != Availability::Removed;
            self.clicks.push(Click { entry, index: there.then_some(index) });
        }
        self.context = context.clone();
    }

    /// The user's clicks; why there are none to go by, when they could not be read.
    pub(crate) fn clicks(&self) -> Result<&[Click], String> {
        match &self.user {
            UserRead::Failed(reason) if self.context.is_empty() => {
                Err(format!("the user's clicks cannot be read: {reason}"))
            }
            _ => Ok(&self.clicks),
        }
    }

    /// The ids of clicked items, which the catalog may not have.
    pub(crate) fn clicked_ids(&self, clicks: usize) -> impl Iterator<Item = &ItemId> {
        let user: Option<&UserView> = match &self.user {
            UserRead::Read(user) => Some(user),
            UserRead::NotRead | UserRead::Failed(_) => None,
        };
        let of = move |click: &Click| match self.context.is_empty() {
            true => Some(&user?.entries.get(click.entry)?.item_id),
            false => self.context.id_at(click.entry),
        };
        self.clicks.iter().take(clicks).filter_map(of)
    }

    /// Whether the filters will take out an available item because of this user or this request, so
    /// that a source should name another as well.
    pub(crate) fn blocks(&self, index: ItemIndex) -> bool {
        self.seen.contains(index)
            || self.excluded.contains(index)
            || self.shown.contains(index)
            || self.shown_too_often.contains(index)
            || !self.wants(index)
    }

    /// Whether an item meets the filters, as far as they were asked of the whole catalog.
    pub(crate) fn wants(&self, index: ItemIndex) -> bool {
        self.narrowed.as_ref().is_none_or(|narrowed| narrowed.contains(index))
    }

    /// All items that meet the filters, most popular first, where there are filters and few meet them.
    pub(crate) fn few(&self) -> Option<&[ItemIndex]> {
        self.narrowed.as_ref()?.few()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plugrank_contract::{HistoryEntry, HistoryLimits, ItemId, UserRead, UserView};

    use super::{Click, RetrievalQuery};
    use crate::testing::{item, table};

    #[test]
    fn clicks_are_the_newest_distinct_items_up_to_the_limit() {
        let items = table(["a", "b", "gone"].map(|id| item(id, &[], None)));
        items.remove([&"gone".into()]);
        let entry = |(id, clicked): (&str, bool)| HistoryEntry::new(id.into(), clicked, 0);
        let entries = [
            ("x", true),
            ("b", true),
            ("a", false),
            ("b", true),
            ("x", true),
            ("gone", true),
            ("y", true),
            ("a", true),
        ];
        let limits = HistoryLimits { clicks: 9, impressions: 9 };
        let user = UserView::new("u".into(), None, entries.map(entry).to_vec(), limits);
        let mut query = RetrievalQuery::default();
        query.read_clicks(UserRead::Read(Arc::new(user)), 6, &items, &items.view());
        let click = |entry, index| Click { entry, index };
        assert_eq!(
            query.clicks,
            [click(0, None), click(1, Some(1)), click(5, None), click(6, None)],
            "the seventh click is not read"
        );
        let ids: Vec<&str> = query.clicked_ids(3).map(|id| id.as_str()).collect();
        assert_eq!(ids, ["x", "b", "gone"]);
        assert!(query.blocks(1) && !query.blocks(0));

        let context = ["new", "a"].map(ItemId::from).to_vec().into();
        query.go_with(&context, &items, &items.view());
        assert_eq!(query.clicks().unwrap(), [click(0, None), click(1, Some(0))]);
        let ids: Vec<&str> = query.clicked_ids(3).map(|id| id.as_str()).collect();
        assert_eq!(ids, ["new", "a"]);
        assert!(query.blocks(0) && query.blocks(1), "what is clicked is still seen");
        query.user = UserRead::Failed("away".to_owned());
        assert_eq!(
            query.clicks().map(<[Click]>::len),
            Ok(2),
            "the user's clicks are not asked for"
        );
    }
}

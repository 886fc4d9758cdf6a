//! Lists of items as they travel from stage to stage.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ItemId;

/// Stands for an item id within one process: its place in the process's item table. An id keeps its
/// index as long as the process lives; an index is never given to another id.
pub type ItemIndex = u32;

/// Stands for an id that the item table does not have.
pub const UNKNOWN_ITEM: ItemIndex = ItemIndex::MAX;

/// Translates between ids and indices. Each process has one: its item table.
///
/// ```
/// use std::sync::Arc;
///
/// use plugrank_contract::{ItemId, ItemIds, ItemIndex, ItemList, UNKNOWN_ITEM};
///
/// #[derive(Debug)]
/// struct Catalog([ItemId; 2]);
///
/// impl ItemIds for Catalog {
///     fn id(&self, index: ItemIndex) -> Option<&ItemId> {
///         self.0.get(index as usize)
///     }
///     fn indices(&self, ids: &mut dyn Iterator<Item = &str>, found: &mut Vec<ItemIndex>) {
///         let known = |id: &str| self.0.iter().position(|known| known.as_str() == id);
///         found.extend(ids.map(|id| known(id).map_or(UNKNOWN_ITEM, |at| at as ItemIndex)));
///     }
/// }
///
/// let catalog = Arc::new(Catalog(["lamp".into(), "sofa".into()]));
/// let list = ItemList::named(vec!["sofa".into(), "boat".into()]);
/// assert_eq!(*list.indices_in(&catalog), [1, UNKNOWN_ITEM]);
/// ```
pub trait ItemIds: Send + Sync + fmt::Debug {
    /// The id of an index; `None` for an index that was never given.
    fn id(&self, index: ItemIndex) -> Option<&ItemId>;
    /// Indices of ids, same order; [`UNKNOWN_ITEM`] for an id that was never met.
    fn indices(&self, ids: &mut dyn Iterator<Item = &str>, found: &mut Vec<ItemIndex>);
}

/// Items in an order. Within a process it holds indices; on the wire it is a list of ids, which the
/// receiving process resolves once.
///
/// ```
/// use plugrank_contract::{ItemId, items::ItemList};
///
/// let list = ItemList::named(vec![ItemId::from("lamp"), ItemId::from("sofa")]);
/// let wire = postcard::to_stdvec(&list).unwrap();
/// assert_eq!(postcard::from_bytes::<ItemList>(&wire).unwrap(), list);
/// ```
#[derive(Clone, Default)]
pub struct ItemList {
    /// Whose indices these are; `None` while the list holds ids alone.
    table: Option<Arc<dyn ItemIds>>,
    indices: Arc<[ItemIndex]>,
    /// With a table: the ids of the unknown items, in their order. Without one: all ids.
    names: Vec<ItemId>,
}

impl ItemList {
    /// A list of ids that are not resolved yet.
    #[must_use]
    pub fn named(names: Vec<ItemId>) -> Self {
        Self { names, ..Self::default() }
    }

    /// A list of items of `table`. `unknown` are the ids of those whose index is
    /// [`UNKNOWN_ITEM`], in their order.
    #[must_use]
    pub fn resolved(
        table: Arc<dyn ItemIds>,
        indices: impl Into<Arc<[ItemIndex]>>,
        unknown: Vec<ItemId>,
    ) -> Self {
        Self { table: Some(table), indices: indices.into(), names: unknown }
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.table.is_some() { self.indices.len() } else { self.names.len() }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = &ItemId> {
        let mut names = self.names.iter();
        let table = self.table.as_deref();
        (0..self.len()).filter_map(move |at| match (table, self.indices.get(at)) {
            (Some(table), Some(index)) if *index != UNKNOWN_ITEM => table.id(*index),
            _ => names.next(),
        })
    }

    /// The id at a place. Cheap where the table knows the item.
    #[must_use]
    pub fn id_at(&self, place: usize) -> Option<&ItemId> {
        match (&self.table, self.indices.get(place)) {
            (Some(table), Some(index)) if *index != UNKNOWN_ITEM => table.id(*index),
            (Some(_), Some(_)) => {
                let before = self.indices[..place].iter().filter(|index| **index == UNKNOWN_ITEM);
                self.names.get(before.count())
            }
            _ => self.names.get(place),
        }
    }

    /// The indices in `table`, in order; [`UNKNOWN_ITEM`] where it does not have an id. Nothing is
    /// looked up when the list is of that very table.
    #[must_use]
    pub fn indices_in<T: ItemIds + 'static>(&self, table: &Arc<T>) -> Cow<'_, [ItemIndex]> {
        if let Some(own) = &self.table
            && std::ptr::addr_eq(Arc::as_ptr(own), Arc::as_ptr(table))
        {
            return Cow::Borrowed(&self.indices);
        }
        let mut found = Vec::with_capacity(self.len());
        table.indices(&mut self.ids().map(ItemId::as_str), &mut found);
        Cow::Owned(found)
    }

    /// As [`Self::indices_in`], for keeping.
    #[must_use]
    pub fn shared_indices_in<T: ItemIds + 'static>(&self, table: &Arc<T>) -> Arc<[ItemIndex]> {
        match self.indices_in(table) {
            Cow::Borrowed(_) => Arc::clone(&self.indices),
            Cow::Owned(found) => found.into(),
        }
    }

    /// The same list as one of `table`, resolved now if it was not.
    #[must_use]
    pub fn resolve<T: ItemIds + 'static>(&self, table: &Arc<T>) -> Self {
        match self.indices_in(table) {
            Cow::Borrowed(_) => self.clone(),
            Cow::Owned(indices) => {
                let unknown = |(id, index): (&ItemId, &ItemIndex)| {
                    (*index == UNKNOWN_ITEM).then(|| id.clone())
                };
                let unknown = self.ids().zip(&indices).filter_map(unknown).collect();
                let table: Arc<T> = Arc::clone(table);
                Self::resolved(table, indices, unknown)
            }
        }
    }
}

impl From<Vec<ItemId>> for ItemList {
    fn from(names: Vec<ItemId>) -> Self {
        Self::named(names)
    }
}

impl FromIterator<ItemId> for ItemList {
    fn from_iter<I: IntoIterator<Item = ItemId>>(ids: I) -> Self {
        Self::named(ids.into_iter().collect())
    }
}

impl PartialEq for ItemList {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.ids().eq(other.ids())
    }
}

impl fmt::Debug for ItemList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl Serialize for ItemList {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Every index of a list has an id, so that the length is right.
        to.collect_seq(Exact { ids: self.ids(), left: self.len() })
    }
}

impl<'de> Deserialize<'de> for ItemList {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Self::named)
    }
}

/// An iterator whose length is known, which compact formats ask for.
struct Exact<I> {
    ids: I,
    left: usize,
}

impl<I: Iterator> Iterator for Exact<I> {
    type Item = I::Item;
    fn next(&mut self) -> Option<I::Item> {
        self.left = self.left.saturating_sub(1);
        self.ids.next()
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Table(Vec<ItemId>);

    impl ItemIds for Table {
        fn id(&self, index: ItemIndex) -> Option<&ItemId> {
            self.0.get(index as usize)
        }
        fn indices(&self, ids: &mut dyn Iterator<Item = &str>, found: &mut Vec<ItemIndex>) {
            found.extend(ids.map(|id| {
                let at = self.0.iter().position(|known| known.as_str() == id);
                at.map_or(UNKNOWN_ITEM, |at| at as ItemIndex)
            }));
        }
    }

    fn table(ids: &[&str]) -> Arc<Table> {
        Arc::new(Table(ids.iter().map(|id| ItemId::from(*id)).collect()))
    }

    #[test]
    fn ids_are_resolved_to_the_indices_of_the_local_table() {
        let (here, there) = (table(&["a", "b", "c"]), table(&["c", "a"]));
        let list = ItemList::named(["c", "x", "a", "y"].map(ItemId::from).to_vec()).resolve(&here);
        assert_eq!(*list.indices_in(&here), [2, UNKNOWN_ITEM, 0, UNKNOWN_ITEM]);
        assert!(matches!(list.indices_in(&here), Cow::Borrowed(_)), "nothing is looked up again");
        let wire = postcard::to_stdvec(&list).unwrap();
        let received: ItemList = postcard::from_bytes(&wire).unwrap();
        assert_eq!(received, list);
        assert_eq!(*received.indices_in(&there), [0, UNKNOWN_ITEM, 1, UNKNOWN_ITEM]);
        assert_eq!(received.resolve(&there), list);
    }

    #[test]
    fn golden_bytes() {
        let here = table(&["7", "a"]);
        let list = ItemList::resolved(here, vec![1, UNKNOWN_ITEM], vec![ItemId::from("xy")]);
        assert_eq!(postcard::to_stdvec(&list).unwrap(), [2, 1, b'a', 2, b'x', b'y']);
        assert_eq!(postcard::to_stdvec(&ItemList::default()).unwrap(), [0]);
    }
}

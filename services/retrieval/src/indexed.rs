//! Which content the vectors of the index are of.

use parking_lot::Mutex;
use plugrank_contract::ItemIndex;
use plugrank_items::Content;

/// By item: the content that its vector in the index is of; `None` where it may be of another, or
/// there is no vector. Read and written only where items are read again.
#[derive(Debug, Default)]
pub(crate) struct IndexedContents(Mutex<Vec<Content>>);

impl IndexedContents {
    /// What a snapshot kept.
    pub(crate) fn restored(contents: Vec<Content>) -> Self {
        Self(Mutex::new(contents))
    }

    /// The content that an item's vector is of.
    pub(crate) fn get(&self, item: ItemIndex) -> Content {
        self.0.lock().get(item as usize).copied().flatten()
    }

    /// Says which content items' vectors are of.
    pub(crate) fn set(&self, items: impl IntoIterator<Item = (ItemIndex, Content)>) {
        let mut contents = self.0.lock();
        for (item, content) in items {
            let item = item as usize;
            if contents.len() <= item {
                contents.resize(item + 1, None);
            }
            contents[item] = content;
        }
    }

    /// What is known about the items below `end`, for a snapshot.
    pub(crate) fn saved(&self, end: usize) -> Vec<Content> {
        let mut contents = self.0.lock().clone();
        contents.resize(end, None);
        contents
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::IndexedContents;

    #[test]
    fn no_item_is_indexed_before_it_is_added() {
        let contents = IndexedContents::default();
        contents.set([(3, NonZeroU64::new(7)), (1, NonZeroU64::new(5)), (3, None)]);
        assert_eq!(
            [0, 1, 3, 9].map(|item| contents.get(item)),
            [None, NonZeroU64::new(5), None, None]
        );
        let restored = IndexedContents::restored(contents.saved(2));
        assert_eq!((restored.get(1), restored.saved(3).len()), (NonZeroU64::new(5), 3));
    }
}

//! What of an item its record is made of.

use std::{collections::BTreeSet, sync::Arc};

use plugrank_contract::Item;
use plugrank_store::{StoredItem, content_hash};

use crate::row::{Content, content_of};

/// The features that the encoders of a bundle read. What else changes of an item, its price or its stock,
/// leaves its content version as it is, so that nothing is encoded anew.
///
/// ```
/// use plugrank_items::EncodedFeatures;
///
/// assert!(EncodedFeatures::all().reads("price"));
/// assert!(!EncodedFeatures::only(["brand".to_owned()]).reads("price"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedFeatures(Option<Arc<BTreeSet<String>>>);

impl EncodedFeatures {
    /// All of them: for a process that does not know the bundle.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    /// These alone.
    #[must_use]
    pub fn only(names: impl IntoIterator<Item = String>) -> Self {
        Self(Some(Arc::new(names.into_iter().collect())))
    }

    /// Whether a feature is read.
    #[must_use]
    pub fn reads(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(name))
    }

    /// The version of what is read of an item.
    #[must_use]
    pub fn content(&self, stored: &StoredItem) -> Content {
        self.content_of(&stored.item, &stored.content)
    }

    /// The same of an item and its content hash. An item that has no other features keeps its hash.
    pub(crate) fn content_of(&self, item: &Item, hash: &[u8; 32]) -> Content {
        if item.features.keys().all(|name| self.reads(name)) {
            return content_of(hash);
        }
        let features = item.features.iter().filter(|(name, _)| self.reads(name));
        let features = features.map(|(name, value)| (name.clone(), value.clone())).collect();
        content_of(&content_hash(&Item { features, ..item.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::item;

    #[test]
    fn only_features_that_are_read_change_the_version() {
        let plain = item("a", &[], None);
        let with = |name: &str, value: i64| {
            let mut item = plain.clone();
            item.features.insert("brand".to_owned(), "x".into());
            item.features.insert(name.to_owned(), value.into());
            item
        };
        let content = |encoded: &EncodedFeatures, item: &Item| {
            encoded.content(&StoredItem { item: item.clone(), content: content_hash(item) })
        };
        let brand = EncodedFeatures::only(["brand".to_owned()]);
        assert_eq!(content(&brand, &with("price", 1)), content(&brand, &with("price", 2)));
        assert_eq!(content(&brand, &with("price", 1)), content(&brand, &with("stock", 1)));
        assert_ne!(content(&brand, &with("price", 1)), content(&brand, &plain));
        assert_ne!(content(&brand, &with("brand", 1)), content(&brand, &with("brand", 2)));
        let renamed = Item { title: "B".to_owned(), ..with("price", 1) };
        assert_ne!(content(&brand, &renamed), content(&brand, &with("price", 1)));
        let all = EncodedFeatures::all();
        assert_ne!(content(&all, &with("price", 1)), content(&all, &with("price", 2)));
        assert_eq!(content(&brand, &plain), content(&all, &plain), "no feature is left out");
    }
}

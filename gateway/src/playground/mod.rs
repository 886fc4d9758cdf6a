//! What the playground offers beside the API: shoppers with a word on their taste.

mod taste;

use std::collections::{HashMap, HashSet};

use plugrank_contract::{FeatureValue, ItemId, UserId};
use plugrank_store::{Store, StoreError, StoredItem};

use crate::api::playground::Shopper;
use taste::{Clicked, contrasting};

/// Entries of histories that are read.
const ENTRIES: usize = 30_000;
/// Entries of one page.
const PAGE: usize = 5_000;
/// Shoppers that are offered.
const SHOPPERS: usize = 12;
/// Longer features are no words.
const MAX_WORD_BYTES: usize = 24;

/// Some users of the store whose tastes differ.
pub(crate) async fn shoppers(store: &dyn Store) -> Result<Vec<Shopper>, StoreError> {
    let clicks = clicks(store).await?;
    let ids: HashSet<&ItemId> = clicks.values().flatten().collect();
    let ids: Vec<ItemId> = ids.into_iter().cloned().collect();
    let items = store.items(&ids).await?;
    let words: HashMap<&ItemId, Vec<String>> = ids
        .iter()
        .zip(&items)
        .filter_map(|(id, item)| Some((id, words(item.as_deref()?))))
        .collect();
    let clicked = clicks.iter().map(|(user, items)| Clicked {
        user: user.as_str(),
        items: items.iter().filter_map(|id| words.get(id).map(Vec::as_slice)).collect(),
    });
    Ok(contrasting(clicked.collect(), SHOPPERS))
}

/// What users clicked, of a part of the histories.
async fn clicks(store: &dyn Store) -> Result<HashMap<UserId, Vec<ItemId>>, StoreError> {
    let mut clicks: HashMap<UserId, Vec<ItemId>> = HashMap::new();
    let (mut from, mut read) = (None, 0);
    loop {
        let page = store.scan_histories(from, PAGE).await?;
        read += page.entries.len();
        for (user, entry) in page.entries.into_iter().filter(|(_, entry)| entry.clicked) {
            clicks.entry(user).or_default().push(entry.item_id);
        }
        from = page.next;
        if from.is_none() || read >= ENTRIES {
            return Ok(clicks);
        }
    }
}

/// What an item is told by, the plainest first.
fn words(stored: &StoredItem) -> Vec<String> {
    let item = &stored.item;
    let features = item.features.values().filter_map(|value| match value {
        FeatureValue::Text(text) if text.len() <= MAX_WORD_BYTES && is_word(text) => {
            Some(text.to_string())
        }
        _ => None,
    });
    let title = item.title.split_whitespace().filter(|word| is_word(word)).map(str::to_lowercase);
    let mut met = HashSet::new();
    let all = item.categories.iter().cloned().chain(features).chain(title);
    all.filter(|word| met.insert(word.to_lowercase())).collect()
}

/// Three letters or more: no number, no article.
fn is_word(text: &str) -> bool {
    text.chars().filter(|letter| letter.is_alphabetic()).count() > 2
}

//! How values are stored: postcard, the same in both stores.

use std::collections::HashSet;

use plugrank_contract::{Exposure, Item, ItemId, User, item::ContentHash};
use serde::{Serialize, de::DeserializeOwned};

use crate::{StoredItem, content::image_hash, content_hash};

/// An item as stored: its image hash set from the image's bytes, its content hash from all.
pub fn stored(mut item: Item, image: Option<&[u8]>) -> StoredItem {
    item.image_hash = image.map(image_hash);
    StoredItem { content: content_hash(&item), item }
}

/// An item as stored whose image stays: its image hash is what it says.
#[must_use]
pub fn with_kept_image(item: Item) -> StoredItem {
    StoredItem { content: content_hash(&item), item }
}

/// An item and its content hash.
pub fn encode_item(stored: &StoredItem) -> Vec<u8> {
    encode(&(&stored.content, &stored.item))
}

/// Reads what [`encode_item`] wrote.
pub fn decode_item(bytes: &[u8]) -> postcard::Result<StoredItem> {
    let (content, item): (ContentHash, Item) = decode(bytes)?;
    Ok(StoredItem { item, content })
}

/// A user's profile.
pub fn encode_user(user: &User) -> Vec<u8> {
    encode(user)
}

/// Reads what [`encode_user`] wrote.
pub fn decode_user(bytes: &[u8]) -> postcard::Result<User> {
    decode(bytes)
}

/// Neighbours of an item, best first.
pub fn encode_neighbours(neighbours: &[(ItemId, f32)]) -> Vec<u8> {
    encode(neighbours)
}

/// Reads what [`encode_neighbours`] wrote.
pub fn decode_neighbours(bytes: &[u8]) -> postcard::Result<Vec<(ItemId, f32)>> {
    decode(bytes)
}

/// Any value of the contract.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    // Writing to memory fails only for sequences of unknown length, of which the contract's types
    // have none; should one come, an empty value is refused when read, not misread.
    postcard::to_allocvec(value).unwrap_or_default()
}

/// Reads what [`encode`] wrote.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> postcard::Result<T> {
    let (value, rest) = postcard::take_from_bytes(bytes)?;
    if rest.is_empty() { Ok(value) } else { Err(postcard::Error::DeserializeBadEncoding) }
}

/// Reads a served list, as [`encode`] writes it now or as it was before lists could be logged in full: the
/// same, but for the last field, which then is empty.
pub fn decode_exposure(bytes: &[u8]) -> postcard::Result<Exposure> {
    match decode(bytes) {
        Err(postcard::Error::DeserializeUnexpectedEnd) => decode(&[bytes, &[0]].concat()),
        read => read,
    }
}

/// Of rows with equal keys keeps the last, else the order.
pub fn keep_last<R, K: Eq + std::hash::Hash>(rows: &mut Vec<R>, key: impl Fn(&R) -> K) {
    let mut seen = HashSet::with_capacity(rows.len());
    rows.reverse();
    rows.retain(|row| seen.insert(key(row)));
    rows.reverse();
}

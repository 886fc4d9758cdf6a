//! Keys of item records in the store.

use plugrank_contract::ItemId;
use plugrank_items::Content;

/// The item's id, then its content version (of fixed length, so no two keys are alike).
pub(crate) fn record_key(item: &ItemId, content: Content) -> Vec<u8> {
    let version = content.map_or(0, std::num::NonZeroU64::get);
    [item.as_str().as_bytes(), &version.to_le_bytes()].concat()
}

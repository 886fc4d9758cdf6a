//! Keys of item records in the store.

use plugrank_contract::{ItemId, item::ContentHash};

/// The item's id, then the hash of its content (of fixed length, so no two keys are alike).
pub(crate) fn record_key(item: &ItemId, content: &ContentHash) -> Vec<u8> {
    [item.as_str().as_bytes(), content].concat()
}

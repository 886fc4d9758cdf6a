//! Keys of item records in the store.

use std::num::NonZeroU64;

use plugrank_contract::ItemId;
use plugrank_items::Content;

/// The item's id, then its content version (of fixed length, so no two keys are alike).
pub(crate) fn record_key(item: &ItemId, content: Content) -> Vec<u8> {
    let version = content.map_or(0, NonZeroU64::get);
    [item.as_str().as_bytes(), &version.to_le_bytes()].concat()
}

/// The item's id and content version in a key; `None` where it is no key of a record.
pub(crate) fn split_record_key(key: &[u8]) -> Option<(&str, Content)> {
    let (id, version) = key.split_last_chunk()?;
    Some((std::str::from_utf8(id).ok()?, NonZeroU64::new(u64::from_le_bytes(*version))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_split_into_what_it_was_made_of() {
        for (id, content) in [("lamp", NonZeroU64::new(u64::MAX)), ("", NonZeroU64::new(256))] {
            let key = record_key(&id.into(), content);
            assert_eq!(split_record_key(&key), Some((id, content)));
        }
        assert_eq!(split_record_key(&record_key(&"é".into(), None)), Some(("é", None)));
        assert_eq!(split_record_key(b"short"), None);
        assert_eq!(split_record_key(b"\xff12345678"), None, "an id is UTF-8");
    }
}

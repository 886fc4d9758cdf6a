//! Order-preserving keys: compared as bytes they sort as the values do.

use plugrank_contract::{HistoryEntry, ItemId, TimestampMs};

const TIMESTAMP_BYTES: usize = 8;
const LENGTH_BYTES: usize = 4;

/// Appends a string behind its length (u32, big-endian): no string is a prefix of another, and
/// shorter ones sort first, as ids do.
pub fn push_string(key: &mut Vec<u8>, text: &str) {
    // No id comes near 4 GiB (`MAX_BYTES` is 256); saturating keeps this free of panics.
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(text.as_bytes());
}

/// Reads back what [`push_string`] wrote, and what follows it; `None` when these are not such bytes.
pub fn read_string(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// Appends a timestamp so that negative ones sort before positive ones.
pub fn push_timestamp(key: &mut Vec<u8>, timestamp: TimestampMs) {
    key.extend_from_slice(&timestamp_bytes(timestamp));
}

/// A timestamp whose bytes sort as the number does.
pub fn timestamp_bytes(timestamp: TimestampMs) -> [u8; TIMESTAMP_BYTES] {
    // Flipping the sign bit maps i64::MIN..=i64::MAX onto 0..=u64::MAX in order.
    (timestamp.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Appends what orders an entry within a user's history: timestamp, then id (shorter first). Read
/// backwards this is the order of [`plugrank_contract::History`].
pub fn push_entry(key: &mut Vec<u8>, timestamp: TimestampMs, item_id: &ItemId) {
    push_timestamp(key, timestamp);
    push_string(key, item_id.as_str());
}

/// Reads back what [`push_entry`] wrote; `None` when these are not such bytes.
pub fn read_entry(bytes: &[u8], clicked: bool) -> Option<HistoryEntry> {
    let (timestamp, rest) = bytes.split_first_chunk::<TIMESTAMP_BYTES>()?;
    let (id, []) = read_string(rest)? else { return None };
    let timestamp = (u64::from_be_bytes(*timestamp) ^ (1 << 63)).cast_signed();
    let item_id = ItemId::from(id);
    Some(HistoryEntry { item_id, clicked, timestamp })
}

/// Merges two lists, each in the order of [`plugrank_contract::History`], into one.
pub fn merge(clicks: Vec<HistoryEntry>, shown: Vec<HistoryEntry>) -> Vec<HistoryEntry> {
    let mut merged = Vec::with_capacity(clicks.len() + shown.len());
    let (mut clicks, mut shown) = (clicks.into_iter().peekable(), shown.into_iter().peekable());
    let order = |a: &HistoryEntry, b: &HistoryEntry| {
        a.timestamp.cmp(&b.timestamp).then_with(|| a.item_id.cmp(&b.item_id))
    };
    loop {
        let next = match (clicks.peek(), shown.peek()) {
            (Some(click), Some(other)) if order(click, other).is_ge() => clicks.next(),
            (_, Some(_)) => shown.next(),
            (_, None) => clicks.next(),
        };
        match next {
            Some(entry) => merged.push(entry),
            None => return merged,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(timestamp: TimestampMs, item_id: &ItemId) -> Vec<u8> {
        let mut key = Vec::new();
        push_entry(&mut key, timestamp, item_id);
        key
    }

    proptest! {
        #[test]
        fn keys_sort_as_entries_do(
            a in (any::<i64>(), ".{0,12}"), b in (any::<i64>(), ".{0,12}"), near in -1i64..=1,
        ) {
            let (id_a, id_b) = (ItemId::from(a.1), ItemId::from(b.1));
            for time_b in [b.0, a.0.saturating_add(near)] {
                let expected = (a.0, &id_a).cmp(&(time_b, &id_b));
                prop_assert_eq!(key(a.0, &id_a).cmp(&key(time_b, &id_b)), expected);
            }
        }

        #[test]
        fn keys_read_back(timestamp: i64, id in ".{0,300}", clicked: bool) {
            let item_id = ItemId::from(id);
            let entry = read_entry(&key(timestamp, &item_id), clicked);
            prop_assert_eq!(entry, Some(HistoryEntry { item_id, clicked, timestamp }));
        }

        #[test]
        fn other_bytes_are_refused_not_misread(bytes: Vec<u8>) {
            if let Some(entry) = read_entry(&bytes, false) {
                prop_assert_eq!(key(entry.timestamp, &entry.item_id), bytes);
            }
        }
    }
}

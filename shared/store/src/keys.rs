//! Order-preserving keys: compared as bytes they sort as the values do.

use plugrank_contract::{HistoryEntry, ItemId, TimestampMs, feature::Number};

const TIMESTAMP_BYTES: usize = 8;
const VALUE_BYTES: usize = 8;
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

/// Appends what else is told of an entry, its action and its value: nothing where there is neither.
/// Behind [`push_entry`] it names the entry whole.
pub fn push_details(key: &mut Vec<u8>, entry: &HistoryEntry) {
    let action = entry.action.as_deref().unwrap_or_default();
    if action.is_empty() && entry.value.is_none() {
        return;
    }
    push_string(key, action);
    key.extend(entry.value.map(|value| value.as_f64().to_be_bytes()).into_iter().flatten());
}

/// Reads back what [`push_entry`] and [`push_details`] wrote; `None` when these are not such bytes.
pub fn read_entry(bytes: &[u8], clicked: bool) -> Option<HistoryEntry> {
    let (timestamp, rest) = bytes.split_first_chunk::<TIMESTAMP_BYTES>()?;
    let (id, details) = read_string(rest)?;
    let timestamp = (u64::from_be_bytes(*timestamp) ^ (1 << 63)).cast_signed();
    let entry = HistoryEntry::new(ItemId::from(id), clicked, timestamp);
    if details.is_empty() {
        return Some(entry);
    }
    let (action, value) = read_string(details)?;
    let value = match value {
        [] if action.is_empty() => return None,
        [] => None,
        value => {
            let bytes: [u8; VALUE_BYTES] = value.try_into().ok()?;
            let value = Number::new(f64::from_be_bytes(bytes))?;
            (value.as_f64().to_be_bytes() == bytes).then_some(value)?.into()
        }
    };
    let action = (!action.is_empty()).then(|| action.into());
    Some(HistoryEntry { action, value, ..entry })
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

    fn whole_key(entry: &HistoryEntry) -> Vec<u8> {
        let mut key = key(entry.timestamp, &entry.item_id);
        push_details(&mut key, entry);
        key
    }

    proptest! {
        #[test]
        fn keys_sort_like_entries(
            a in (any::<i64>(), ".{0,12}"), b in (any::<i64>(), ".{0,12}"), near in -1i64..=1,
        ) {
            let (id_a, id_b) = (ItemId::from(a.1), ItemId::from(b.1));
            for time_b in [b.0, a.0.saturating_add(near)] {
                let expected = (a.0, &id_a).cmp(&(time_b, &id_b));
                prop_assert_eq!(key(a.0, &id_a).cmp(&key(time_b, &id_b)), expected);
            }
        }

        #[test]
        fn keys_round_trip(
            timestamp: i64, id in ".{0,300}", clicked: bool,
            action in prop::option::of(".{1,9}"), value in prop::option::of(-1e9..1e9),
        ) {
            let entry = HistoryEntry {
                action: action.map(Into::into),
                value: value.and_then(Number::new),
                ..HistoryEntry::new(ItemId::from(id), clicked, timestamp)
            };
            prop_assert_eq!(read_entry(&whole_key(&entry), clicked), Some(entry));
        }

        #[test]
        fn other_bytes_are_refused(
            head in prop_oneof![Just(key(7, &ItemId::from("i"))), any::<Vec<u8>>()],
            tail in prop_oneof![prop::collection::vec(0u8..2, 0..14), any::<Vec<u8>>()],
        ) {
            let bytes = [head, tail].concat();
            if let Some(entry) = read_entry(&bytes, false) {
                prop_assert_eq!(whole_key(&entry), bytes);
            }
        }
    }
}

//! What keeps many keys in few slots.
//!
//! In a cluster a command reaches the keys of one of 16,384 slots, chosen by the key's hash tag
//! (`{…}`; Redis cluster specification, "Hash tags"). Items and vectors are asked for by the
//! hundred, so they are spread over [`COUNT`] buckets, each with a tag of its own: a few hundred
//! keys become a few commands, and writing an item, its image and its place in the index stays
//! within a slot.

use std::sync::LazyLock;

/// Buckets. Part of the layout.
pub(crate) const COUNT: usize = 256;
/// Slots of a cluster.
const SLOTS: u16 = 16_384;

/// Tags of the buckets: for each, the smallest number that lies in its part of the slots. So
/// masters that hold equal ranges of slots hold equal numbers of buckets.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut tags = vec![String::new(); COUNT];
    let mut missing = COUNT;
    for number in 0_u32.. {
        let tag = number.to_string();
        let place = &mut tags[usize::from(slot(tag.as_bytes())) * COUNT / usize::from(SLOTS)];
        if place.is_empty() {
            *place = tag;
            missing -= 1;
            if missing == 0 {
                break;
            }
        }
    }
    tags
});

/// The bucket of a user, item or event, by its id.
pub(crate) fn bucket_of(name: &[u8]) -> usize {
    usize::from(blake3::hash(name).as_bytes()[0])
}

/// A bucket's tag, without braces.
pub(crate) fn tag(bucket: usize) -> &'static str {
    &TAGS[bucket]
}

/// The slot of a key.
pub(crate) fn slot(key: &[u8]) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(hash_tag(key)) % SLOTS
}

/// The part of a key that decides its slot.
pub(crate) fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|byte| *byte == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|byte| *byte == b'}') {
        None | Some(0) => key,
        Some(close) => &rest[..close],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_slots_follow_the_redis_specification() {
        // The specification's check value of CRC16 (XMODEM), and what `CLUSTER KEYSLOT` says.
        assert_eq!(slot(b"123456789"), 0x31C3 % SLOTS);
        assert_eq!(slot(b"somekey"), 11_058);
        assert_eq!(slot(b"foo{hash_tag}"), 2_515);
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
    }

    #[test]
    fn buckets_cover_all_slots() {
        for bucket in 0..COUNT {
            let slot = usize::from(slot(tag(bucket).as_bytes()));
            assert_eq!(slot * COUNT / usize::from(SLOTS), bucket, "{}", tag(bucket));
        }
    }

    #[test]
    fn the_bucket_layout_is_unchanged() {
        // Stored items are located by these values: a change must be deliberate, and raise SCHEMA_VERSION.
        assert_eq!((tag(0), tag(1), tag(255)), ("460", "14", "430"));
        assert_eq!((bucket_of(b""), bucket_of(b"i1"), bucket_of(b"i2")), (175, 226, 31));
    }
}

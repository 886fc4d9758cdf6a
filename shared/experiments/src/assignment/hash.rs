//! The hash that deals units.
//!
//! BLAKE3 over the parts, each after its length as eight bytes, so that no two lists of parts are
//! the same bytes; of the result the first eight bytes, little-endian. The golden values below
//! must never change: they are who is in which arm.

/// The hash of `parts` for `purpose`.
pub(super) fn hash(purpose: &str, parts: &[&str]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in [&["plugrank experiments 1", purpose], parts].concat() {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// The hash as one of `0..count`, each as likely as another.
pub(super) fn below(hash: u64, count: u16) -> u16 {
    ((u128::from(hash) * u128::from(count)) >> 64) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with the Python package blake3 from the description above.
    #[test]
    fn the_hash_mapping_is_unchanged_since_the_first_version() {
        let golden = [
            ("slot", ["ranking", "u1"], 1_587_429_567_267_052_271),
            ("slot", ["ranking", "u2"], 16_731_886_641_950_575_679),
            ("slot", ["ranking", ""], 12_042_022_404_590_290_218),
            ("arm", ["ranking", "käse"], 4_977_499_648_150_758_512),
        ];
        for (purpose, parts, expected) in golden {
            assert_eq!(hash(purpose, &parts), expected, "{purpose} {parts:?}");
        }
    }

    #[test]
    fn adjacent_parts_hash_differently() {
        assert_ne!(hash("slot", &["ab", "c"]), hash("slot", &["a", "bc"]));
        assert_ne!(hash("slot", &["a", "b"]), hash("arm", &["a", "b"]));
    }

    #[test]
    fn extreme_hashes_map_to_the_ends_of_the_range() {
        assert_eq!(below(0, 1_000), 0);
        assert_eq!(below(u64::MAX, 1_000), 999);
        assert_eq!(below(1 << 63, 1_000), 500);
    }
}

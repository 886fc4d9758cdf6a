//! Identifiers of items and users: the data set's own strings.

use std::{cmp::Ordering, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Longest accepted id, in bytes.
            pub const MAX_BYTES: usize = 256;

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// A number for the id that is the same in every process and version: cursors and the
            /// log of served lists hold it. Two ids share one with a probability of 2⁻³². FNV-1a of
            /// 64 bits, folded (RFC 9923).
            #[must_use]
            pub fn fingerprint(&self) -> u32 {
                let fnv = |hash: u64, byte: &u8| {
                    (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
                };
                let hash = self.0.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fnv);
                (hash ^ hash >> 32) as u32
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(Arc::from(id))
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(Arc::from(id))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Ord for $name {
            /// Shorter first, then by bytes: numbers without leading zeros come in numeric order.
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
    };
}

id_type!(
    /// Identifier of an item, as the data set spells it.
    ItemId
);
id_type!(
    /// Identifier of a user, as the data set spells it.
    UserId
);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::ItemId;

    #[test]
    fn fingerprints_are_stable_and_distinct() {
        // FNV-1a of "a" is af63dc4c8601ec8c.
        assert_eq!(ItemId::from("a").fingerprint(), 0xaf63_dc4c ^ 0x8601_ec8c);
        let all = (0..10_000).map(|n| ItemId::from(format!("i{n}")).fingerprint());
        assert!(all.collect::<HashSet<u32>>().len() > 9_990);
    }

    #[test]
    fn numeric_ids_sort_numerically() {
        let mut ids: Vec<ItemId> = ["10", "9", "100", "1"].map(ItemId::from).to_vec();
        ids.sort();
        assert_eq!(ids, ["1", "9", "10", "100"].map(ItemId::from));
    }
}

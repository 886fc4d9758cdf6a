//! What is counted.

use std::sync::atomic::{AtomicU64, Ordering};

use plugrank_contract::embedding::RecordOrigin;

macro_rules! counters {
    ($(#[$doc:meta])* $name:ident, $snapshot:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name {
            $($(#[$field_doc])* pub(crate) $field: AtomicU64,)*
        }

        #[doc = concat!("The values of [`", stringify!($name), "`] at one moment.")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $snapshot {
            $($(#[$field_doc])* pub $field: u64,)*
        }

        impl $name {
            /// The values now.
            #[must_use]
            pub fn snapshot(&self) -> $snapshot {
                $snapshot { $($field: self.$field.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Counts since the start; the edge turns them into metrics.
    EncodingMetrics, EncodingCounts {
        /// Records found in the in-process tier.
        memory,
        /// Records found in the store.
        store,
        /// Records encoded while a call waited.
        encoded,
        /// Missing records handed out for items of the catalog.
        missing,
        /// Missing records handed out for ids the catalog does not have.
        unknown,
        /// Items encoded, whoever asked.
        items_encoded,
        /// Items that could not be encoded.
        encode_failures,
        /// Items not taken on because the encode queue was full.
        encode_refused,
        /// Images that could not be decoded; the item's image counts as absent.
        bad_images,
        /// Batches of records written to the store.
        write_backs,
        /// Batches of records the store did not take.
        write_back_failures,
        /// Items not written because the write-back queue was full.
        write_back_refused,
        /// Reads of cached vectors that failed or came too late.
        store_read_failures,
        /// Cached vectors of the wrong length, made again.
        corrupt_vectors,
        /// User states found in the in-process tier.
        user_states_cached,
        /// User states made.
        user_states_encoded,
    }
}

impl EncodingMetrics {
    pub(crate) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn origin(&self, origin: RecordOrigin, in_catalog: bool) {
        let counter = match (origin, in_catalog) {
            (RecordOrigin::Memory, _) => &self.memory,
            (RecordOrigin::Store, _) => &self.store,
            (RecordOrigin::Encoded, _) => &self.encoded,
            (RecordOrigin::Missing, true) => &self.missing,
            (RecordOrigin::Missing, false) => &self.unknown,
        };
        Self::add(counter, 1);
    }
}

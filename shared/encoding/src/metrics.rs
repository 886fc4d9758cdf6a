//! What is counted.

use std::sync::atomic::{AtomicU64, Ordering};

use plugrank_contract::embedding::RecordOrigin;

/// Makes counters: of each its field, the name of its metric, and what it counts, which is the metric's help.
macro_rules! counters {
    (
        $(#[$doc:meta])* $name:ident, $snapshot:ident {
            $(#[doc = $help:literal] $field:ident = $metric:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name {
            $(#[doc = $help] pub(crate) $field: AtomicU64,)*
        }

        #[doc = concat!("The values of [`", stringify!($name), "`] at one moment.")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $snapshot {
            $(#[doc = $help] pub $field: u64,)*
        }

        impl $name {
            /// The values now.
            #[must_use]
            pub fn snapshot(&self) -> $snapshot {
                $snapshot { $($field: self.$field.load(Ordering::Relaxed),)* }
            }
        }

        impl $snapshot {
            /// Each as a metric: its name, what it counts, its value.
            pub fn metrics(self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$(($metric, help($help), self.$field),)*].into_iter()
            }
        }
    };
}

/// A doc comment as a metric's help.
fn help(comment: &'static str) -> &'static str {
    let comment = comment.trim();
    comment.strip_suffix('.').unwrap_or(comment)
}

counters! {
    /// Counts since the start; the edge turns them into metrics.
    EncodingMetrics, EncodingCounts {
        /// Records found in the in-process tier.
        memory = "records_memory",
        /// Records found in the store.
        store = "records_store",
        /// Records encoded while a call waited.
        encoded = "records_encoded",
        /// Missing records for items of the catalog.
        missing = "records_missing",
        /// Missing records for ids the catalog does not have.
        unknown = "records_unknown",
        /// Items encoded, for calls and in the background.
        items_encoded = "items_encoded",
        /// Items that could not be encoded.
        encode_failures = "encode_failures",
        /// Items not taken on because the encode queue was full.
        encode_refused = "encode_refused",
        /// Images that could not be decoded; the item's image counts as absent.
        bad_images = "bad_images",
        /// Batches of records written to the store.
        write_backs = "write_backs",
        /// Batches of records the store did not take.
        write_back_failures = "write_back_failures",
        /// Items not written because the write-back queue was full.
        write_back_refused = "write_back_refused",
        /// Reads of cached vectors that failed or came too late.
        store_read_failures = "store_read_failures",
        /// Cached vectors of the wrong length, made again.
        corrupt_vectors = "corrupt_vectors",
        /// User states found in the in-process tier.
        user_states_cached = "user_states_cached",
        /// User states made.
        user_states_encoded = "user_states_encoded",
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

#[cfg(test)]
#[allow(
    unreachable_pub,
    private_interfaces,
    reason = "lists made here are as public as the real one"
)]
mod tests {
    use super::*;

    counters! {
        /// One more.
        Pump, PumpCounts {
            /// Litres that were pumped.
            litres = "pumped_litres",
        }
    }

    #[test]
    fn one_more_metric_is_one_field() {
        let pump = Pump::default();
        EncodingMetrics::add(&pump.litres, 3);
        let counted: Vec<_> = pump.snapshot().metrics().collect();
        assert_eq!(counted, [("pumped_litres", "Litres that were pumped", 3)]);
    }
}

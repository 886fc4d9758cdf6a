//! Ids of requests.

use std::time::{SystemTime, UNIX_EPOCH};

use plugrank_runtime::trace_context;
use uuid::{Builder, Uuid};

/// A new id, a UUID of version 7: it begins with the time, so that ids sort by it. The rest is from
/// the generator of trace ids, which asks the system for its seed alone.
pub(crate) fn fresh() -> Uuid {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
    Builder::from_unix_timestamp_millis(millis, &trace_context::random_bytes()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::fresh;

    #[test]
    fn ids_differ_and_sort_by_time() {
        let ids = [fresh(), fresh()];
        assert_ne!(ids[0], ids[1]);
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        let time = |id: &uuid::Uuid| id.as_u128() >> 80;
        assert!(time(&ids[0]) <= time(&ids[1]));
    }
}

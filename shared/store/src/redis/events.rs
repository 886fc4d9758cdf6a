//! The event log, and what events change.

use std::time::Duration;

use deadpool_redis::redis::Script;
use plugrank_contract::{Event, EventType, HistoryEntry};

use super::{connection::Server, history, keys::Keys};
use crate::{StoreError, codec};

/// Appends events in one run of the script; for each, whether it was new.
pub(super) async fn append(
    server: &Server,
    keys: &Keys,
    script: &Script,
    memory: Duration,
    events: &[Event],
) -> Result<Vec<bool>, StoreError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let mut call = script.prepare_invoke();
    call.arg(memory.as_secs().max(1));
    for event in events {
        let (user, item) = (&event.user_id, &event.item_id);
        let clicked = event.event_type == EventType::Click;
        let entry = HistoryEntry { item_id: item.clone(), clicked, timestamp: event.timestamp };
        let event_key = keys.event(&event.event_id);
        // Without a request there is no exposure to look up; the script leaves this key alone.
        let exposure = match &event.request_id {
            Some(request) => keys.exposure(user, request),
            None => event_key.clone(),
        };
        call.key(event_key).key(exposure);
        call.key(keys.clicks(user)).key(keys.shown(user)).key(keys.stats(item));
        call.arg(codec::encode(event)).arg(if clicked { "c" } else { "s" });
        call.arg(if event.request_id.is_some() { "1" } else { "" });
        call.arg(item.as_str()).arg(history::member(&entry));
    }
    let work = async |connection: &mut _| call.invoke_async(connection).await;
    let fresh: Vec<i64> = server.exchange("EVALSHA", None, work).await?;
    Ok(fresh.into_iter().map(|new| new == 1).collect())
}

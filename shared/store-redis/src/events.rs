//! The event log, and what events change.
//!
//! A user's keys and an item's keys lie in different slots, so an event is written in two steps.
//! First, in the user's slot: the event, its exposure and the history, in one run of a script,
//! which answers what there is to count. Second, in the item's slot: the statistics, with a note
//! that this event was counted. Whoever is interrupted between the two repeats the call: the first
//! step then answers the same and the second finds its note, so every event counts once.

use std::{collections::HashMap, time::Duration};

use plugrank_contract::{Event, EventType, HistoryEntry, ItemId, UserId};
use plugrank_store::{StoreError, codec};

use crate::{
    batch::Kind,
    connection::Server,
    history,
    keys::{Key, Keys},
    scripts,
};

/// How long it is remembered that an event was counted. A call that was interrupted and is repeated
/// within half of it counts its events; later ones find them counted or not, as it happened.
const COUNTED: Duration = Duration::from_secs(24 * 60 * 60);
/// Events of one user in one run of the script.
const CHUNK: usize = 1000;

/// Appends events; for each, whether it was new.
pub(crate) async fn append(
    server: &Server,
    keys: &Keys,
    memory: Duration,
    events: &[Event],
) -> Result<Vec<bool>, StoreError> {
    let memory = memory.as_secs().max(1);
    let counted = COUNTED.as_secs().min(memory);
    let mut users: HashMap<&UserId, Vec<usize>> = HashMap::new();
    for (at, event) in events.iter().enumerate() {
        users.entry(&event.user_id).or_default().push(at);
    }
    let runs: Vec<(&UserId, &[usize])> = users
        .iter()
        .flat_map(|(user, places)| places.chunks(CHUNK).map(|places| (*user, places)))
        .collect();
    let mut batch = server.batch(Kind::Durable);
    for (user, places) in &runs {
        let mut of_run = vec![keys.clicks(user), keys.shown(user)];
        let number = |seconds: u64| seconds.to_string().into_bytes();
        let mut args = vec![number(memory), number(counted / 2)];
        for at in *places {
            add(keys, &events[*at], &mut of_run, &mut args);
        }
        batch.run(&scripts::APPEND_EVENTS, &of_run, &args);
    }
    let replies: Vec<Vec<(u8, String)>> = server.send(batch).await?;
    let mut fresh = vec![false; events.len()];
    let mut items: HashMap<&ItemId, (Vec<Key>, Vec<Vec<u8>>)> = HashMap::new();
    for ((_, places), reply) in runs.iter().zip(replies) {
        for (at, (new, counts)) in places.iter().zip(reply) {
            let event = &events[*at];
            fresh[*at] = new == 1;
            if counts != "-" {
                let (of_item, args) = items.entry(&event.item_id).or_insert_with(|| {
                    (vec![keys.stats(&event.item_id)], vec![counted.to_string().into_bytes()])
                });
                of_item.push(keys.counted(&event.item_id, &event.user_id, &event.event_id));
                args.push(counts.into_bytes());
            }
        }
    }
    let mut batch = server.batch(Kind::Durable);
    for (of_item, args) in items.values() {
        batch.run(&scripts::COUNT_EVENTS, of_item, args);
    }
    server.send::<()>(batch).await?;
    Ok(fresh)
}

/// What the script reads of one event.
fn add(keys: &Keys, event: &Event, of_run: &mut Vec<Key>, args: &mut Vec<Vec<u8>>) {
    let (user, item) = (&event.user_id, &event.item_id);
    let clicked = event.event_type == EventType::Click;
    let entry = HistoryEntry { item_id: item.clone(), clicked, timestamp: event.timestamp };
    let event_key = keys.event(user, &event.event_id);
    // Without a request there is no exposure to look up; the script leaves this key alone.
    let exposure = match &event.request_id {
        Some(request) => keys.exposure(user, request),
        None => event_key.clone(),
    };
    of_run.extend([event_key, exposure]);
    args.push(codec::encode(event));
    args.push(if clicked { b"c".to_vec() } else { b"s".to_vec() });
    args.push(if event.request_id.is_some() { b"1".to_vec() } else { Vec::new() });
    args.push(item.as_str().as_bytes().to_vec());
    args.push(history::member(&entry));
}

//! The event log, and what events change.
//!
//! A user's keys and an item's keys lie in different slots, so an event is written in two steps.
//! First, in the user's slot: the event, its showing and the history, in one run of a script, which
//! answers what there is to count. Second, in the item's slot: the statistics, with a note that
//! this event was counted. A caller that is interrupted between the two repeats the call: the first
//! step then answers the same and the second finds its note, so every event counts once.
//!
//! A user's events are a hash by id, each behind [`HEAD`] bytes of the script's, and a sorted set of
//! their ids by time.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use plugrank_contract::{Event, HistoryEntry, ItemId, UserId};
use plugrank_store::{StoreError, codec, keys as bytes};

use crate::{
    batch::Kind,
    connection::Server,
    history,
    keys::{Key, Keys, Log},
    scripts,
};

/// How long it is remembered that an event was counted. A call that was interrupted and is repeated
/// within half of it counts its events; later ones find them counted or not, as it happened.
const COUNTED: Duration = Duration::from_secs(24 * 60 * 60);
/// Events of one user in one run of the script.
const CHUNK: usize = 1000;
/// Bytes in front of a stored event: what it counts (1), when it was written (4), what it adds to
/// popularity (8), a mark of its content (8).
const HEAD: usize = 21;

/// How long keys are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) events: Duration,
    pub(crate) popularity_half_life: Duration,
}

/// Appends events; for each, whether it was new.
pub(crate) async fn append(
    server: &Server,
    keys: &Keys,
    memory: Memory,
    events: &[Event],
) -> Result<Vec<bool>, StoreError> {
    let half_life = memory.popularity_half_life.as_millis().max(1);
    let memory = memory.events.as_secs().max(1);
    let counted = COUNTED.as_secs().min(memory);
    let mut users: HashMap<&UserId, Vec<usize>> = HashMap::new();
    for (at, event) in events.iter().enumerate() {
        users.entry(&event.user_id).or_default().push(at);
    }
    let runs: Vec<(&UserId, &[usize])> = users
        .iter()
        .flat_map(|(user, places)| places.chunks(CHUNK).map(|places| (*user, places)))
        .collect();
    let number = |seconds: u64| seconds.to_string().into_bytes();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut batch = server.batch(Kind::Durable);
    for (user, places) in &runs {
        let of_user = [
            keys.clicks(user),
            keys.shown(user),
            keys.events(user),
            keys.log(Log::Events, user),
            keys.showings(user),
        ];
        let mut args = vec![number(memory), number(counted / 2), number(now)];
        for at in *places {
            add(&events[*at], &mut args);
        }
        batch.run(&scripts::APPEND_EVENTS, &of_user, &args);
    }
    let replies: Vec<Vec<(u8, String, String)>> = server.send(batch).await?;
    let mut fresh = vec![false; events.len()];
    let mut items: HashMap<&ItemId, (Vec<Key>, Vec<Vec<u8>>)> = HashMap::new();
    for ((_, places), reply) in runs.iter().zip(replies) {
        for (at, (new, counts, added)) in places.iter().zip(reply) {
            let event = &events[*at];
            fresh[*at] = new == 1;
            if counts != "-" || added != "0" {
                let (of_item, args) = items.entry(&event.item_id).or_insert_with(|| {
                    let args = vec![number(counted), half_life.to_string().into_bytes()];
                    (vec![keys.stats(&event.item_id)], args)
                });
                of_item.push(keys.counted(&event.item_id, &event.user_id, &event.event_id));
                let time = event.timestamp.to_string().into_bytes();
                args.extend([counts.into_bytes(), added.into_bytes(), time]);
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
fn add(event: &Event, args: &mut Vec<Vec<u8>>) {
    let entry = HistoryEntry::from_event(event);
    let showing = showing(event);
    let mut mark = blake3::Hasher::new();
    for text in [&*event.event_type.name, event.item_id.as_str()] {
        mark.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    mark.update(&showing);
    args.push(event.event_id.clone().into_bytes());
    args.push(event.timestamp.to_string().into_bytes());
    args.push(codec::encode(event));
    args.push(mark.finalize().as_bytes()[..8].to_vec());
    args.push(if entry.clicked { b"c".to_vec() } else { b"s".to_vec() });
    args.push(event.event_type.weight.to_string().into_bytes());
    args.push(showing);
    args.extend(history::member(&entry));
}

/// What names a showing among those of its user; empty for an event without a request.
pub(crate) fn showing(event: &Event) -> Vec<u8> {
    let mut showing = Vec::new();
    if let Some(request) = &event.request_id {
        bytes::push_string(&mut showing, request);
        showing.extend_from_slice(event.item_id.as_str().as_bytes());
    }
    showing
}

/// Reads a stored event.
pub(crate) fn read(server: &Server, stored: &[u8]) -> Result<Event, StoreError> {
    let event = stored.get(HEAD..).unwrap_or_default();
    codec::decode(event).map_err(|error| server.unreadable("an event", error))
}

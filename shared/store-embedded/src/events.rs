//! The event log, and what events change.

use std::time::Duration;

use plugrank_contract::{Event, HistoryEntry, UserId};
use plugrank_store::{
    LogCursor, LogPage, TimeRange, codec,
    effect::{self, SHOWING_BYTES, effect},
    keys,
};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::{
    error::Failure,
    history::{self, EntryKey, HISTORY},
    log,
    stats::{self, STATS, Stats},
};

/// User and event id to the event's time: what tells a repeated event.
pub(crate) const EVENT_IDS: TableDefinition<&[u8], i64> = TableDefinition::new("event_ids");
/// Time, user and event id to the event (postcard).
pub(crate) const EVENTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("events");
/// User, request and item to what is known of this showing ([`effect::to_bytes`]).
pub(crate) const SHOWINGS: TableDefinition<&[u8], [u8; SHOWING_BYTES]> =
    TableDefinition::new("showings");

/// Appends events; for each, whether it was new.
pub(crate) fn append(
    txn: &WriteTransaction,
    events: &[Event],
    half_life: Duration,
) -> Result<Vec<bool>, Failure> {
    let mut tables = Tables {
        ids: txn.open_table(EVENT_IDS)?,
        log: txn.open_table(EVENTS)?,
        showings: txn.open_table(SHOWINGS)?,
        history: txn.open_table(HISTORY)?,
        stats: txn.open_table(STATS)?,
        half_life,
    };
    events.iter().map(|event| tables.append(event)).collect()
}

struct Tables<'txn> {
    ids: Table<'txn, &'static [u8], i64>,
    log: Table<'txn, &'static [u8], &'static [u8]>,
    showings: Table<'txn, &'static [u8], [u8; SHOWING_BYTES]>,
    history: Table<'txn, &'static [u8], ()>,
    stats: Table<'txn, &'static str, Stats>,
    half_life: Duration,
}

impl Tables<'_> {
    fn append(&mut self, event: &Event) -> Result<bool, Failure> {
        let key = id_key(event);
        if self.ids.get(key.as_slice())?.is_some() {
            return Ok(false);
        }
        self.ids.insert(key.as_slice(), event.timestamp)?;
        let bytes = codec::encode(event);
        self.log.insert(log::key(event.timestamp, &key).as_slice(), bytes.as_slice())?;

        let showing = showing_key(event);
        let known = match &showing {
            None => None,
            Some(key) => self
                .showings
                .get(key.as_slice())?
                .map(|value| {
                    effect::from_bytes(value.value())
                        .ok_or_else(|| Failure::unreadable("showings", "unknown state"))
                })
                .transpose()?,
        };
        let effect = effect(&event.event_type, event.timestamp, known);

        let entry = |timestamp, clicked| {
            let entry = HistoryEntry { timestamp, clicked, ..HistoryEntry::from_event(event) };
            EntryKey::new(&event.user_id, &entry)
        };
        if let Some(at) = effect.replaces {
            history::remove(&mut self.history, &entry(at, false))?;
        }
        if let Some(clicked) = effect.entry {
            history::insert(&mut self.history, &entry(event.timestamp, clicked))?;
        }
        if let Some((at, clicked)) = effect.retells {
            history::retell(&mut self.history, &entry(at, clicked))?;
        }
        stats::add(&mut self.stats, &event.item_id, &effect, event.timestamp, self.half_life)?;
        if let (Some(key), Some(state)) = (&showing, effect.showing) {
            self.showings.insert(key.as_slice(), effect::to_bytes(state))?;
        }
        Ok(true)
    }
}

/// Events of a span of time, in its order.
pub(crate) fn scan(
    txn: &ReadTransaction,
    range: TimeRange,
    after: Option<&LogCursor>,
    limit: usize,
) -> Result<LogPage<Event>, Failure> {
    log::scan(&txn.open_table(EVENTS)?, "events", range, after, limit)
}

/// Removes up to `limit` events from before a moment, with their ids and what is known of their
/// showings; how many.
pub(crate) fn forget(txn: &WriteTransaction, before: i64, limit: usize) -> Result<u64, Failure> {
    let mut log = txn.open_table(EVENTS)?;
    let mut ids = txn.open_table(EVENT_IDS)?;
    let mut showings = txn.open_table(SHOWINGS)?;
    let old: Vec<(Vec<u8>, Event)> = log::oldest(&log, "events", before, limit)?;
    for (key, event) in &old {
        log.remove(key.as_slice())?;
        ids.remove(id_key(event).as_slice())?;
        if let Some(key) = showing_key(event) {
            showings.remove(key.as_slice())?;
        }
    }
    Ok(old.len() as u64)
}

/// Removes all events of a user.
pub(crate) fn delete(txn: &WriteTransaction, user: &UserId) -> Result<(), Failure> {
    let mut log = txn.open_table(EVENTS)?;
    let mut ids = txn.open_table(EVENT_IDS)?;
    let mut showings = txn.open_table(SHOWINGS)?;
    for (key, at) in log::of_user(&ids, user)? {
        log.remove(log::key(at, &key).as_slice())?;
        ids.remove(key.as_slice())?;
    }
    let user = log::user_range(user);
    showings.retain_in::<&[u8], _>(user.bounds(), |_, _| false)?;
    Ok(())
}

fn id_key(event: &Event) -> Vec<u8> {
    let mut key = Vec::with_capacity(4 + event.user_id.as_str().len() + event.event_id.len());
    keys::push_string(&mut key, event.user_id.as_str());
    key.extend_from_slice(event.event_id.as_bytes());
    key
}

fn showing_key(event: &Event) -> Option<Vec<u8>> {
    let request = event.request_id.as_deref()?;
    let mut key = Vec::new();
    keys::push_string(&mut key, event.user_id.as_str());
    keys::push_string(&mut key, request);
    keys::push_string(&mut key, event.item_id.as_str());
    Some(key)
}

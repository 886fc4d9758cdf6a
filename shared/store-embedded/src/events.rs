//! The event log, and what events change.

use plugrank_contract::Event;
use plugrank_store::{
    codec,
    exposure::{self, effect},
    keys,
};
use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::{
    error::Failure,
    history::{self, EntryKey, HISTORY},
    stats::{self, STATS},
};

/// User and event id to the event (postcard): the log, and what tells a repeated event.
pub(crate) const EVENTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("events");
/// User, request and item to what is known about this exposure ([`exposure::to_bytes`]).
pub(crate) const EXPOSURES: TableDefinition<&[u8], [u8; 9]> = TableDefinition::new("exposures");

/// Appends events; for each, whether it was new.
pub(crate) fn append(txn: &WriteTransaction, events: &[Event]) -> Result<Vec<bool>, Failure> {
    let mut tables = Tables {
        log: txn.open_table(EVENTS)?,
        exposures: txn.open_table(EXPOSURES)?,
        history: txn.open_table(HISTORY)?,
        stats: txn.open_table(STATS)?,
    };
    events.iter().map(|event| tables.append(event)).collect()
}

struct Tables<'txn> {
    log: Table<'txn, &'static [u8], &'static [u8]>,
    exposures: Table<'txn, &'static [u8], [u8; 9]>,
    history: Table<'txn, &'static [u8], ()>,
    stats: Table<'txn, &'static str, (u64, u64)>,
}

impl Tables<'_> {
    fn append(&mut self, event: &Event) -> Result<bool, Failure> {
        let key = event_key(event);
        if self.log.get(key.as_slice())?.is_some() {
            return Ok(false);
        }
        self.log.insert(key.as_slice(), codec::encode(event).as_slice())?;

        let exposure = exposure_key(event);
        let known = match &exposure {
            None => None,
            Some(key) => self
                .exposures
                .get(key.as_slice())?
                .map(|value| {
                    exposure::from_bytes(value.value())
                        .ok_or_else(|| Failure::unreadable("exposures", "unknown state"))
                })
                .transpose()?,
        };
        let effect = effect(event.event_type, event.timestamp, known);

        let entry = |at, clicked| EntryKey::new(&event.user_id, &event.item_id, at, clicked);
        if let Some(at) = effect.replaces {
            history::remove(&mut self.history, &entry(at, false))?;
        }
        if let Some(clicked) = effect.entry {
            history::insert(&mut self.history, &entry(event.timestamp, clicked))?;
        }
        stats::add(&mut self.stats, &event.item_id, effect.impressions, effect.clicks)?;
        if let (Some(key), Some(state)) = (&exposure, effect.exposure) {
            self.exposures.insert(key.as_slice(), exposure::to_bytes(state))?;
        }
        Ok(true)
    }
}

fn event_key(event: &Event) -> Vec<u8> {
    let mut key = Vec::new();
    keys::push_string(&mut key, event.user_id.as_str());
    key.extend_from_slice(event.event_id.as_bytes());
    key
}

fn exposure_key(event: &Event) -> Option<Vec<u8>> {
    let request = event.request_id.as_deref()?;
    let mut key = Vec::new();
    keys::push_string(&mut key, event.user_id.as_str());
    keys::push_string(&mut key, request);
    keys::push_string(&mut key, event.item_id.as_str());
    Some(key)
}

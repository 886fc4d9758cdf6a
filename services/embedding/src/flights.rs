//! One encoding at a time for each item and content.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{FutureExt, channel::oneshot, future::Shared};
use plugrank_contract::ItemKey;
use plugrank_store::StoredItem;

use crate::memory::Record;

/// Ends with the item's record, or without one when it could not be encoded.
pub(crate) type Flight = Shared<oneshot::Receiver<Option<Record>>>;

/// Encodings under way, by item and content.
#[derive(Default)]
pub(crate) struct Flights {
    open: Mutex<HashMap<ItemKey, Flight>>,
}

/// An item to encode. Dropping it, answered or not, closes its flight.
pub(crate) struct Ticket {
    pub(crate) item: Arc<StoredItem>,
    key: ItemKey,
    flights: Arc<Flights>,
    done: Option<oneshot::Sender<Option<Record>>>,
}

impl Flights {
    fn open(&self) -> MutexGuard<'_, HashMap<ItemKey, Flight>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flight of this item, if one is under way.
    pub(crate) fn joined(&self, key: &ItemKey) -> Option<Flight> {
        self.open().get(key).cloned()
    }

    /// Opens a flight for an item; when another caller was quicker, theirs and no ticket.
    pub(crate) fn begin(self: &Arc<Self>, item: &Arc<StoredItem>) -> (Flight, Option<Ticket>) {
        let key = key_of(item);
        let mut open = self.open();
        if let Some(flight) = open.get(&key) {
            return (flight.clone(), None);
        }
        let (done, receiver) = oneshot::channel();
        let flight = receiver.shared();
        open.insert(key.clone(), flight.clone());
        let flights = Arc::clone(self);
        (flight, Some(Ticket { item: Arc::clone(item), key, flights, done: Some(done) }))
    }

    /// Flights under way.
    pub(crate) fn len(&self) -> usize {
        self.open().len()
    }
}

impl Ticket {
    /// Hands the outcome to everybody who waits for it.
    pub(crate) fn finish(mut self, record: Option<Record>) {
        if let Some(done) = self.done.take() {
            // Nobody may wait any more; the record is in the tiers all the same.
            let _ = done.send(record);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.flights.open().remove(&self.key);
    }
}

/// Item and content of a stored item.
pub(crate) fn key_of(item: &StoredItem) -> ItemKey {
    ItemKey { item_id: item.item.item_id.clone(), content: item.content }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use plugrank_contract::{Item, ItemId};

    use super::*;

    fn item(content: u8) -> Arc<StoredItem> {
        let item = Item {
            item_id: ItemId::from("i1"),
            title: String::new(),
            text: String::new(),
            categories: Vec::new(),
            created_at: None,
            available: true,
            image_hash: None,
            features: BTreeMap::new(),
        };
        Arc::new(StoredItem { item, content: [content; 32] })
    }

    #[tokio::test]
    async fn those_who_come_second_wait_for_the_first() {
        let flights = Arc::new(Flights::default());
        let (first, ticket) = flights.begin(&item(1));
        let (second, none) = flights.begin(&item(1));
        assert!(none.is_none());
        let (_, changed) = flights.begin(&item(2));
        assert!(changed.is_some(), "other content is another flight");
        let record: Record = Arc::from(vec![7u8]);
        ticket.unwrap().finish(Some(Arc::clone(&record)));
        assert_eq!(first.await, Ok(Some(Arc::clone(&record))));
        assert_eq!(second.await, Ok(Some(record)));
        drop(changed);
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn a_ticket_that_is_lost_ends_its_flight() {
        let flights = Arc::new(Flights::default());
        let (flight, ticket) = flights.begin(&item(1));
        drop(ticket);
        assert!(flight.await.is_err());
        assert!(flights.joined(&key_of(&item(1))).is_none());
    }
}

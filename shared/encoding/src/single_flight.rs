//! One encoding at a time for each item and content.

use std::{collections::HashMap, sync::Arc};

use futures::{FutureExt, channel::oneshot, future::Shared};
use parking_lot::Mutex;
use plugrank_contract::{ItemId, ItemIndex};
use plugrank_items::Content;

use crate::record_set::Record;

/// Ends with the item's record, or without one when it could not be encoded.
pub(crate) type PendingRecord = Shared<oneshot::Receiver<Option<Record>>>;

/// An item and the content that its row had when it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct ItemToEncode {
    pub(crate) item: ItemIndex,
    pub(crate) id: ItemId,
    pub(crate) asked: Content,
}

impl ItemToEncode {
    fn key(&self) -> Key {
        (self.item, self.asked)
    }
}

type Key = (ItemIndex, Content);

/// Encodings under way, by item and content.
#[derive(Default)]
pub(crate) struct SingleFlight {
    pending: Mutex<HashMap<Key, PendingRecord>>,
}

/// An item to encode. Dropping it, answered or not, ends its encoding.
pub(crate) struct EncodeTicket {
    pub(crate) item: ItemToEncode,
    single_flight: Arc<SingleFlight>,
    done: Option<oneshot::Sender<Option<Record>>>,
}

impl SingleFlight {
    /// The encoding of this item, if one is under way.
    pub(crate) fn joined(&self, item: &ItemToEncode) -> Option<PendingRecord> {
        self.pending.lock().get(&item.key()).cloned()
    }

    /// Begins encoding an item; when another caller was quicker, theirs and no ticket.
    pub(crate) fn begin(
        self: &Arc<Self>,
        item: &ItemToEncode,
    ) -> (PendingRecord, Option<EncodeTicket>) {
        let mut pending = self.pending.lock();
        if let Some(begun) = pending.get(&item.key()) {
            return (begun.clone(), None);
        }
        let (done, receiver) = oneshot::channel();
        let begun = receiver.shared();
        pending.insert(item.key(), begun.clone());
        let single_flight = Arc::clone(self);
        (begun, Some(EncodeTicket { item: item.clone(), single_flight, done: Some(done) }))
    }

    /// Encodings under way.
    pub(crate) fn len(&self) -> usize {
        self.pending.lock().len()
    }
}

impl EncodeTicket {
    /// Hands the outcome to everybody who waits for it.
    pub(crate) fn finish(mut self, record: Option<Record>) {
        if let Some(done) = self.done.take() {
            // No call may wait any more; the record is in the tiers all the same.
            let _ = done.send(record);
        }
    }
}

impl Drop for EncodeTicket {
    fn drop(&mut self) {
        self.single_flight.pending.lock().remove(&self.item.key());
    }
}

#[cfg(test)]
mod tests {
    use plugrank_items::content_of;

    use super::*;

    fn item(content: u8) -> ItemToEncode {
        ItemToEncode { item: 7, id: ItemId::from("i1"), asked: content_of(&[content; 32]) }
    }

    #[tokio::test]
    async fn later_callers_wait_for_the_first() {
        let single_flight = Arc::new(SingleFlight::default());
        let (first, ticket) = single_flight.begin(&item(1));
        let (second, none) = single_flight.begin(&item(1));
        assert!(none.is_none());
        let (_, changed) = single_flight.begin(&item(2));
        assert!(changed.is_some(), "another content is another encoding");
        let record: Record = Arc::from(vec![7u8]);
        ticket.unwrap().finish(Some(Arc::clone(&record)));
        assert_eq!(first.await, Ok(Some(Arc::clone(&record))));
        assert_eq!(second.await, Ok(Some(record)));
        drop(changed);
        assert_eq!(single_flight.len(), 0);
    }

    #[tokio::test]
    async fn a_dropped_ticket_ends_its_encoding() {
        let single_flight = Arc::new(SingleFlight::default());
        let (pending, ticket) = single_flight.begin(&item(1));
        drop(ticket);
        assert!(pending.await.is_err());
        assert!(single_flight.joined(&item(1)).is_none());
    }
}

//! Items that wait to be encoded: for a call first, behind calls after that.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use plugrank_contract::ItemId;
use plugrank_store::{Store, StoredItem};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
    time::Instant,
};

use crate::{
    encode_rate::EncodeRate,
    encoder::Encoder,
    metrics::EncodingMetrics,
    options::EncodingOptions,
    record_key::record_key,
    record_set::Record,
    single_flight::{EncodeTicket, ItemToEncode, PendingRecord, SingleFlight},
    table_writer::{MadeRecord, TableWriter},
    write_back::WriteBack,
};

/// What encodes and where it goes.
pub(crate) struct EncodeCore {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) encoder: Arc<Encoder>,
    pub(crate) table: Arc<TableWriter>,
    pub(crate) write_back: WriteBack,
    pub(crate) metrics: Arc<EncodingMetrics>,
    pub(crate) rate: EncodeRate,
    /// Items in the queue that calls wait for.
    pub(crate) waited_for: AtomicUsize,
}

impl EncodeCore {
    /// Reads the items and encodes those that there still are. A ticket that is not finished here
    /// ends without a record.
    async fn encode(&self, tickets: Vec<EncodeTicket>) {
        let begun = Instant::now();
        let (tickets, items) = self.read(tickets).await;
        if items.is_empty() {
            return;
        }
        let encoded = match self.encoder.encode(&items).await {
            Ok(encoded) => encoded,
            Err(error) => {
                EncodingMetrics::add(&self.metrics.encode_failures, items.len());
                tracing::warn!(%error, items = items.len(), "items were not encoded");
                return;
            }
        };
        self.rate.record(items.len(), begun.elapsed());
        let mut stored = Vec::with_capacity(items.len());
        let mut made = Vec::with_capacity(items.len());
        for ((ticket, item), record) in tickets.iter().zip(&items).zip(&encoded.records) {
            let Some(record) = record else { continue };
            let ItemToEncode { item: index, id, asked } = &ticket.item;
            let content = self.table.items.encoded().content(item);
            stored.push((record_key(id, content), record.to_vec()));
            let record = Record::clone(record);
            made.push(MadeRecord { item: *index, asked: *asked, content, record });
        }
        self.table.put(&made);
        EncodingMetrics::add(&self.metrics.items_encoded, stored.len());
        self.write_back.push(encoded.modal, stored);
        // Last: a call that is told finds the record in the table, counted, and on its way to the
        // store.
        for (ticket, record) in tickets.into_iter().zip(encoded.records) {
            ticket.finish(record);
        }
    }

    /// The items of tickets, as the store has them now; those it no longer has are left out.
    async fn read(&self, tickets: Vec<EncodeTicket>) -> (Vec<EncodeTicket>, Vec<Arc<StoredItem>>) {
        let ids: Vec<ItemId> = tickets.iter().map(|ticket| ticket.item.id.clone()).collect();
        match self.store.items(&ids).await {
            Ok(read) => {
                let there = |(ticket, item): (_, Option<_>)| Some((ticket, item?));
                tickets.into_iter().zip(read).filter_map(there).unzip()
            }
            Err(error) => {
                EncodingMetrics::add(&self.metrics.encode_failures, ids.len());
                tracing::warn!(%error, items = ids.len(), "items to encode were not read");
                (Vec::new(), Vec::new())
            }
        }
    }
}

/// Queues of items to encode, each item in one of them at most.
pub(crate) struct EncodeQueue {
    pub(crate) core: Arc<EncodeCore>,
    single_flight: Arc<SingleFlight>,
    urgent: mpsc::Sender<EncodeTicket>,
    behind: mpsc::Sender<EncodeTicket>,
    threads: usize,
    batch: usize,
}

impl EncodeQueue {
    /// Starts taking items; ends when this is dropped.
    pub(crate) fn start(
        runtime: &Handle,
        core: Arc<EncodeCore>,
        options: &EncodingOptions,
    ) -> Self {
        let (urgent, for_calls) = mpsc::channel(options.encode_queue);
        let (behind, for_later) = mpsc::channel(options.encode_queue);
        let (threads, batch) = (options.encode_threads, options.encode_batch);
        runtime.spawn(dispatch(Arc::clone(&core), for_calls, for_later, threads, batch));
        Self { core, single_flight: Arc::default(), urgent, behind, threads, batch }
    }

    /// How many items a call that has `left` may wait for.
    pub(crate) fn fit(&self, left: Duration) -> usize {
        let queued = self.core.waited_for.load(Ordering::Relaxed);
        self.core.rate.fit(left, queued, self.threads, self.batch)
    }

    /// Encodes an item that a call waits for. Without a deadline (`patient`) it waits for room in
    /// the queue; otherwise `None` when there is none.
    pub(crate) async fn for_call(
        &self,
        item: &ItemToEncode,
        patient: bool,
    ) -> Option<PendingRecord> {
        if let Some(pending) = self.single_flight.joined(item) {
            return Some(pending);
        }
        let room =
            if patient { self.urgent.reserve().await.ok() } else { self.urgent.try_reserve().ok() };
        let Some(room) = room else {
            EncodingMetrics::add(&self.core.metrics.encode_refused, 1);
            return None;
        };
        let (pending, ticket) = self.begin(item);
        if let Some(ticket) = ticket {
            self.core.waited_for.fetch_add(1, Ordering::Relaxed);
            room.send(ticket);
        }
        Some(pending)
    }

    /// Encodes an item that no call waits for, if there is room.
    pub(crate) fn later(&self, item: &ItemToEncode) {
        let Ok(room) = self.behind.try_reserve() else {
            EncodingMetrics::add(&self.core.metrics.encode_refused, 1);
            return;
        };
        if let (_, Some(ticket)) = self.begin(item) {
            room.send(ticket);
        }
    }

    /// Begins an encoding, which ends at once when an earlier one brought the record after the
    /// caller had looked for it.
    fn begin(&self, item: &ItemToEncode) -> (PendingRecord, Option<EncodeTicket>) {
        let (pending, ticket) = self.single_flight.begin(item);
        let Some(ticket) = ticket else { return (pending, None) };
        match self.core.table.find(item.item, item.asked) {
            Some(record) => {
                ticket.finish(Some(record));
                (pending, None)
            }
            None => (pending, Some(ticket)),
        }
    }

    /// Items queued or being encoded.
    pub(crate) fn under_way(&self) -> usize {
        self.single_flight.len()
    }
}

async fn dispatch(
    core: Arc<EncodeCore>,
    mut urgent: mpsc::Receiver<EncodeTicket>,
    mut behind: mpsc::Receiver<EncodeTicket>,
    threads: usize,
    batch: usize,
) {
    let slots = Arc::new(Semaphore::new(threads));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let (mut now, mut later) = (Vec::with_capacity(batch), Vec::new());
        tokio::select! {
            biased;
            taken = urgent.recv_many(&mut now, batch) => {
                if taken == 0 {
                    return;
                }
                core.waited_for.fetch_sub(taken, Ordering::Relaxed);
            }
            taken = behind.recv_many(&mut later, batch) => {
                if taken == 0 {
                    return;
                }
            }
        }
        now.append(&mut later);
        let core = Arc::clone(&core);
        tokio::spawn(async move {
            core.encode(now).await;
            drop(slot);
        });
    }
}

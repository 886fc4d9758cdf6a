//! Items that wait to be encoded: for a call first, behind calls after that.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use plugrank_store::StoredItem;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
    time::Instant,
};

use crate::{
    encoder::Encoder,
    flights::{Flight, Flights, Ticket, key_of},
    memory::ItemMemory,
    metrics::EmbeddingMetrics,
    options::EmbeddingOptions,
    rate::EncodeRate,
    record_key::record_key,
    write_back::WriteBack,
};

/// What encodes and where it goes.
pub(crate) struct EncodeCore {
    pub(crate) encoder: Arc<Encoder>,
    pub(crate) memory: Arc<ItemMemory>,
    pub(crate) write_back: WriteBack,
    pub(crate) metrics: Arc<EmbeddingMetrics>,
    pub(crate) rate: EncodeRate,
    waited_for: AtomicUsize,
}

impl EncodeCore {
    pub(crate) fn new(
        encoder: Arc<Encoder>,
        memory: Arc<ItemMemory>,
        write_back: WriteBack,
        metrics: Arc<EmbeddingMetrics>,
    ) -> Self {
        let (rate, waited_for) = (EncodeRate::default(), AtomicUsize::new(0));
        Self { encoder, memory, write_back, metrics, rate, waited_for }
    }

    async fn encode(&self, tickets: Vec<Ticket>) {
        let items: Vec<Arc<StoredItem>> =
            tickets.iter().map(|ticket| Arc::clone(&ticket.item)).collect();
        let begun = Instant::now();
        let encoded = match self.encoder.encode(&items).await {
            Ok(encoded) => encoded,
            Err(error) => {
                EmbeddingMetrics::add(&self.metrics.encode_failures, items.len());
                tracing::warn!(%error, items = items.len(), "items were not encoded");
                return;
            }
        };
        self.rate.record(items.len(), begun.elapsed());
        let mut stored = Vec::with_capacity(items.len());
        for (item, record) in items.iter().zip(&encoded.records) {
            if let Some(record) = record {
                let key = key_of(item);
                stored.push((record_key(&key.item_id, &key.content), record.to_vec()));
                self.memory.put(key.item_id, key.content, Arc::clone(record));
            }
        }
        EmbeddingMetrics::add(&self.metrics.items_encoded, stored.len());
        self.write_back.push(encoded.modal, stored);
        // Last: whoever is told finds the record in memory, counted, and on its way to the store.
        for (ticket, record) in tickets.into_iter().zip(encoded.records) {
            ticket.finish(record);
        }
    }
}

/// Queues of items to encode, each item in one of them at most.
pub(crate) struct EncodeQueue {
    pub(crate) core: Arc<EncodeCore>,
    flights: Arc<Flights>,
    urgent: mpsc::Sender<Ticket>,
    behind: mpsc::Sender<Ticket>,
    threads: usize,
    batch: usize,
}

impl EncodeQueue {
    /// Starts taking items; ends when this is dropped.
    pub(crate) fn start(
        runtime: &Handle,
        core: Arc<EncodeCore>,
        options: &EmbeddingOptions,
    ) -> Self {
        let (urgent, for_calls) = mpsc::channel(options.encode_queue);
        let (behind, for_later) = mpsc::channel(options.encode_queue);
        let (threads, batch) = (options.encode_threads, options.encode_batch);
        runtime.spawn(dispatch(Arc::clone(&core), for_calls, for_later, threads, batch));
        Self { core, flights: Arc::default(), urgent, behind, threads, batch }
    }

    /// How many items a call that has `left` may wait for.
    pub(crate) fn fit(&self, left: Duration) -> usize {
        let queued = self.core.waited_for.load(Ordering::Relaxed);
        self.core.rate.fit(left, queued, self.threads, self.batch)
    }

    /// Encodes an item that a call waits for. Without a deadline (`patient`) it waits for room in
    /// the queue; otherwise `None` when there is none.
    pub(crate) async fn for_call(&self, item: &Arc<StoredItem>, patient: bool) -> Option<Flight> {
        if let Some(flight) = self.flights.joined(&key_of(item)) {
            return Some(flight);
        }
        let room =
            if patient { self.urgent.reserve().await.ok() } else { self.urgent.try_reserve().ok() };
        let Some(room) = room else {
            EmbeddingMetrics::add(&self.core.metrics.encode_refused, 1);
            return None;
        };
        let (flight, ticket) = self.begin(item);
        if let Some(ticket) = ticket {
            self.core.waited_for.fetch_add(1, Ordering::Relaxed);
            room.send(ticket);
        }
        Some(flight)
    }

    /// Encodes an item that nobody waits for, if there is room.
    pub(crate) fn later(&self, item: &Arc<StoredItem>) {
        let Ok(room) = self.behind.try_reserve() else {
            EmbeddingMetrics::add(&self.core.metrics.encode_refused, 1);
            return;
        };
        if let (_, Some(ticket)) = self.begin(item) {
            room.send(ticket);
        }
    }

    /// Opens a flight, which ends at once when an earlier one brought the record after the caller
    /// had looked for it.
    fn begin(&self, item: &Arc<StoredItem>) -> (Flight, Option<Ticket>) {
        let (flight, ticket) = self.flights.begin(item);
        match (ticket, self.core.memory.record(&item.item.item_id, &item.content)) {
            (Some(ticket), Some(record)) => {
                ticket.finish(Some(record));
                (flight, None)
            }
            (ticket, _) => (flight, ticket),
        }
    }

    /// Items queued or being encoded.
    pub(crate) fn under_way(&self) -> usize {
        self.flights.len()
    }
}

async fn dispatch(
    core: Arc<EncodeCore>,
    mut urgent: mpsc::Receiver<Ticket>,
    mut behind: mpsc::Receiver<Ticket>,
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

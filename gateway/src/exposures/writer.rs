//! Writes waiting lists into the store.

use std::{sync::Arc, time::Duration};

use plugrank_store::{ExposureRow, Store};
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep, timeout},
};

use super::{Counts, Entry, ExposureLog};

/// How long lists are gathered into one write, which costs the store a sync of its disk.
const GATHER: Duration = Duration::from_millis(100);
/// Most lists in one write.
const BATCH: usize = 2000;
/// How long a write is tried while the store is away.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// Writes until `stop` is done, then what waits by then.
pub(crate) async fn write(log: &ExposureLog, store: &dyn Store, stop: impl Future<Output = ()>) {
    let Some(mut waiting) = log.waiting.lock().take() else { return };
    tokio::pin!(stop);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            received = waiting.recv_many(&mut batch, BATCH) => if received == 0 { return },
            () = &mut stop => break,
        }
        gather(log, &mut waiting, &mut batch).await;
        append(store, &mut batch, &log.counts).await;
    }
    waiting.close();
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        append(store, &mut batch, &log.counts).await;
    }
}

/// Waits for more of a batch, but not for long. It does so without an ear at the queue, so that no request
/// has to wake this task.
async fn gather(log: &ExposureLog, waiting: &mut Receiver<Entry>, batch: &mut Vec<Entry>) {
    let _ = timeout(GATHER, log.hurry.notified()).await;
    while batch.len() < BATCH
        && let Ok(entry) = waiting.try_recv()
    {
        batch.push(entry);
    }
}

async fn append(store: &dyn Store, batch: &mut Vec<Entry>, counts: &Counts) {
    let (mut rows, mut flushed) = (Vec::with_capacity(batch.len()), Vec::new());
    for entry in batch.drain(..) {
        match entry {
            Entry::Row(row) => rows.push(row),
            Entry::Flush(written) => flushed.push(written),
        }
    }
    if !rows.is_empty() {
        write_all(store, rows.into(), counts).await;
    }
    for written in flushed {
        // Who waited may have gone.
        let _gone = written.send(());
    }
}

async fn write_all(store: &dyn Store, rows: Arc<[ExposureRow]>, counts: &Counts) {
    let count = rows.len() as u64;
    let end = Instant::now() + PATIENCE;
    while let Err(error) = store.append_exposures(Arc::clone(&rows)).await {
        if Instant::now() >= end {
            tracing::warn!(%error, count, "served lists could not be logged");
            counts.dropped.inc_by(count);
            return;
        }
        sleep(PAUSE).await;
    }
    counts.logged.inc_by(count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposures::{ExposuresOptions, record::tests::served};
    use plugrank_runtime::Metrics;

    #[test]
    fn a_full_queue_drops_and_counts() {
        let options = ExposuresOptions { queue: 2, ..ExposuresOptions::default() };
        let log = ExposureLog::new(&options, &Metrics::of_part());
        for _ in 0..5 {
            served("u", |served| log.log(served));
        }
        assert_eq!(log.counts.dropped.get(), 3);
    }
}

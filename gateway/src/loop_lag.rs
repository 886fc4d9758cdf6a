//! How far a worker's event loop is behind.
//!
//! Stages run on the worker that reads the requests, so a request that was sent to a busy worker has
//! waited before anybody looked at it. A ticker that is overdue says for how long at the least: every
//! worker has one, and whoever begins a request asks it.

use std::{cell::Cell, time::Duration};

use tokio::time::{Instant, sleep};

/// How often the ticker is due. A lag shorter than that goes unnoticed.
const PERIOD: Duration = Duration::from_millis(5);

thread_local! {
    /// When this worker's ticker is due next.
    static DUE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// How late it was the last time.
    static LAST: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Ticks on this thread for as long as its runtime runs.
pub(crate) async fn tick() {
    loop {
        let due = Instant::now() + PERIOD;
        DUE.set(Some(due));
        sleep(PERIOD).await;
        LAST.set(Instant::now().saturating_duration_since(due));
    }
}

/// How long what is begun now on this thread may have waited: by how much the ticker is overdue, or
/// was the last time, for what stands behind it in the queue is as old. Zero on a thread without
/// one.
pub(crate) fn lag() -> Duration {
    let overdue =
        DUE.get().map_or(Duration::ZERO, |due| Instant::now().saturating_duration_since(due));
    overdue.max(LAST.get())
}

#[cfg(test)]
mod tests {
    use tokio::{task::LocalSet, time::advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_is_busy_is_behind_until_it_ticks() {
        assert_eq!(lag(), Duration::ZERO, "nobody ticks yet");
        LocalSet::new()
            .run_until(async {
                let ticking = tokio::task::spawn_local(tick());
                tokio::task::yield_now().await;
                assert_eq!(lag(), Duration::ZERO);
                // The clock goes on while the ticker is not polled: as if the loop were busy.
                advance(Duration::from_millis(45)).await;
                let behind = lag();
                assert!(behind == Duration::ZERO || behind == Duration::from_millis(40));
                sleep(PERIOD * 3).await;
                assert!(lag() < PERIOD);
                ticking.abort();
            })
            .await;
    }

    #[test]
    fn a_thread_that_blocks_is_behind() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let behind = runtime.block_on(LocalSet::new().run_until(async {
            tokio::task::spawn_local(tick());
            tokio::task::yield_now().await;
            // Work that keeps the loop from its ticker.
            let begun = std::time::Instant::now();
            while begun.elapsed() < PERIOD * 4 {
                std::hint::spin_loop();
            }
            lag()
        }));
        assert!(behind >= PERIOD * 2, "{behind:?}");
    }
}

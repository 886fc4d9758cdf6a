//! A call on its way to an endpoint.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    endpoint::{Endpoint, Verdict, Why},
    pool::Pool,
};

/// A call on its way. Dropped unanswered it counts against the endpoint only when its deadline
/// passed and it had waited longer than is usual: a caller that hung up, or left it no time, is not
/// the endpoint's fault.
pub(crate) struct SentCall {
    pub(crate) endpoint: Arc<Endpoint>,
    pool: Arc<Pool>,
    path: &'static str,
    sent: Instant,
    deadline: Instant,
    patience: Duration,
    open: bool,
}

impl SentCall {
    pub(crate) fn new(
        pool: &Arc<Pool>,
        endpoint: Arc<Endpoint>,
        why: Why,
        (path, deadline, patience): (&'static str, Instant, Duration),
    ) -> Self {
        let counts = &endpoint.counts;
        counts.requests.fetch_add(1, Ordering::Relaxed);
        match why {
            Why::First => {}
            Why::Hedge => drop(counts.hedges.fetch_add(1, Ordering::Relaxed)),
            Why::Retry => drop(counts.retries.fetch_add(1, Ordering::Relaxed)),
        }
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        let sent = Instant::now();
        Self { endpoint, pool: Arc::clone(pool), path, sent, deadline, patience, open: true }
    }

    /// It was answered, or failed.
    pub(crate) fn settle(&mut self, verdict: Verdict) {
        if matches!(verdict, Verdict::Well) {
            self.pool.latencies.add(self.path, self.sent.elapsed());
        }
        self.close(Some(verdict));
    }

    /// Another endpoint answered a call that was sent later.
    pub(crate) fn lost(&mut self) {
        self.give_up(self.sent.elapsed() >= self.patience);
    }

    fn give_up(&mut self, too_slow: bool) {
        if too_slow {
            self.pool.latencies.add(self.path, self.sent.elapsed());
        }
        self.close(too_slow.then_some(Verdict::Struggling));
    }

    fn close(&mut self, verdict: Option<Verdict>) {
        if !self.open {
            return;
        }
        self.open = false;
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(verdict) = verdict {
            self.pool.record(&self.endpoint, verdict);
        }
    }
}

impl Drop for SentCall {
    fn drop(&mut self) {
        if self.open {
            let late = Instant::now() >= self.deadline;
            self.give_up(late && self.sent.elapsed() >= self.patience);
        }
    }
}

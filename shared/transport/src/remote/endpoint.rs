//! One process that answers, what is known of it, and a call on its way to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{PeerOptions, address::Target, breaker::Breaker, pool::Pool};

/// One process that answers.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) target: Target,
    pub(crate) breaker: Mutex<Breaker>,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) counts: Counts,
}

/// What was counted since the endpoint became known.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) hedges: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) ejections: AtomicU64,
}

/// Why a call is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    First,
    Hedge,
    Retry,
}

/// What a call says about the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It did its work.
    Well,
    /// It answered, but had no room or no time: that is no defect.
    Busy,
    /// It, or something behind it, does not do its work. Ejects it only when others do.
    Struggling,
    /// Nothing that answers is there.
    Gone,
}

impl Endpoint {
    pub(crate) fn new(target: Target, options: Arc<PeerOptions>) -> Arc<Self> {
        Arc::new(Self {
            target,
            breaker: Mutex::new(Breaker::new(options)),
            in_flight: AtomicUsize::new(0),
            counts: Counts::default(),
        })
    }

    pub(crate) fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// A call on its way. Dropped unanswered it counts against the endpoint only when its deadline
/// passed and it had waited longer than is usual: a caller that hung up, or left it no time, is not
/// the endpoint's fault.
pub(crate) struct Ticket {
    pub(crate) endpoint: Arc<Endpoint>,
    pool: Arc<Pool>,
    path: &'static str,
    sent: Instant,
    deadline: Instant,
    patience: Duration,
    open: bool,
}

impl Ticket {
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

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            let late = Instant::now() >= self.deadline;
            self.give_up(late && self.sent.elapsed() >= self.patience);
        }
    }
}

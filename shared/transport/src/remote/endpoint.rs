//! One process that answers, and what is known about it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use parking_lot::Mutex;

use super::{PeerOptions, address::Target, breaker::Breaker};

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

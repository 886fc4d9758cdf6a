//! The endpoints of a role, and which of them a call goes to.

use std::{
    collections::HashMap,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rand::seq::IndexedRandom;
use tokio::{runtime::Handle, sync::Notify, time::Instant};

use super::{
    PeerOptions,
    address::Target,
    endpoint::{Endpoint, Verdict},
    latency::Latencies,
    probe::Probe,
};

/// The endpoints of a role.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) name: &'static str,
    pub(crate) latencies: Latencies,
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    options: Arc<PeerOptions>,
    probe: Probe,
    /// One ejection at a time: two that each rely on the other must not both happen.
    ejecting: Mutex<()>,
    /// Told when the endpoints change.
    pub(crate) changed: Notify,
    /// Told when an endpoint was ejected, which may be because its address is another's now.
    pub(crate) ejected: Notify,
}

impl Pool {
    pub(crate) fn new(name: &'static str, options: Arc<PeerOptions>, probe: Probe) -> Arc<Self> {
        Arc::new(Self {
            name,
            latencies: Latencies::default(),
            endpoints: ArcSwap::default(),
            options,
            probe,
            ejecting: Mutex::new(()),
            changed: Notify::new(),
            ejected: Notify::new(),
        })
    }

    pub(crate) fn endpoints(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.endpoints.load_full()
    }

    /// Replaces the endpoints; what is known about those that stay is kept.
    pub(crate) fn update(&self, mut targets: Vec<Target>) {
        targets.sort_by(|a, b| (a.socket, &a.path).cmp(&(b.socket, &b.path)));
        targets.dedup_by(|a, b| (a.socket, &a.path) == (b.socket, &b.path));
        let known = self.endpoints();
        if known.iter().map(|endpoint| &endpoint.target).eq(&targets) {
            return;
        }
        let known: HashMap<&Target, &Arc<Endpoint>> =
            known.iter().map(|endpoint| (&endpoint.target, endpoint)).collect();
        let endpoints = targets.into_iter().map(|target| match known.get(&target) {
            Some(endpoint) => Arc::clone(endpoint),
            None => Endpoint::new(target, Arc::clone(&self.options)),
        });
        let endpoints: Vec<_> = endpoints.collect();
        let sockets: Vec<_> = endpoints.iter().map(|endpoint| endpoint.target.socket).collect();
        tracing::info!(role = self.name, endpoints = ?sockets, "endpoints");
        self.endpoints.store(Arc::new(endpoints));
        self.changed.notify_waiters();
    }

    /// An endpoint for a call: of two drawn at random, the one with fewer calls in flight. Those
    /// in `tried` and those left out are not drawn.
    pub(crate) fn pick(&self, tried: &[Arc<Endpoint>]) -> Option<Arc<Endpoint>> {
        let endpoints = self.endpoints.load();
        let open: Vec<&Arc<Endpoint>> = endpoints
            .iter()
            .filter(|endpoint| !tried.iter().any(|tried| Arc::ptr_eq(tried, endpoint)))
            .filter(|endpoint| endpoint.breaker.lock().closed())
            .collect();
        let drawn = open.sample(&mut rand::rng(), 2);
        drawn.min_by_key(|endpoint| endpoint.load()).map(|endpoint| Arc::clone(endpoint))
    }

    /// Notes what a call says of an endpoint, and ejects it when that was once too often.
    pub(crate) fn record(self: &Arc<Self>, endpoint: &Arc<Endpoint>, verdict: Verdict) {
        match verdict {
            Verdict::Busy => {}
            Verdict::Well => endpoint.breaker.lock().succeeded(),
            Verdict::Struggling | Verdict::Gone => {
                endpoint.counts.failures.fetch_add(1, Ordering::Relaxed);
                let turn = self.ejecting.lock();
                let due = endpoint.breaker.lock().failed();
                // Where all are slow or fail, the cause is not one endpoint, and leaving one out
                // would only burden the rest.
                let eject = due && (verdict == Verdict::Gone || self.another_is_well(endpoint));
                let wait = eject.then(|| endpoint.breaker.lock().eject(Instant::now()));
                drop(turn);
                if let Some(wait) = wait {
                    self.ejected(endpoint, wait);
                }
            }
        }
    }

    fn another_is_well(&self, endpoint: &Arc<Endpoint>) -> bool {
        let endpoints = self.endpoints.load();
        let mut others = endpoints.iter().filter(|other| !Arc::ptr_eq(other, endpoint));
        others.any(|other| other.breaker.lock().well())
    }

    fn ejected(self: &Arc<Self>, endpoint: &Arc<Endpoint>, wait: Duration) {
        endpoint.counts.ejections.fetch_add(1, Ordering::Relaxed);
        let address = endpoint.target.socket;
        tracing::warn!(role = self.name, %address, ?wait, "an endpoint is left out");
        self.ejected.notify_one();
        let (pool, endpoint) = (Arc::downgrade(self), Arc::downgrade(endpoint));
        // A call may be dropped where nothing can be started any more: when the process ends.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(bring_back(pool, endpoint, wait));
        }
    }
}

/// Probes an endpoint that was left out until it is ready, or gone from the list.
async fn bring_back(pool: Weak<Pool>, endpoint: Weak<Endpoint>, mut wait: Duration) {
    loop {
        tokio::time::sleep(wait).await;
        let (Some(pool), Some(endpoint)) = (pool.upgrade(), endpoint.upgrade()) else { return };
        let listed = pool.endpoints.load().iter().any(|listed| Arc::ptr_eq(listed, &endpoint));
        if !listed {
            return;
        }
        if pool.probe.ready(&endpoint.target).await {
            endpoint.breaker.lock().restore(Instant::now());
            let address = endpoint.target.socket;
            tracing::info!(role = pool.name, %address, "an endpoint is called again");
            return;
        }
        wait = endpoint.breaker.lock().still_failing();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{endpoint::Why, http::HttpClient, sent_call::SentCall};

    /// One failure ejects, for an hour.
    fn once() -> Arc<PeerOptions> {
        const HOUR: u64 = 3_600_000;
        let peers = PeerOptions::default();
        Arc::new(PeerOptions {
            eject_after: 1,
            eject_share: 1.0,
            eject_ms: HOUR,
            eject_max_ms: HOUR,
            ..peers
        })
    }

    fn pool(endpoints: u16) -> Arc<Pool> {
        let pool = Pool::new("test", once(), Probe::of_role(HttpClient::plain()));
        let target = |port| Target {
            secured: false,
            socket: ([127, 0, 0, 1], port).into(),
            host: String::new(),
            path: String::new(),
        };
        pool.update((1..=endpoints).map(target).collect());
        pool
    }

    fn ticket(pool: &Arc<Pool>, at: usize, deadline_ms: u64) -> SentCall {
        let deadline = Instant::now() + Duration::from_millis(deadline_ms);
        let call = ("/test", deadline, Duration::from_millis(20));
        SentCall::new(pool, Arc::clone(&pool.endpoints()[at]), Why::First, call)
    }

    fn closed(pool: &Pool) -> Vec<bool> {
        pool.endpoints().iter().map(|endpoint| endpoint.breaker.lock().closed()).collect()
    }

    #[tokio::test]
    async fn the_endpoint_with_fewer_calls_in_flight_is_picked() {
        let pool = pool(2);
        let busy: Vec<_> = (0..3).map(|_| ticket(&pool, 0, 1000)).collect();
        for _ in 0..20 {
            let picked = pool.pick(&[]).unwrap();
            assert!(Arc::ptr_eq(&picked, &pool.endpoints()[1]));
        }
        drop(busy);
        assert_eq!(pool.endpoints()[0].load(), 0);
        let first = Arc::clone(&pool.endpoints()[0]);
        let other = pool.pick(&[Arc::clone(&first)]).unwrap();
        assert!(!Arc::ptr_eq(&other, &first));
        assert!(pool.pick(&[first, other]).is_none());
    }

    #[tokio::test]
    async fn the_last_endpoint_is_ejected_only_when_unreachable() {
        let pool = pool(2);
        let [first, second] = [0, 1].map(|at| Arc::clone(&pool.endpoints()[at]));
        pool.record(&first, Verdict::Struggling);
        assert_eq!(closed(&pool), [false, true], "another endpoint is healthy");
        pool.record(&second, Verdict::Struggling);
        assert_eq!(closed(&pool), [false, true], "the last endpoint is kept");
        pool.record(&second, Verdict::Gone);
        assert_eq!(closed(&pool), [false, false], "an unreachable endpoint is ejected");
        assert!(pool.pick(&[]).is_none());
    }

    #[tokio::test]
    async fn an_overload_answer_is_not_a_failure() {
        let pool = pool(1);
        ticket(&pool, 0, 1000).settle(Verdict::Busy);
        assert_eq!(closed(&pool), [true]);
        assert_eq!(pool.endpoints()[0].counts.failures.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_deadline_after_a_long_wait_counts_against_an_endpoint() {
        for (deadline_ms, waited_ms, fails) in [(100, 50, false), (10, 10, false), (30, 30, true)] {
            let pool = pool(2);
            let ticket = ticket(&pool, 0, deadline_ms);
            tokio::time::sleep(Duration::from_millis(waited_ms)).await;
            drop(ticket);
            assert_eq!(closed(&pool), [!fails, true], "{waited_ms} of {deadline_ms} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hedged_call_counts_as_a_failure_when_it_was_slow() {
        let pool = pool(2);
        let mut outrun = ticket(&pool, 0, 1000);
        outrun.lost();
        assert_eq!(closed(&pool), [true, true]);
        let mut outrun = ticket(&pool, 0, 1000);
        tokio::time::sleep(Duration::from_millis(20)).await;
        outrun.lost();
        drop(outrun);
        assert_eq!(closed(&pool), [false, true]);
        assert_eq!(pool.endpoints()[0].load(), 0);
    }
}

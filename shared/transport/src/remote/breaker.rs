//! Whether an endpoint is called: a circuit breaker of its own for each.
//!
//! Closed, it counts; open, the endpoint is left out. Half-open is a probe of readiness that the
//! client sends by itself when the time is up, so that no caller's request is spent on finding out.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::PeerOptions;

/// Calls that a share of failures is taken over: as many as there are bits.
const RECENT: u32 = u32::BITS;

#[derive(Debug)]
pub(crate) struct Breaker {
    options: Arc<PeerOptions>,
    /// Failures since the last success.
    consecutive: u32,
    /// The latest calls, one bit each, 1: failed.
    recent: u32,
    seen: u32,
    /// Ejections in a row, which is what the next one's length goes by.
    ejections: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed { since: Option<Instant> },
    Open,
}

impl Breaker {
    pub(crate) fn new(options: Arc<PeerOptions>) -> Self {
        let state = State::Closed { since: None };
        Self { options, consecutive: 0, recent: 0, seen: 0, ejections: 0, state }
    }

    /// Whether the endpoint may be called.
    pub(crate) fn closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Whether it may be called and its latest call did not fail.
    pub(crate) fn well(&self) -> bool {
        self.closed() && self.consecutive == 0
    }

    /// A call was answered.
    pub(crate) fn succeeded(&mut self) {
        if self.closed() {
            self.consecutive = 0;
            self.count(false);
        }
    }

    /// A call failed. Whether it is time to eject the endpoint.
    pub(crate) fn failed(&mut self) -> bool {
        if !self.closed() {
            return false;
        }
        self.consecutive += 1;
        self.count(true);
        let failures = f64::from(self.recent.count_ones());
        self.consecutive >= self.options.eject_after
            || (self.seen == RECENT && failures >= self.options.eject_share * f64::from(RECENT))
    }

    fn count(&mut self, failed: bool) {
        self.recent = self.recent << 1 | u32::from(failed);
        self.seen = (self.seen + 1).min(RECENT);
    }

    /// Leaves the endpoint out. How long until it should be probed.
    pub(crate) fn eject(&mut self, now: Instant) -> Duration {
        let longest = Duration::from_millis(self.options.eject_max_ms);
        if let State::Closed { since: Some(since) } = self.state
            && now.duration_since(since) > 5 * longest
        {
            self.ejections = 0;
        }
        self.state = State::Open;
        self.next_wait()
    }

    /// The probe failed. How long until the next.
    pub(crate) fn still_failing(&mut self) -> Duration {
        self.next_wait()
    }

    fn next_wait(&mut self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.ejections);
        self.ejections = self.ejections.saturating_add(1);
        let base = Duration::from_millis(self.options.eject_ms);
        base.saturating_mul(doubled).min(Duration::from_millis(self.options.eject_max_ms))
    }

    /// The probe succeeded: the endpoint is called again.
    pub(crate) fn restore(&mut self, now: Instant) {
        self.state = State::Closed { since: Some(now) };
        (self.consecutive, self.recent, self.seen) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn breaker() -> Breaker {
        Breaker::new(Arc::new(PeerOptions {
            eject_after: 3,
            eject_share: 0.5,
            eject_ms: 100,
            eject_max_ms: 1000,
            ..PeerOptions::default()
        }))
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_starts_over() {
        let mut breaker = breaker();
        assert!(!breaker.failed() && !breaker.failed());
        breaker.succeeded();
        assert!(!breaker.failed() && !breaker.failed());
        assert!(breaker.failed());
        assert!(breaker.closed(), "closed until the caller ejects");
    }

    #[test]
    fn a_failure_rate_ejects_after_enough_calls() {
        let mut breaker = breaker();
        let mut calls = 0;
        loop {
            calls += 1;
            assert!(calls < 1_000, "never ejected");
            if breaker.failed() {
                break;
            }
            calls += 1;
            breaker.succeeded();
        }
        assert_eq!(calls, RECENT + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn ejections_in_a_row_grow_longer_up_to_a_limit() {
        let mut breaker = breaker();
        assert_eq!(breaker.eject(Instant::now()), MS(100));
        assert!(!breaker.closed());
        let waits = [(); 5].map(|()| breaker.still_failing());
        assert_eq!(waits, [MS(200), MS(400), MS(800), MS(1000), MS(1000)]);
        breaker.restore(Instant::now());
        assert!(breaker.well());
        advance(MS(200)).await;
        assert_eq!(
            breaker.eject(Instant::now()),
            MS(1000),
            "ejections shortly after a recovery grow longer"
        );
        breaker.restore(Instant::now());
        advance(MS(6000)).await;
        assert_eq!(breaker.eject(Instant::now()), MS(100), "it held");
    }

    #[test]
    fn answers_while_open_are_not_counted() {
        let mut breaker = breaker();
        breaker.eject(Instant::now());
        breaker.succeeded();
        assert!(!breaker.failed() && !breaker.closed());
    }
}

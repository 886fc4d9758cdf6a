//! When a call has to stop waiting.

use std::{future::Future, time::Duration};

use plugrank_contract::Context;
use tokio::time::{Instant, timeout_at};

/// The moment a call stops waiting, somewhat before its deadline.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit(Option<Instant>);

impl TimeLimit {
    /// No limit.
    pub const NONE: Self = Self(None);

    /// `margin` before the context's deadline, but at most a quarter of what is left.
    #[must_use]
    pub fn of(context: &Context, margin: Duration) -> Self {
        Self::before(context.deadline, margin)
    }

    /// `margin` before a deadline, but at most a quarter of what is left.
    #[must_use]
    pub fn before(deadline: Option<Instant>, margin: Duration) -> Self {
        let stop = |deadline: Instant| {
            let left = deadline.saturating_duration_since(Instant::now());
            deadline.checked_sub(margin.min(left / 4)).unwrap_or(deadline)
        };
        Self(deadline.map(stop))
    }

    /// At this moment.
    #[must_use]
    pub fn until(moment: Option<Instant>) -> Self {
        Self(moment)
    }

    /// The moment; `None` without a limit.
    #[must_use]
    pub fn at(self) -> Option<Instant> {
        self.0
    }

    /// Time left; `None` without a limit.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// A limit after `share` of the time that is left; none without one.
    #[must_use]
    pub fn part(self, share: f64) -> Self {
        Self(self.left().map(|left| Instant::now() + left.mul_f64(share)))
    }

    /// The future's value, or `None` when the time came first.
    pub async fn within<F: Future>(self, future: F) -> Option<F::Output> {
        match self.0 {
            None => Some(future.await),
            Some(at) => timeout_at(at, future).await.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_before_the_deadline() {
        let context = Context::background().within(Duration::from_millis(20));
        let limit = TimeLimit::of(&context, Duration::from_millis(2));
        assert_eq!(limit.left(), Some(Duration::from_millis(18)));
        assert_eq!(limit.part(0.5).left(), Some(Duration::from_millis(9)));
        assert_eq!(limit.within(std::future::pending::<()>()).await, None);
        assert!(!context.expired());
        let hurried = Context::background().within(Duration::from_millis(2));
        let limit = TimeLimit::of(&hurried, Duration::from_millis(2));
        assert_eq!(limit.left(), Some(Duration::from_micros(1500)));
        let patient = TimeLimit::of(&Context::background(), Duration::ZERO);
        assert_eq!(patient.within(async { 7 }).await, Some(7));
    }
}

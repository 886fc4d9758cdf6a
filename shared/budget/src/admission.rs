//! Admission of requests: at most so many in flight, and none whose answer would come too late.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::backlog::Backlog;

/// Why a request is not let in.
///
/// [`Admission`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionRefusal {
    /// As many requests are in flight as may be.
    TooMany {
        /// How many that is.
        limit: usize,
    },
    /// At the present backlog its answer would come too late.
    TooLate {
        /// When it would come.
        predicted: Duration,
    },
}

/// Admission of requests to a gateway. Clones share it.
///
/// ```
/// use plugrank_budget::{Admission, AdmissionRefusal};
///
/// let admission = Admission::new(1);
/// let inside = admission.enter().unwrap();
/// assert_eq!(admission.enter().unwrap_err(), AdmissionRefusal::TooMany { limit: 1 });
/// drop(inside);
/// assert!(admission.enter().is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Admission {
    limit: usize,
    backlog: Arc<Mutex<Backlog>>,
}

impl Admission {
    /// Admission for at most `limit` requests at a time.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, backlog: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock()
    }

    /// Lets a request in, unless there are too many already.
    ///
    /// # Errors
    /// [`AdmissionRefusal::TooMany`].
    pub fn enter(&self) -> Result<Admitted, AdmissionRefusal> {
        let mut backlog = self.lock();
        if backlog.in_flight() >= self.limit {
            return Err(AdmissionRefusal::TooMany { limit: self.limit });
        }
        backlog.enter(Instant::now());
        Ok(Admitted { admission: self.clone(), entered: Instant::now(), answered: false })
    }

    /// Notes what the scoring queue would take to work off what it holds.
    pub fn note_queue(&self, takes: Duration) {
        self.lock().note_queue(takes, Instant::now());
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.lock().in_flight()
    }

    /// When the answer to a request that enters now would come.
    #[must_use]
    pub fn predicted(&self) -> Duration {
        self.lock().predicted(Instant::now())
    }
}

/// A request that was let in; it leaves when this is dropped.
///
/// ```
/// use std::time::Duration;
///
/// use plugrank_budget::Admission;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let admission = Admission::new(8);
/// let request = admission.enter().unwrap();
/// assert!(request.in_time(Duration::from_millis(50)).is_ok(), "nothing else is being answered");
/// request.answered();
/// assert_eq!(admission.in_flight(), 0);
/// # }
/// ```
#[derive(Debug)]
pub struct Admitted {
    admission: Admission,
    entered: Instant,
    answered: bool,
}

impl Admitted {
    /// Whether the answer can be there within `budget` at the present backlog.
    ///
    /// # Errors
    /// [`AdmissionRefusal::TooLate`] when not.
    pub fn in_time(&self, budget: Duration) -> Result<(), AdmissionRefusal> {
        let backlog = self.admission.lock();
        let predicted = backlog.predicted(Instant::now());
        // A prediction alone may be off after a quiet time; answers that are late already are not.
        if predicted > budget && backlog.queues(budget) {
            return Err(AdmissionRefusal::TooLate { predicted });
        }
        Ok(())
    }

    /// The request was answered, and what that took says something of the next one.
    pub fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let now = Instant::now();
        let took = self.answered.then(|| now.saturating_duration_since(self.entered));
        self.admission.lock().leave(took, now);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[tokio::test(start_paused = true)]
    async fn a_request_over_the_limit_is_refused_until_another_ends() {
        let admission = Admission::new(2);
        let first = admission.enter().unwrap();
        let _second = admission.enter().unwrap();
        assert_eq!(admission.enter().unwrap_err(), AdmissionRefusal::TooMany { limit: 2 });
        // A cancelled request frees its place too.
        drop(first);
        assert!(admission.enter().is_ok());
    }

    /// A server that answers one request every `each`, in order, with `waiting` of them inside.
    async fn saturate(admission: &Admission, waiting: usize, each: Duration, rounds: usize) {
        let mut inside: std::collections::VecDeque<Admitted> =
            (0..waiting).map(|_| admission.enter().unwrap()).collect();
        for _ in 0..rounds {
            advance(each).await;
            inside.pop_front().unwrap().answered();
            inside.push_back(admission.enter().unwrap());
        }
        // Cancelled, so that its duration is not recorded.
        drop(inside);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_refused_when_the_backlog_takes_too_long() {
        let admission = Admission::new(1_000);
        saturate(&admission, 50, MS(2), 300).await;
        let inside: Vec<Admitted> = (0..20).map(|_| admission.enter().unwrap()).collect();
        let one = admission.enter().unwrap();
        one.in_time(MS(60)).unwrap();
        let Err(AdmissionRefusal::TooLate { predicted }) = one.in_time(MS(30)) else {
            panic!("22 requests at 2 ms each do not fit 30 ms")
        };
        assert!(predicted > MS(38) && predicted < MS(50), "{predicted:?}");
        drop(inside);
        one.in_time(MS(30)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_after_an_idle_period_is_admitted() {
        let admission = Admission::new(1_000);
        for _ in 0..100 {
            let one = admission.enter().unwrap();
            advance(MS(3)).await;
            one.answered();
            advance(MS(100)).await;
        }
        let burst: Vec<Admitted> = (0..100).map(|_| admission.enter().unwrap()).collect();
        assert!(burst.iter().all(|one| one.in_time(MS(50)).is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_scoring_queue_counts_until_it_is_processed() {
        let admission = Admission::new(1_000);
        saturate(&admission, 30, MS(2), 300).await;
        let one = admission.enter().unwrap();
        one.in_time(MS(40)).unwrap();
        admission.note_queue(MS(80));
        assert!(matches!(one.in_time(MS(40)), Err(AdmissionRefusal::TooLate { .. })));
        advance(MS(60)).await;
        one.in_time(MS(40)).unwrap();
    }
}

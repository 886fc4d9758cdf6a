//! When an answer stops being of use.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, timeout_at};

/// When an answer stops being of use, if ever. Everything that may have to stop waiting takes one.
///
/// ```
/// use std::time::Duration;
///
/// use plugrank_contract::Deadline;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let request = Deadline::after(Duration::from_millis(20));
/// // The graph needs 2 ms after what it reads was fetched, but leaves half of what is left to that.
/// let fetch = request.less(Duration::from_millis(2), 0.5);
/// assert_eq!(fetch.remaining(), Some(Duration::from_millis(18)));
/// assert_eq!(fetch.limit(std::future::pending::<()>()).await, None);
/// assert!(fetch.has_passed() && !request.has_passed());
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// None: the answer is of use whenever it comes (maintenance).
    pub const NONE: Self = Self(None);

    /// At this moment.
    #[must_use]
    pub fn at(moment: Instant) -> Self {
        Self(Some(moment))
    }

    /// This long from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self::at(Instant::now() + time)
    }

    /// The last of several; none when one of them is none.
    #[must_use]
    pub fn last(all: impl IntoIterator<Item = Self>) -> Self {
        let later = |last: Option<Instant>, one: Self| one.0.map(|one| last.max(Some(one)));
        Self(all.into_iter().try_fold(None, later).flatten())
    }

    /// The moment; `None` without a deadline.
    #[must_use]
    pub fn moment(self) -> Option<Instant> {
        self.0
    }

    /// The moment; without a deadline the one that is this long from now.
    #[must_use]
    pub fn moment_or_after(self, time: Duration) -> Instant {
        self.0.unwrap_or_else(|| Instant::now() + time)
    }

    /// Time left, zero when it has passed; `None` without a deadline.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        self.0.map(|moment| moment.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed, so that work for the answer is wasted.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.0.is_some_and(|moment| moment <= Instant::now())
    }

    /// Whether it has passed at `now`, for who looks at many.
    #[must_use]
    pub fn has_passed_at(self, now: Instant) -> bool {
        self.0.is_some_and(|moment| moment <= now)
    }

    /// `margin` earlier, but at most `most` of the time left: what comes after needs time too.
    #[must_use]
    pub fn less(self, margin: Duration, most: f64) -> Self {
        let less = |moment: Instant| {
            let left = moment.saturating_duration_since(Instant::now());
            moment.checked_sub(margin.min(left.mul_f64(most))).unwrap_or(moment)
        };
        Self(self.0.map(less))
    }

    /// After `share` of the time left; none without one.
    #[must_use]
    pub fn part(self, share: f64) -> Self {
        Self(self.remaining().map(|left| Instant::now() + left.mul_f64(share)))
    }

    /// The future's value, or `None` when the deadline came first.
    pub async fn limit<F: Future>(self, future: F) -> Option<F::Output> {
        match self.0 {
            None => Some(future.await),
            Some(moment) => timeout_at(moment, future).await.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[tokio::test(start_paused = true)]
    async fn a_reserve_is_subtracted_but_never_all_of_a_short_deadline() {
        let deadline = Deadline::after(MS(20)).less(MS(2), 0.25);
        assert_eq!(deadline.remaining(), Some(MS(18)));
        assert_eq!(deadline.part(0.5).remaining(), Some(MS(9)));
        let near = Deadline::after(MS(2)).less(MS(2), 0.25);
        assert_eq!(near.remaining(), Some(Duration::from_micros(1500)));
        assert_eq!(Deadline::NONE.less(MS(2), 0.25), Deadline::NONE);
        assert_eq!(Deadline::NONE.part(0.5), Deadline::NONE);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_at_the_deadline() {
        let deadline = Deadline::after(MS(5));
        assert_eq!(deadline.limit(async { 7 }).await, Some(7));
        assert!(!deadline.has_passed());
        assert_eq!(deadline.limit(std::future::pending::<()>()).await, None);
        assert!(deadline.has_passed());
        assert_eq!(deadline.remaining(), Some(Duration::ZERO));
        assert_eq!(Deadline::NONE.limit(async { 7 }).await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn the_latest_of_several_deadlines_is_none_if_one_is_none() {
        let (near, far) = (Deadline::after(MS(1)), Deadline::after(MS(2)));
        assert_eq!(Deadline::last([far, near]), far);
        assert_eq!(Deadline::last([near, Deadline::NONE]), Deadline::NONE);
        assert_eq!(near.moment_or_after(MS(9)), near.moment().unwrap());
        assert_eq!(Deadline::NONE.moment_or_after(MS(9)), Instant::now() + MS(9));
    }
}

//! When a batch closes, and which entries are in it.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    arrivals::Arrivals,
    report::CloseReason,
    run_times::RunTimes,
    shape::{Buckets, Dims, Shape},
};

/// What the decision needs to know of an entry that waits.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Its size.
    pub dims: Dims,
    /// When it arrived.
    pub arrived: Instant,
    /// When its answer stops being of use.
    pub deadline: Option<Instant>,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing yet; decide again at `until`, or when an entry arrives.
    Wait {
        /// `None`: nothing waits.
        until: Option<Instant>,
    },
    /// Run these entries (places in the list given).
    Run {
        /// Why the batch closed.
        reason: CloseReason,
        /// Which entries, most urgent first.
        entries: Vec<usize>,
        /// The shape they are padded to.
        shape: Shape,
    },
}

/// Decides for a worker that is idle. Plain data in, a value out.
///
/// The most urgent entry (by deadline; an entry that waited for `patience` counts as due, so that
/// none starves) is always in the batch. Entries that pad to the same size join it, as many as
/// give the most rows per predicted second; users that the shape has room for beyond them are
/// filled with smaller entries, which cost nothing.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Shapes and the row limit.
    pub buckets: Buckets,
    /// Longest a batch waits for company while a worker is idle.
    pub max_wait: Duration,
    /// Wait after which an entry without a near deadline goes first.
    pub patience: Duration,
    /// Kept free between the predicted end of a run and a deadline.
    pub margin: Duration,
}

impl Policy {
    /// A policy with a wait of 0.5 ms, patience of a second and a margin of 0.2 ms.
    #[must_use]
    pub fn new(buckets: Buckets) -> Self {
        Self {
            buckets,
            max_wait: Duration::from_micros(500),
            patience: Duration::from_secs(1),
            margin: Duration::from_micros(200),
        }
    }

    /// Decides what an idle worker does at `now`, `idle_workers` (at least this one) being idle.
    #[must_use]
    pub fn decide(
        &self,
        now: Instant,
        waiting: &[Waiting],
        idle_workers: usize,
        arrivals: &Arrivals,
        times: &RunTimes,
    ) -> Decision {
        let Some(anchor) = (0..waiting.len()).min_by_key(|at| self.urgency(&waiting[*at])) else {
            return Decision::Wait { until: None };
        };
        let padded = self.buckets.pad(waiting[anchor].dims);
        let (entries, shape) = self.members(waiting, padded, times);
        if entries.len() >= self.buckets.max_users(padded) {
            return Decision::Run { reason: CloseReason::RowLimit, entries, shape };
        }
        if idle_workers > 1 || !self.company_pays(now, entries.len(), padded, arrivals, times) {
            return Decision::Run { reason: CloseReason::WorkerIdle, entries, shape };
        }
        // With one entry more the run may take longer; that is what must still fit.
        let larger = self.buckets.shape(entries.len() + 1, padded);
        let run = times.predict(larger).unwrap_or_default() + self.margin;
        let members = || entries.iter().map(|at| &waiting[*at]);
        let latest_start = members()
            .filter_map(|entry| entry.deadline)
            .min()
            .map(|at| at.checked_sub(run).unwrap_or(now));
        if latest_start.is_some_and(|latest| latest <= now) {
            return Decision::Run { reason: CloseReason::Deadline, entries, shape };
        }
        let oldest = members().map(|entry| entry.arrived).min().unwrap_or(now);
        let patience_ends = oldest + self.max_wait;
        if patience_ends <= now {
            return Decision::Run { reason: CloseReason::Waited, entries, shape };
        }
        let until = latest_start.map_or(patience_ends, |latest| latest.min(patience_ends));
        Decision::Wait { until: Some(until) }
    }

    /// Smaller is more urgent.
    fn urgency(&self, entry: &Waiting) -> Instant {
        let due = entry.arrived + self.patience;
        entry.deadline.map_or(due, |deadline| deadline.min(due))
    }

    /// The entries that run together with those that pad to `padded`, and in which shape.
    fn members(&self, waiting: &[Waiting], padded: Dims, times: &RunTimes) -> (Vec<usize>, Shape) {
        let by_urgency = |list: &mut Vec<usize>| list.sort_by_key(|at| self.urgency(&waiting[*at]));
        let mut same: Vec<usize> =
            (0..waiting.len()).filter(|at| self.buckets.pad(waiting[*at].dims) == padded).collect();
        by_urgency(&mut same);
        same.truncate(self.buckets.max_users(padded));
        let axis = self.buckets.row_axis();
        let rows_of = |entries: &[usize]| -> usize {
            entries.iter().map(|at| axis.rows(waiting[*at].dims)).sum()
        };
        let cost = |users: usize| -> f64 {
            let shape = self.buckets.shape(users, padded);
            match times.predict(shape) {
                Some(time) => time.as_secs_f64().max(1e-9),
                None => axis.padded_rows(shape) as f64,
            }
        };
        let efficiency = |users: &usize| rows_of(&same[..*users]) as f64 / cost(*users);
        let users = (1..=same.len())
            .max_by(|a, b| efficiency(a).total_cmp(&efficiency(b)).then(a.cmp(b)))
            .unwrap_or(1);
        same.truncate(users);
        let shape = self.buckets.shape(users, padded);
        if users < shape.users {
            let smaller = |dims: Dims| {
                let pad = self.buckets.pad(dims);
                pad != padded
                    && pad.candidates <= padded.candidates
                    && pad.history <= padded.history
            };
            let mut fill: Vec<usize> =
                (0..waiting.len()).filter(|at| smaller(waiting[*at].dims)).collect();
            by_urgency(&mut fill);
            same.extend(fill.into_iter().take(shape.users - users));
        }
        (same, shape)
    }

    /// Whether waiting for the next entry lowers the mean time to completion, for the only idle
    /// worker. Run now: `users` end after one run, the next entry after that run and one of its
    /// own. Wait: all end together after the expected gap and one larger run.
    fn company_pays(
        &self,
        now: Instant,
        users: usize,
        padded: Dims,
        arrivals: &Arrivals,
        times: &RunTimes,
    ) -> bool {
        if self.max_wait.is_zero() {
            return false;
        }
        let run = |users: usize| {
            times.predict(self.buckets.shape(users, padded)).map(|time| time.as_secs_f64())
        };
        let (Some(gap), Some(alone), Some(this), Some(together)) =
            (arrivals.expected_in(now), run(1), run(users), run(users + 1))
        else {
            return false;
        };
        let gap = gap.as_secs_f64();
        let present = users as f64;
        let next_alone = (this - gap).max(0.0) + alone;
        present * this + next_alone > present * (gap + together) + together
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;

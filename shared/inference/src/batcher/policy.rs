//! When a batch closes, and which entries are in it.

use std::time::Duration;

use plugrank_contract::Deadline;
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
    pub deadline: Deadline,
}

impl AsRef<Waiting> for Waiting {
    fn as_ref(&self) -> &Waiting {
        self
    }
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchDecision {
    /// Nothing yet; decide again at `until`, or when an entry arrives.
    Wait {
        /// `None`: nothing waits.
        until: Option<Instant>,
    },
    /// Run the entries chosen.
    Run {
        /// Why the batch closed.
        reason: CloseReason,
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
    /// Longest a batch waits for more rows while a worker is idle.
    pub max_wait: Duration,
    /// Wait after which an entry without a near deadline goes first.
    pub patience: Duration,
    /// Kept free between the predicted end of a run and a deadline.
    pub margin: Duration,
    /// Longest predicted run of a lone entry that happens on the thread that polls the call, where
    /// all models are idle; zero: none. It spares two switches between threads, and keeps the
    /// thread's other work waiting for as long.
    pub run_in_place: Duration,
    /// Predicted run from which an entry is better run in two halves at a time, where all models are
    /// idle; zero: never. It spares half of the run, and costs another thread's waking and the second run's
    /// own part.
    pub halve_from: Duration,
}

impl Policy {
    /// A policy with a wait of 0.5 ms, patience of a second and a margin of 0.2 ms, all runs on
    /// worker threads, and none in halves.
    #[must_use]
    pub fn new(buckets: Buckets) -> Self {
        Self {
            buckets,
            max_wait: Duration::from_micros(500),
            patience: Duration::from_secs(1),
            margin: Duration::from_micros(200),
            run_in_place: Duration::ZERO,
            halve_from: Duration::ZERO,
        }
    }

    /// Decides what an idle worker does at `now`, `idle_workers` (at least this one) being idle.
    /// The places of the entries to run are in `chosen` afterwards, those of the batch's own size
    /// first; its memory is used again from call to call.
    #[must_use]
    pub fn decide<W: AsRef<Waiting>>(
        &self,
        now: Instant,
        waiting: &[W],
        idle_workers: usize,
        (arrivals, times): (&Arrivals, &RunTimes),
        chosen: &mut Vec<usize>,
    ) -> BatchDecision {
        chosen.clear();
        let Some(anchor) = waiting.iter().min_by_key(|entry| self.urgency(entry.as_ref())) else {
            return BatchDecision::Wait { until: None };
        };
        let candidates = self.buckets.pad(anchor.as_ref().dims).candidates;
        let shape = self.choose(waiting, candidates, times, chosen);
        let padded = Dims { candidates, history: shape.history };
        if chosen.len() >= self.buckets.max_users(padded) {
            return BatchDecision::Run { reason: CloseReason::RowLimit, shape };
        }
        if idle_workers > 1 || !self.waiting_pays(now, chosen.len(), padded, (arrivals, times)) {
            return BatchDecision::Run { reason: CloseReason::WorkerIdle, shape };
        }
        // With one entry more the run may take longer; that is what must still fit.
        let larger = self.buckets.shape(chosen.len() + 1, padded);
        let run = times.predict(larger).unwrap_or_default() + self.margin;
        let members = || chosen.iter().map(|at| waiting[*at].as_ref());
        let latest_start = members()
            .filter_map(|entry| entry.deadline.moment())
            .min()
            .map(|at| at.checked_sub(run).unwrap_or(now));
        if latest_start.is_some_and(|latest| latest <= now) {
            return BatchDecision::Run { reason: CloseReason::Deadline, shape };
        }
        let oldest = members().map(|entry| entry.arrived).min().unwrap_or(now);
        let patience_ends = oldest + self.max_wait;
        if patience_ends <= now {
            return BatchDecision::Run { reason: CloseReason::Waited, shape };
        }
        let until = latest_start.map_or(patience_ends, |latest| latest.min(patience_ends));
        BatchDecision::Wait { until: Some(until) }
    }

    /// Smaller is more urgent.
    fn urgency(&self, entry: &Waiting) -> Instant {
        let due = entry.arrived + self.patience;
        entry.deadline.moment().map_or(due, |deadline| deadline.min(due))
    }

    /// Chooses the entries that run together, those of so many padded candidates first, and their shape. A batch is
    /// as long as the longest history in it.
    fn choose<W: AsRef<Waiting>>(
        &self,
        waiting: &[W],
        candidates: usize,
        times: &RunTimes,
        chosen: &mut Vec<usize>,
    ) -> Shape {
        let dims = |at: usize| waiting[at].as_ref().dims;
        let pads = |at: &usize| self.buckets.pad(dims(*at));
        chosen.extend((0..waiting.len()).filter(|at| pads(at).candidates == candidates));
        self.keep_most_urgent(waiting, chosen, 0, self.buckets.most_users());
        let (users, shape) = self.most_efficient(chosen.iter().map(|at| dims(*at)), times);
        chosen.truncate(users);
        if users < shape.users {
            for at in 0..waiting.len() {
                let pad = pads(&at);
                let fits = pad.candidates <= candidates && pad.history <= shape.history;
                if fits && !chosen[..users].contains(&at) {
                    chosen.push(at);
                }
            }
            self.keep_most_urgent(waiting, chosen, users, shape.users);
        }
        shape
    }

    /// Sorts the places from `from` on by urgency, and keeps `most` places in all.
    fn keep_most_urgent<W: AsRef<Waiting>>(
        &self,
        waiting: &[W],
        places: &mut Vec<usize>,
        from: usize,
        most: usize,
    ) {
        // Those that came first go first among equals.
        let key = |at: &usize| (self.urgency(waiting[*at].as_ref()), *at);
        if places.len() > most && most > from {
            places[from..].select_nth_unstable_by_key(most - from - 1, key);
        }
        places.truncate(most);
        places[from..].sort_unstable_by_key(key);
    }

    /// How many of the first entries give the most rows per predicted second, and the shape that they run in.
    fn most_efficient(
        &self,
        entries: impl Iterator<Item = Dims>,
        times: &RunTimes,
    ) -> (usize, Shape) {
        let axis = self.buckets.row_axis();
        let (mut rows, mut longest) = (0, Dims { candidates: 1, history: 1 });
        let mut best = (0, self.buckets.shape(1, longest), f64::MIN);
        let mut known: Option<(Shape, f64)> = None;
        for (users, dims) in (1..).zip(entries) {
            let pad = self.buckets.pad(dims);
            longest.candidates = pad.candidates;
            longest.history = longest.history.max(pad.history);
            if users > self.buckets.max_users(longest) {
                break;
            }
            rows += axis.rows(dims);
            let shape = self.buckets.shape(users, longest);
            let cost = match known {
                Some((same, cost)) if same == shape => cost,
                _ => match times.predict(shape) {
                    Some(time) => time.as_secs_f64().max(1e-9),
                    None => axis.padded_rows(shape) as f64,
                },
            };
            known = Some((shape, cost));
            let efficiency = rows as f64 / cost;
            if efficiency >= best.2 {
                best = (users, shape, efficiency);
            }
        }
        (best.0, best.1)
    }

    /// Whether waiting for the next entry lowers the mean time to completion, for the only idle
    /// worker. Run now: `users` end after one run, the next entry after that run and one of its
    /// own. Wait: all end together after the expected gap and one larger run.
    fn waiting_pays(
        &self,
        now: Instant,
        users: usize,
        padded: Dims,
        (arrivals, times): (&Arrivals, &RunTimes),
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

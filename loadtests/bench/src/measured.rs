//! What one measurement came to.

use std::time::Duration;

use serde::Serialize;

/// What an answer may take beyond its budget.
const SLACK: Duration = Duration::from_millis(5);

/// One measurement; printed as a line of JSON.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Measured {
    /// Whole answers (or runs of the graph) in the time measured.
    pub(crate) requests: usize,
    /// Answers that were degraded.
    pub(crate) degraded: usize,
    /// Answers, whole or degraded, that came later than the budget and 5 ms.
    pub(crate) late: usize,
    /// Requests refused, failed or not sent.
    pub(crate) failed: usize,
    /// Whole answers a second.
    pub(crate) per_second: f64,
    /// Latency of whole answers.
    pub(crate) p50_us: f64,
    /// The same, of the slowest hundredth.
    pub(crate) p99_us: f64,
    /// CPU time of the measured process and its children, a request.
    pub(crate) cpu_us: f64,
    /// CPU time of the load generator, a request.
    pub(crate) client_cpu_us: f64,
}

/// How a request ended, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered as asked, after so many nanoseconds.
    Whole(u64),
    /// Answered with less, after so many nanoseconds.
    Degraded(u64),
    /// Not answered.
    Failed,
}

impl Measured {
    /// Sums up what happened within `seconds` to requests with `budget`; CPU seconds of server and client are shared among all
    /// that were answered.
    pub(crate) fn from_outcomes(
        outcomes: &[Outcome],
        budget: Duration,
        seconds: f64,
        cpu_s: f64,
        client_cpu_s: f64,
    ) -> Self {
        let mut latencies: Vec<u64> = Vec::with_capacity(outcomes.len());
        let (mut degraded, mut failed, mut late) = (0, 0, 0);
        let is_late =
            |took: u64| usize::from(Duration::from_nanos(took) > budget.saturating_add(SLACK));
        for outcome in outcomes {
            match *outcome {
                Outcome::Whole(took) => {
                    latencies.push(took);
                    late += is_late(took);
                }
                Outcome::Degraded(took) => {
                    degraded += 1;
                    late += is_late(took);
                }
                Outcome::Failed => failed += 1,
            }
        }
        latencies.sort_unstable();
        let answered = (latencies.len() + degraded).max(1) as f64;
        Self {
            requests: latencies.len(),
            degraded,
            late,
            failed,
            per_second: latencies.len() as f64 / seconds,
            p50_us: percentile(&latencies, 0.5),
            p99_us: percentile(&latencies, 0.99),
            cpu_us: cpu_s * 1e6 / answered,
            client_cpu_us: client_cpu_s * 1e6 / answered,
        }
    }
}

/// Nearest rank, in microseconds; NaN (null in JSON) of nothing.
fn percentile(sorted_ns: &[u64], share: f64) -> f64 {
    let rank = (sorted_ns.len() as f64 * share).ceil() as usize;
    sorted_ns.get(rank.max(1) - 1).map_or(f64::NAN, |ns| *ns as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_undegraded_answers_count_for_rate_and_latency() {
        let mut outcomes: Vec<_> = (1..=100).map(|ms| Outcome::Whole(ms * 1_000_000)).collect();
        outcomes.extend([Outcome::Degraded(91_000_000), Outcome::Failed]);
        let budget = Duration::from_millis(85);
        let measured = Measured::from_outcomes(&outcomes, budget, 2.0, 0.101, 0.0);
        assert_eq!((measured.requests, measured.degraded, measured.failed), (100, 1, 1));
        assert_eq!(measured.late, 11, "ten of 91 to 100 ms and the degraded one");
        assert_eq!((measured.per_second, measured.p50_us, measured.p99_us), (50.0, 5e4, 9.9e4));
        assert!((measured.cpu_us - 1000.0).abs() < 1e-6);
        assert!(Measured::from_outcomes(&[], budget, 1.0, 0.0, 0.0).p50_us.is_nan());
    }
}

//! What is in flight, and how fast it is worked off.

use std::time::Duration;

use tokio::time::Instant;

/// How long completions are counted for one estimate of the rate.
const WINDOW: Duration = Duration::from_millis(100);
/// In flight all through a window, this many requests keep a server busy, so that the window's
/// rate is what it can do and not what was asked of it.
const BUSY: usize = 4;
/// Weight of the newest window, and of the newest answer.
const WINDOW_WEIGHT: f64 = 0.3;
const ANSWER_WEIGHT: f64 = 0.05;
/// Part of a budget that answers take lately above which they are taken to queue.
const QUEUEING: f64 = 0.5;

/// Requests in flight, the rate they are answered at when there are enough of them, and what the
/// queue of the scoring role would take.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    in_flight: usize,
    window: Option<Window>,
    /// Answers per second when busy.
    rate: Option<f64>,
    /// Mean time of an answer, in seconds.
    mean: Option<f64>,
    queue_until: Option<Instant>,
}

#[derive(Debug)]
struct Window {
    begun: Instant,
    answers: u32,
    /// Fewest in flight since it began.
    fewest: usize,
}

impl Backlog {
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn enter(&mut self, now: Instant) {
        self.in_flight += 1;
        let fewest = self.in_flight;
        self.window.get_or_insert(Window { begun: now, answers: 0, fewest });
    }

    /// One leaves; `took` when it was answered.
    pub(crate) fn leave(&mut self, took: Option<Duration>, now: Instant) {
        if let Some(took) = took {
            let took = took.as_secs_f64();
            let mean = self.mean.get_or_insert(took);
            *mean += ANSWER_WEIGHT * (took - *mean);
        }
        if let Some(window) = &mut self.window {
            window.answers += u32::from(took.is_some());
            window.fewest = window.fewest.min(self.in_flight);
            let length = now.saturating_duration_since(window.begun);
            if length >= WINDOW {
                let rate = f64::from(window.answers) / length.as_secs_f64();
                if window.fewest >= BUSY && window.answers > 0 {
                    let known = self.rate.get_or_insert(rate);
                    *known += WINDOW_WEIGHT * (rate - *known);
                }
                self.window = None;
            }
        }
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    pub(crate) fn note_queue(&mut self, takes: Duration, now: Instant) {
        self.queue_until = Some(now + takes);
    }

    /// When one that has just entered would be answered: after all that is in flight, at the rate
    /// known, and not before the scoring queue is worked off.
    pub(crate) fn predicted(&self, now: Instant) -> Duration {
        let ahead = self.rate.map_or(0.0, |rate| self.in_flight as f64 / rate.max(1e-3));
        let queue =
            self.queue_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        Duration::from_secs_f64(ahead).max(queue)
    }

    /// Whether answers lately take so much of `budget` that they must have waited.
    pub(crate) fn queues(&self, budget: Duration) -> bool {
        self.mean.is_some_and(|mean| mean > QUEUEING * budget.as_secs_f64())
    }
}

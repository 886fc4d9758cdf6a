//! Whether a server that is there has stopped to answer.

use std::time::Duration;

/// Runs in a row that waited unusually long for nothing.
const MOST: u32 = 3;
/// Weight of the newest answer in the mean.
const WEIGHT: u32 = 8;
/// Nothing quicker than this is unusually long.
const SHORTEST: Duration = Duration::from_millis(5);

/// How long answers take, and how often in a row none came.
#[derive(Debug, Default)]
pub(super) struct Silence {
    usual: Duration,
    unanswered: u32,
}

impl Silence {
    /// A run was answered.
    pub(super) fn answered(&mut self, took: Duration) {
        let of = |mean: Duration| (mean * (WEIGHT - 1) + took) / WEIGHT;
        self.usual = if self.usual.is_zero() { took } else { of(self.usual) };
        self.unanswered = 0;
    }

    /// A run's time was up. Whether that was once too often: a run that had little time from the
    /// start says nothing of the server.
    pub(super) fn lasts(&mut self, waited: Duration) -> bool {
        if waited < (2 * self.usual).max(SHORTEST) {
            return false;
        }
        self.unanswered += 1;
        if self.unanswered < MOST {
            return false;
        }
        self.unanswered = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn only_consecutive_long_waits_count() {
        let mut silence = Silence::default();
        silence.answered(MS(10));
        assert!(!silence.lasts(MS(30)) && !silence.lasts(MS(30)));
        assert!(!silence.lasts(MS(19)), "it had little time");
        silence.answered(MS(10));
        assert!(!silence.lasts(MS(30)) && !silence.lasts(MS(30)));
        assert!(silence.lasts(MS(30)));
        assert!(!silence.lasts(MS(30)), "it starts over");
    }
}

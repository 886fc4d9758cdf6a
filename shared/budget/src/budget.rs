//! The running account of one request's time.

use std::{future::Future, time::Duration};

use plugrank_contract::{CallError, Deadline, ErrorCode};
use tokio::time::Instant;

use crate::{Rung, Shares, Stage, StageOutcome, StageRecord};

/// The running account of one request's time.
///
/// ```
/// use std::time::Duration;
///
/// use plugrank_budget::{Budget, StageOutcome, Rung, Shares, Stage};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let shares = Shares { retrieval: 0.25, scoring: 0.45, reranking: 0.2 };
/// let mut budget = Budget::start(Duration::from_secs(1), shares);
/// let stage = budget.run(Stage::Retrieval, Rung::Full, |_deadline| async { Ok(["lamp"]) }).await;
/// assert_eq!(stage.value.unwrap(), ["lamp"]);
/// assert_eq!(stage.record.outcome, StageOutcome::Completed);
/// // What retrieval left is lent to scoring: it may use time up to its own end.
/// assert!(budget.stage_deadline(Stage::Scoring) < budget.deadline());
/// # }
/// ```
#[derive(Debug)]
pub struct Budget {
    started: Instant,
    total: Duration,
    shares: Shares,
    records: Vec<StageRecord>,
}

/// What a stage gave, and its record.
///
/// [`Budget::run`] returns one; [`Budget`] has an example.
#[derive(Debug)]
pub struct StageResult<T> {
    /// The stage's answer; `DeadlineExceeded` when it was cut.
    pub value: Result<T, CallError>,
    /// Its time and outcome.
    pub record: StageRecord,
}

impl Budget {
    /// Opens the account: `total` from now, split by `shares`.
    #[must_use]
    pub fn start(total: Duration, shares: Shares) -> Self {
        Self { started: Instant::now(), total, shares, records: Vec::with_capacity(3) }
    }

    /// The whole budget.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
    }

    /// Time since the account was opened.
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.started.elapsed()
    }

    /// When the whole request must have been answered.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.started + self.total
    }

    /// When `stage` must have ended. It does not depend on what earlier stages took: what they
    /// left unspent is thereby lent to it.
    #[must_use]
    pub fn stage_deadline(&self, stage: Stage) -> Instant {
        self.started + self.shares.end_of(stage, self.total)
    }

    /// Runs a stage on `rung` and cuts it at its deadline, which is handed to it.
    pub async fn run<T, F>(
        &mut self,
        stage: Stage,
        rung: Rung,
        work: impl FnOnce(Deadline) -> F,
    ) -> StageResult<T>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let began = Instant::now();
        let end = self.stage_deadline(stage);
        let (deadline, allotted) = (Deadline::at(end), end.saturating_duration_since(began));
        let value = if allotted.is_zero() {
            Err(CallError::deadline(format!("no time was left for {stage}")))
        } else {
            let cut = || Err(CallError::deadline(format!("{stage} was cut at its allotment")));
            deadline.limit(work(deadline)).await.unwrap_or_else(cut)
        };
        let outcome = match &value {
            Ok(_) => StageOutcome::Completed,
            Err(error) if error.code == ErrorCode::DeadlineExceeded => StageOutcome::Cut,
            Err(_) => StageOutcome::Failed,
        };
        let error = value.as_ref().err().cloned();
        let spent = began.elapsed();
        let record = StageRecord { stage, rung, began, allotted, spent, outcome, error };
        self.records.push(record.clone());
        StageResult { value, record }
    }

    /// The stages that ran, in order.
    #[must_use]
    pub fn records(&self) -> &[StageRecord] {
        &self.records
    }

    /// The stages that ran, in order.
    #[must_use]
    pub fn into_records(self) -> Vec<StageRecord> {
        self.records
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn budget() -> Budget {
        Budget::start(MS(100), Shares { retrieval: 0.2, scoring: 0.6, reranking: 0.2 })
    }

    async fn takes(ms: u64) -> Result<u64, CallError> {
        sleep(MS(ms)).await;
        Ok(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn unspent_time_goes_to_later_stages() {
        let mut budget = budget();
        assert!(budget.run(Stage::Retrieval, Rung::Full, |_| takes(5)).await.value.is_ok());
        let scoring = budget.run(Stage::Scoring, Rung::Full, |_| takes(70)).await;
        assert_eq!(scoring.record.allotted, MS(75));
        assert_eq!(scoring.record.outcome, StageOutcome::Completed);
        assert_eq!(
            budget.run(Stage::Reranking, Rung::Full, |_| takes(1)).await.record.allotted,
            MS(25)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stage_is_cut_at_its_allotment() {
        let mut budget = budget();
        let result = budget.run(Stage::Retrieval, Rung::Full, |_| takes(1000)).await;
        assert_eq!(result.value.unwrap_err().code, ErrorCode::DeadlineExceeded);
        assert_eq!(result.record.outcome, StageOutcome::Cut);
        assert_eq!(budget.spent(), MS(20));
        assert_eq!(
            budget.run(Stage::Scoring, Rung::Full, |_| takes(1)).await.record.allotted,
            MS(60)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stage_without_time_does_not_start() {
        let mut budget = budget();
        sleep(MS(30)).await;
        let mut started = false;
        let result = budget
            .run(Stage::Retrieval, Rung::Full, |_| {
                started = true;
                takes(1)
            })
            .await;
        assert_eq!(result.record.outcome, StageOutcome::Cut);
        assert!(!started);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_not_reported_as_a_cut() {
        let mut budget = budget();
        let failing = |_| async { Err::<(), _>(CallError::internal("boom")) };
        let result = budget.run(Stage::Retrieval, Rung::Full, failing).await;
        assert_eq!(result.record.outcome, StageOutcome::Failed);
        assert_eq!(result.record.error, Some(CallError::internal("boom")));
        assert_eq!(budget.records().len(), 1);
    }
}

//! The gateway's ladder: fed with the stage records of every request, asked by every request.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use plugrank_budget::{
    BudgetOptions, Ladder, LadderOptions, Rung, Shares, Stage, StageRecord, Step,
};
use tokio::time::Instant;

use crate::{metrics::LadderMetrics, pipeline::DegradedCause};

/// The rungs a request begins on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StartingRungs {
    pub(crate) retrieval: Rung,
    pub(crate) scoring: Rung,
    pub(crate) reranking: Rung,
    /// Why they are below the best.
    cause: DegradedCause,
    /// Why a stage's rung was lowered for this request alone (an arm, the request itself), by their number.
    lowered: [Option<DegradedCause>; Stage::ALL.len()],
}

impl StartingRungs {
    /// The rung a stage begins on.
    pub(crate) fn rung(&self, stage: Stage) -> Rung {
        match stage {
            Stage::Retrieval => self.retrieval,
            Stage::Scoring => self.scoring,
            Stage::Reranking => self.reranking,
        }
    }

    /// Why a stage begins below the best.
    pub(crate) fn cause(&self, stage: Stage) -> DegradedCause {
        self.lowered[stage as usize].unwrap_or(self.cause)
    }

    /// The same with nothing scored, as the whole answer would come too late.
    pub(crate) fn without_scores(self) -> Self {
        Self { scoring: Rung::RetrievalOrder, cause: DegradedCause::Backlog, ..self }
    }

    /// The same with no stage above a rung, where it is one of its ladder.
    pub(crate) fn at_most(mut self, rung: Rung, cause: DegradedCause) -> Self {
        for stage in Stage::ALL {
            let of_stage = match stage {
                Stage::Retrieval => &mut self.retrieval,
                Stage::Scoring => &mut self.scoring,
                Stage::Reranking => &mut self.reranking,
            };
            if stage.rungs().contains(&rung) && *of_stage < rung {
                *of_stage = rung;
                self.lowered[stage as usize] = Some(cause);
            }
        }
        self
    }

    /// Whether fewer candidates are wanted: on every rung below the best of the stages that go
    /// through all of them. A rung that one request is given, to be compared, changes its candidates
    /// only where that is what it is for.
    pub(crate) fn fewer_candidates(&self) -> bool {
        let fewer = |stage: Stage| {
            let rung = self.rung(stage);
            let own = self.lowered[stage as usize].is_some();
            if own { rung == Rung::FewerCandidates } else { rung > Rung::Full }
        };
        fewer(Stage::Retrieval) || fewer(Stage::Scoring)
    }
}

/// Moves the ladder, and reports its steps in the log and in metrics.
pub(crate) struct Controller {
    ladder: Mutex<Ladder>,
    measure: Mutex<Measure>,
    metrics: LadderMetrics,
}

/// What the time of stages is measured against.
#[derive(Clone, Copy)]
struct Measure {
    options: LadderOptions,
    shares: Shares,
    /// No stage is measured against a smaller budget: a caller's small one says nothing of the stages.
    least_budget: Duration,
}

impl Measure {
    fn from_options(options: &BudgetOptions) -> Self {
        let BudgetOptions { ladder, shares, .. } = *options;
        Self { options: ladder, shares, least_budget: options.default_budget() }
    }
}

impl Controller {
    pub(crate) fn new(options: &BudgetOptions, metrics: LadderMetrics) -> Self {
        let ladder = Mutex::new(Ladder::new(options.ladder));
        Self { ladder, measure: Mutex::new(Measure::from_options(options)), metrics }
    }

    /// Goes on by other options. Where those of the ladder change, it begins at the top again.
    pub(crate) fn set(&self, options: &BudgetOptions) {
        let mut ladder = self.lock();
        let mut measure = self.measure.lock();
        if measure.options != options.ladder {
            *ladder = Ladder::new(options.ladder);
        }
        *measure = Measure::from_options(options);
    }

    fn lock(&self) -> MutexGuard<'_, Ladder> {
        self.ladder.lock()
    }

    /// The rungs for a request that begins now.
    pub(crate) fn plan(&self) -> StartingRungs {
        let mut ladder = self.lock();
        let steps = ladder.advance(Instant::now());
        let plan = StartingRungs {
            retrieval: ladder.rung(Stage::Retrieval),
            scoring: ladder.rung(Stage::Scoring),
            reranking: ladder.rung(Stage::Reranking),
            cause: if ladder.pinned() { DegradedCause::Pinned } else { DegradedCause::Pressure },
            lowered: [None; Stage::ALL.len()],
        };
        drop(ladder);
        self.report(&steps);
        plan
    }

    /// Takes in what the stages of a request took of its budget. A stage that had no room for the
    /// call counts as one that took far too long.
    pub(crate) fn observe(&self, stages: &[StageRecord], total: Duration) {
        let Measure { shares, least_budget, .. } = *self.measure.lock();
        let total = total.max(least_budget);
        let now = Instant::now();
        let mut ladder = self.lock();
        for record in stages {
            let share = shares.share_of(record.stage, total);
            let part = match record.is_overloaded() {
                true => f64::INFINITY,
                false => record.spent.as_secs_f64() / share.as_secs_f64().max(1e-9),
            };
            ladder.observe(record.stage, part, now);
        }
        let steps = ladder.advance(now);
        drop(ladder);
        self.report(&steps);
    }

    /// Rung and p99 (as a part of the share) of a stage now.
    pub(crate) fn stage_state(&self, stage: Stage) -> (Rung, Option<f64>) {
        let mut ladder = self.lock();
        let steps = ladder.advance(Instant::now());
        let state = (ladder.rung(stage), ladder.p99(stage));
        drop(ladder);
        self.report(&steps);
        state
    }

    fn report(&self, steps: &[Step]) {
        for step in steps {
            let (stage, from, to) = (step.stage.as_str(), step.from.as_str(), step.to.as_str());
            self.metrics.step(step);
            if step.is_down() {
                let p99 = step.p99.unwrap_or(f64::NAN);
                tracing::warn!(stage, from, to, p99_of_share = p99, "the ladder stepped down");
            } else {
                tracing::info!(stage, from, to, "the ladder stepped up");
            }
        }
    }
}

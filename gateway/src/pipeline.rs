//! The life of a ranking: retrieve, score, re-rank, each within its share of the budget.
//!
//! One candidate set goes from stage to stage and gains columns:
//!
//! | stage | adds | instead, when it is cut or fails |
//! | --- | --- | --- |
//! | [`retrieve`](retrieve::retrieve) | items, their sources, the user | no answer: there is nothing to rank |
//! | [`score`](score::score) | click probabilities | missing vectors, then the ID-based model, then retrieval's order |
//! | [`rerank`](rerank::rerank) | places | the order of the click probabilities |
//!
//! A request begins on the rungs the controller gives it, and a stage that does not end in time
//! takes the next one. The result says which rung was reached and why.

mod candidates;
mod degraded;
mod given;
mod rerank;
mod retrieve;
mod score;
mod stage;
mod without_ppm;

pub(crate) use candidates::{CandidateSet, Placed};
pub(crate) use degraded::{Degraded, DegradedCause, Fallback};
pub(crate) use given::Given;

use std::{sync::Arc, time::Duration};

use plugrank_budget::{Budget, Rung, Stage, StageRecord};
use plugrank_contract::{CallError, ErrorCode, Filter, ItemList, TimestampMs, UserId};

use crate::{
    Gateway, ServingModel, controller::StartingRungs, observe::RequestInfo, surface::Surface,
};

/// A checked rank request.
#[derive(Clone, Debug)]
pub(crate) struct RankQuery {
    pub(crate) user_id: UserId,
    /// Whose sources, filter, rules, formula and k rank it: an experiment's arm may name another surface than the
    /// request does.
    pub(crate) surface: Arc<Surface>,
    /// Where the list is shown.
    pub(crate) shown_on: Arc<Surface>,
    pub(crate) k: u32,
    pub(crate) candidates: Option<ItemList>,
    pub(crate) exclude: ItemList,
    /// Fingerprints of what earlier pages showed, ascending.
    pub(crate) shown: Arc<[u32]>,
    /// Items that the ranking should go with.
    pub(crate) context: ItemList,
    /// Feature values that it brings with it; `None` where it brings none.
    pub(crate) given: Option<Given>,
    /// Filters that every item meets: the request's own first.
    pub(crate) filters: Vec<Filter>,
    pub(crate) as_of: TimestampMs,
    pub(crate) budget: Duration,
    /// Instead of the settings'.
    pub(crate) diversity: Option<f32>,
    /// The rung it asks for.
    pub(crate) rung: Option<Rung>,
    pub(crate) explain: bool,
}

/// A request on its way through the stages.
pub(crate) struct RankRun<'a> {
    pub(crate) gateway: &'a Gateway,
    /// The model that answers, from the first stage to the last.
    pub(crate) model: &'a ServingModel,
    pub(crate) info: &'a RequestInfo,
    pub(crate) query: &'a RankQuery,
    /// The rungs it begins on.
    pub(crate) plan: StartingRungs,
    pub(crate) budget: Budget,
    /// Where the answer is less than it could be.
    pub(crate) degraded: Vec<Degraded>,
}

/// Ranks, beginning on the rungs of `plan`; `budget` runs since the request was read.
pub(crate) async fn rank(
    gateway: &Gateway,
    model: &ServingModel,
    info: &RequestInfo,
    query: &RankQuery,
    plan: StartingRungs,
    budget: Budget,
) -> Ranked {
    let mut run = RankRun { gateway, model, info, query, plan, budget, degraded: Vec::new() };
    let ranking = all_stages(&mut run).await;
    let (total, spent) = (run.budget.total(), run.budget.spent());
    let stages = run.budget.into_records();
    Ranked { ranking, degraded: run.degraded, total, spent, stages }
}

/// Every stage, in order. A stage takes the set and gives it back with more columns; what it could
/// not do is in `run.degraded`.
async fn all_stages(run: &mut RankRun<'_>) -> Result<CandidateSet, CallError> {
    let mut set = retrieve::retrieve(run).await?;
    score::score(run, &mut set).await?;
    rerank::rerank(run, &mut set).await;
    if run.query.explain {
        without_ppm::add(run, &mut set).await;
    }
    Ok(set)
}

/// What came of a request: its stages in any case, and a ranking unless retrieval failed, or what the
/// request says does not suit the model.
#[derive(Debug)]
pub(crate) struct Ranked {
    pub(crate) ranking: Result<CandidateSet, CallError>,
    /// Where it is less than it could be.
    pub(crate) degraded: Vec<Degraded>,
    pub(crate) stages: Vec<StageRecord>,
    pub(crate) total: Duration,
    pub(crate) spent: Duration,
}

/// A model that could not answer.
pub(crate) struct BrokenModel {
    /// Why, for people.
    pub(crate) reason: String,
    /// Whether there is such a model; one that a process has not loaded yet is no broken one.
    pub(crate) is_here: bool,
}

impl Ranked {
    /// The lowest rung that any part of it stands on.
    pub(crate) fn rung(&self) -> Rung {
        self.degraded.iter().filter_map(Degraded::rung).max().unwrap_or(Rung::Full)
    }

    /// Whether it is less than it could be, other than as an experiment's arm or the request meant it.
    pub(crate) fn is_degraded(&self) -> bool {
        let unmeant = |degraded: &Degraded| {
            !matches!(degraded.cause, DegradedCause::Experiment | DegradedCause::Asked)
        };
        self.ranking.is_err() || self.degraded.iter().any(unmeant)
    }

    /// Why the model itself could not answer, where it is to blame and not the time: its call failed,
    /// it crashed, it gave what is no number, or no process has it.
    pub(crate) fn broken_model(&self) -> Option<BrokenModel> {
        let blamed = |degraded: &&Degraded| {
            degraded.stage == Stage::Scoring
                && matches!(
                    degraded.cause,
                    DegradedCause::Failed | DegradedCause::NonFinite | DegradedCause::NoModel
                )
        };
        let degraded = self.degraded.iter().find(blamed).map(|found| BrokenModel {
            reason: found.detail.clone(),
            is_here: found.cause != DegradedCause::NoModel,
        });
        let defect =
            |error: &&CallError| matches!(error.code, ErrorCode::Internal | ErrorCode::NoModel);
        degraded.or_else(|| {
            let error = self.ranking.as_ref().err().filter(defect)?;
            let is_here = error.code != ErrorCode::NoModel;
            Some(BrokenModel { reason: error.message.clone(), is_here })
        })
    }

    /// Stages that had nothing to do.
    pub(crate) fn skipped(&self) -> impl Iterator<Item = Stage> {
        let ran = |stage: &Stage| self.stages.iter().any(|record| record.stage == *stage);
        Stage::ALL.into_iter().filter(move |stage| !ran(stage))
    }
}

//! The fixed order of a ranking: retrieve, score, re-rank, each within its share of the budget.
//!
//! A request begins on the rungs the controller gives it, and a stage that is cut or fails takes the
//! next one. Without scores the order is retrieval's; without re-ranking it is that of the click
//! probabilities; without candidates there is no answer. The result says which rung was reached and
//! why.

mod degraded;
mod order;
mod rerank;
mod retrieve;
mod score;
mod stage;

pub(crate) use degraded::{Cause, Degraded, Fallback};

use std::time::Duration;

use plugrank_budget::{Budget, Rung, Stage, StageRecord};
use plugrank_contract::{
    CallError, ItemId, TimestampMs, UserId,
    retrieval::{DropReason, Dropped, Source},
};

use crate::{Gateway, api::rank::Coverage, controller::Plan, observe::RequestInfo};
use order::Placed;

/// A checked rank request.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) user_id: UserId,
    pub(crate) k: u32,
    pub(crate) candidates: Option<Vec<ItemId>>,
    pub(crate) exclude: Vec<ItemId>,
    pub(crate) as_of: TimestampMs,
    pub(crate) budget: Duration,
}

/// A ranking and how it came about.
#[derive(Debug, Default)]
pub(crate) struct Ranking {
    /// Version of the bundle that scored.
    pub(crate) model: Option<String>,
    /// At most `k` items, best first.
    pub(crate) items: Vec<Placed>,
    /// Where it is less than it could be.
    pub(crate) degraded: Vec<Degraded>,
    pub(crate) coverage: Coverage,
    pub(crate) dropped: Vec<Dropped>,
    pub(crate) batch_rows: u32,
}

/// What came of a request: its stages in any case, and a ranking unless retrieval failed.
#[derive(Debug)]
pub(crate) struct Ranked {
    pub(crate) ranking: Result<Ranking, CallError>,
    pub(crate) stages: Vec<StageRecord>,
    /// Stages that had nothing to do.
    pub(crate) skipped: Vec<Stage>,
    pub(crate) total: Duration,
    pub(crate) spent: Duration,
}

impl Ranking {
    /// The lowest rung that any part of it stands on.
    pub(crate) fn rung(&self) -> Rung {
        self.degraded.iter().filter_map(Degraded::rung).max().unwrap_or(Rung::Full)
    }
}

/// Ranks, beginning on the rungs of `plan`.
pub(crate) async fn rank(
    gateway: &Gateway,
    info: &RequestInfo,
    query: &Query,
    plan: Plan,
) -> Ranked {
    let mut run = Run {
        gateway,
        info,
        query,
        plan,
        budget: Budget::start(query.budget, gateway.shares),
        ranking: Ranking::default(),
    };
    let outcome = run.all_stages().await;
    let (total, spent) = (run.budget.total(), run.budget.spent());
    let stages = run.budget.into_records();
    let ran = |stage: &Stage| stages.iter().any(|record| record.stage == *stage);
    Ranked {
        ranking: outcome.map(|()| run.ranking),
        skipped: Stage::ALL.into_iter().filter(|stage| !ran(stage)).collect(),
        total,
        spent,
        stages,
    }
}

/// One request on its way through the stages.
struct Run<'a> {
    gateway: &'a Gateway,
    info: &'a RequestInfo,
    query: &'a Query,
    plan: Plan,
    budget: Budget,
    ranking: Ranking,
}

impl Run<'_> {
    async fn all_stages(&mut self) -> Result<(), CallError> {
        let candidates = self.retrieve().await?;
        if candidates.is_empty() {
            return Ok(());
        }
        self.ranking.items = match self.score(&candidates).await {
            Some(scored) => self.rerank(scored).await,
            None => order::as_retrieved(candidates, self.query.k),
        };
        Ok(())
    }
}

/// A source's name in replies.
pub(crate) const fn source_name(source: Source) -> &'static str {
    match source {
        Source::Caller => "caller",
        Source::Ann => "ann",
        Source::CoVisitation => "co_visitation",
        Source::Category => "category",
        Source::Popular => "popular",
        Source::Fresh => "fresh",
    }
}

/// A drop reason's name in replies.
pub(crate) const fn reason_name(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Unknown => "unknown",
        DropReason::Seen => "seen",
        DropReason::Excluded => "excluded",
        DropReason::Unavailable => "unavailable",
        DropReason::OverLimit => "over_limit",
    }
}

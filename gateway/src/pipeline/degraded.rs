//! Where an answer is less than it could be, and what was done instead.

use plugrank_budget::Stage;
use plugrank_contract::{CallError, ErrorCode};

/// Why a stage gave less than it could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was cut at its allotment.
    Cut,
    /// The service holds as much work as it admits.
    Overloaded,
    /// It answered with an error.
    Failed,
    /// It answered, but a part of it could not do its work.
    Partial,
}

impl Cause {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Overloaded => "overloaded",
            Self::Failed => "failed",
            Self::Partial => "partial",
        }
    }
}

/// What was done instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// Items stand in retrieval's order.
    RetrievalOrder,
    /// Items stand in the order of their click probability.
    CtrOrder,
    /// The other sources filled in.
    OtherSources,
    /// A rule was not applied.
    RuleSkipped,
    /// Items without a usable score went to the bottom.
    ScoredLowest,
}

impl Fallback {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RetrievalOrder => "retrieval_order",
            Self::CtrOrder => "ctr_order",
            Self::OtherSources => "other_sources",
            Self::RuleSkipped => "rule_skipped",
            Self::ScoredLowest => "scored_lowest",
        }
    }
}

/// Where an answer is less than it could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Degraded {
    pub(crate) stage: Stage,
    pub(crate) cause: Cause,
    pub(crate) fallback: Fallback,
    pub(crate) detail: String,
}

impl Degraded {
    /// A stage that gave nothing.
    pub(crate) fn by_error(stage: Stage, error: CallError, fallback: Fallback) -> Self {
        let cause = match error.code {
            ErrorCode::DeadlineExceeded => Cause::Cut,
            ErrorCode::Overloaded => Cause::Overloaded,
            _ => Cause::Failed,
        };
        Self { stage, cause, fallback, detail: error.message }
    }

    /// A stage that gave less than all.
    pub(crate) fn partial(stage: Stage, fallback: Fallback, detail: String) -> Self {
        Self { stage, cause: Cause::Partial, fallback, detail }
    }
}

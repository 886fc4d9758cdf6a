//! Where an answer is less than it could be, and what was done instead.

use plugrank_budget::{Rung, Stage};
use plugrank_contract::{CallError, ErrorCode};

/// Why a stage gave less than it could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DegradedCause {
    /// It was cut at its allotment.
    Cut,
    /// The service holds as much work as it admits.
    Overloaded,
    /// It answered with an error.
    Failed,
    /// It answered, but a part of it could not do its work.
    Partial,
    /// Its recent p99 outgrew its share, so it began on a lower rung.
    Pressure,
    /// The settings pin the rung.
    Pinned,
    /// An arm of an experiment serves at this rung.
    Experiment,
    /// The request asks for this rung.
    Asked,
    /// At the present backlog the whole answer would have come too late.
    Backlog,
    /// The model gave what are no finite numbers.
    NonFinite,
    /// No process of the role has the model of the request.
    NoModel,
}

impl DegradedCause {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Overloaded => "overloaded",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::Pressure => "pressure",
            Self::Pinned => "pinned",
            Self::Experiment => "experiment",
            Self::Asked => "asked",
            Self::Backlog => "backlog",
            Self::NonFinite => "non_finite",
            Self::NoModel => "no_model",
        }
    }
}

/// What was done instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// A lower rung of the ladder.
    Rung(Rung),
    /// The other sources filled in.
    OtherSources,
    /// A rule was not applied.
    RuleSkipped,
    /// Items without a usable score went to the bottom.
    ScoredLowest,
    /// Items without a value by the formula went to the bottom, or all were ordered without it.
    WithoutValue,
}

impl Fallback {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Rung(rung) => rung.as_str(),
            Self::OtherSources => "other_sources",
            Self::RuleSkipped => "rule_skipped",
            Self::ScoredLowest => "scored_lowest",
            Self::WithoutValue => "without_value",
        }
    }
}

/// Where an answer is less than it could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Degraded {
    pub(crate) stage: Stage,
    pub(crate) cause: DegradedCause,
    pub(crate) fallback: Fallback,
    pub(crate) detail: String,
}

impl Degraded {
    /// A stage that gave nothing.
    pub(crate) fn by_error(stage: Stage, error: CallError, rung: Rung) -> Self {
        let cause = match error.code {
            ErrorCode::DeadlineExceeded => DegradedCause::Cut,
            ErrorCode::Overloaded => DegradedCause::Overloaded,
            ErrorCode::NotFinite => DegradedCause::NonFinite,
            ErrorCode::NoModel => DegradedCause::NoModel,
            _ => DegradedCause::Failed,
        };
        Self { stage, cause, fallback: Fallback::Rung(rung), detail: error.message }
    }

    /// A stage that began on a lower rung.
    pub(crate) fn planned(stage: Stage, rung: Rung, cause: DegradedCause) -> Self {
        let detail = match cause {
            DegradedCause::Pinned => "the settings pin the rung (budget.ladder.pin)",
            DegradedCause::Experiment => "an arm of an experiment serves at this rung",
            DegradedCause::Backlog => "at the present backlog the whole answer would come too late",
            _ => "the stage's recent p99 outgrew its share of the budget",
        };
        Self { stage, cause, fallback: Fallback::Rung(rung), detail: detail.to_owned() }
    }

    /// The rung it led to, when it is one of the ladder.
    pub(crate) fn rung(&self) -> Option<Rung> {
        match self.fallback {
            Fallback::Rung(rung) => Some(rung),
            _ => None,
        }
    }

    /// A stage that gave less than all.
    pub(crate) fn partial(stage: Stage, fallback: Fallback, detail: String) -> Self {
        Self { stage, cause: DegradedCause::Partial, fallback, detail }
    }
}

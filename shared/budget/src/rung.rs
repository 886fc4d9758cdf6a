//! The rungs a ranking can stand on, best first.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Stage;

/// A rung of the ladder. A greater one gives a lesser answer at a lower cost.
///
/// ```
/// use plugrank_budget::{Rung, Stage};
///
/// assert!(Rung::Full < Rung::RetrievalOrder, "a greater rung is a lesser answer");
/// assert_eq!("ctr_order".parse(), Ok(Rung::CtrOrder));
/// assert_eq!(Stage::Reranking.rungs(), [Rung::Full, Rung::CtrOrder]);
/// ```
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// The unified model over all candidates, then all rules.
    Full,
    /// Items stand in the order of their click probability; no rule is applied.
    CtrOrder,
    /// Fewer candidates are retrieved and scored.
    FewerCandidates,
    /// Only vectors cached in process are read; the learned missing-vector stands in for the rest.
    MissingVectors,
    /// The ID-based model alone.
    Idrec,
    /// Nothing is scored; items stand in retrieval's order.
    RetrievalOrder,
}

impl Rung {
    /// All rungs, best first.
    pub const ALL: [Self; 6] = [
        Self::Full,
        Self::CtrOrder,
        Self::FewerCandidates,
        Self::MissingVectors,
        Self::Idrec,
        Self::RetrievalOrder,
    ];

    /// Name in replies, settings, metrics and spans.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::CtrOrder => "ctr_order",
            Self::FewerCandidates => "fewer_candidates",
            Self::MissingVectors => "missing_vectors",
            Self::Idrec => "idrec",
            Self::RetrievalOrder => "retrieval_order",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Rung {
    type Err = UnknownRung;

    fn from_str(name: &str) -> Result<Self, UnknownRung> {
        Self::ALL
            .into_iter()
            .find(|rung| rung.as_str() == name)
            .ok_or_else(|| UnknownRung(name.to_owned()))
    }
}

/// There is no such rung.
///
/// ```
/// use plugrank_budget::Rung;
///
/// let error = "best".parse::<Rung>().unwrap_err().to_string();
/// assert!(error.starts_with("\"best\" is no rung; there are full, ctr_order,"), "{error}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no rung; there are {names}", names = Rung::ALL.map(Rung::as_str).join(", "))]
pub struct UnknownRung(String);

impl Rung {
    /// Whether it saves anything, so that pressure leads to it. The ID-based model is there for
    /// when the unified one fails or is late: it costs more than that where nothing of it is
    /// computed ahead, as what a record and a user's state hold is of the unified model alone.
    #[must_use]
    pub const fn relieves(self) -> bool {
        !matches!(self, Self::Idrec)
    }

    /// Whether `stage` can stand on it.
    const fn is_of(self, stage: Stage) -> bool {
        match self {
            Self::Full => true,
            Self::CtrOrder => matches!(stage, Stage::Reranking),
            Self::FewerCandidates => matches!(stage, Stage::Retrieval | Stage::Scoring),
            Self::MissingVectors | Self::Idrec | Self::RetrievalOrder => {
                matches!(stage, Stage::Scoring)
            }
        }
    }
}

/// The rungs of one stage.
struct StageLadder {
    rungs: [Rung; Rung::ALL.len()],
    len: usize,
}

impl StageLadder {
    /// In the order of the enum, which is thereby the only place that has one.
    const fn new(stage: Stage) -> Self {
        let mut ladder = Self { rungs: Rung::ALL, len: 0 };
        let mut at = 0;
        while at < Rung::ALL.len() {
            assert!(Rung::ALL[at] as usize == at, "`Rung::ALL` is in the order of the enum");
            if Rung::ALL[at].is_of(stage) {
                ladder.rungs[ladder.len] = Rung::ALL[at];
                ladder.len += 1;
            }
            at += 1;
        }
        ladder
    }
}

static LADDERS: [StageLadder; Stage::ALL.len()] = [
    StageLadder::new(Stage::Retrieval),
    StageLadder::new(Stage::Scoring),
    StageLadder::new(Stage::Reranking),
];

impl Stage {
    /// The rungs this stage can stand on, best first.
    #[must_use]
    pub fn rungs(self) -> &'static [Rung] {
        let StageLadder { rungs, len } = &LADDERS[self as usize];
        &rungs[..*len]
    }
}

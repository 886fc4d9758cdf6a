//! What happened to a stage of a request.

use std::time::Duration;

use plugrank_contract::{CallError, ErrorCode};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{Rung, Stage};

/// How a stage ended.
///
/// ```
/// use plugrank_budget::StageOutcome;
///
/// assert_eq!(StageOutcome::ALL.map(StageOutcome::as_str), ["completed", "cut", "failed"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageOutcome {
    /// It answered within its allotment.
    Completed,
    /// It was cut at its allotment.
    Cut,
    /// It answered with an error.
    Failed,
}

impl StageOutcome {
    /// All outcomes.
    pub const ALL: [Self; 3] = [Self::Completed, Self::Cut, Self::Failed];

    /// Name in replies, metrics and spans.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cut => "cut",
            Self::Failed => "failed",
        }
    }
}

/// One stage of a request: what it was given, what it took, how it ended. The ladder, the reply,
/// the metrics and the stage's span are all made from it.
///
/// ```
/// use std::time::Duration;
///
/// use plugrank_budget::{Budget, Rung, Shares, Stage};
/// use plugrank_contract::CallError;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut budget = Budget::start(Duration::from_secs(1), Shares::default());
/// let refused = |_| async { Err::<(), _>(CallError::overloaded("no room")) };
/// budget.run(Stage::Retrieval, Rung::Full, refused).await;
/// let record = &budget.records()[0];
/// assert!(record.is_overloaded());
/// assert!(record.spent <= record.allotted);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct StageRecord {
    /// Which stage.
    pub stage: Stage,
    /// The rung it began on.
    pub rung: Rung,
    /// When it began.
    pub began: Instant,
    /// Time it was given, what earlier stages left unspent included.
    pub allotted: Duration,
    /// Time it took.
    pub spent: Duration,
    /// How it ended.
    pub outcome: StageOutcome,
    /// Why it gave nothing.
    pub error: Option<CallError>,
}

impl StageRecord {
    /// Whether the service had no room for the call.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.code == ErrorCode::Overloaded)
    }
}

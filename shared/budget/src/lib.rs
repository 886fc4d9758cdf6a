//! One deadline per request, split over its stages, and what happens when time runs short.
//!
//! Stages run in a fixed order. Each must end by the point of the budget at which its share and
//! those before it are used up; so what a stage leaves unspent is lent to the next, and what it
//! overspends is taken from those that follow, never from the deadline ([`Budget`]). What the
//! stages took moves the [`Ladder`]; [`Admission`] keeps out what could not be answered in time.

mod admission;
mod backlog;
mod budget;
mod ladder;
mod options;
mod recent;
mod rung;
mod shares;
mod stage;
mod stage_record;

pub use admission::{Admission, AdmissionRefusal, Admitted};
pub use budget::{Budget, StageResult};
pub use ladder::{Ladder, LadderOptions, Step};
pub use options::{BudgetOptions, OnOverload};
pub use rung::{Rung, UnknownRung};
pub use shares::Shares;
pub use stage::Stage;
pub use stage_record::{StageOutcome, StageRecord};

//! One deadline per request, split over its stages.
//!
//! Stages run in a fixed order. Each must end by the point of the budget at which its share and
//! those before it are used up; so what a stage leaves unspent is lent to the next, and what it
//! overspends is taken from those that follow, never from the deadline.

mod budget;
mod shares;
mod stage;

pub use budget::{Budget, StageResult};
pub use shares::{Shares, SharesError};
pub use stage::{Outcome, Stage, StageRecord};

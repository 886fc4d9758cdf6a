//! What another policy would have been worth, from a log of what this one showed.
//!
//! The log says how likely this policy was to show what it showed (the propensity); the other one
//! says how likely it would have been. Without a propensity there is no answer, and with little
//! overlap of the two there is none worth having: [`Replay::results`] then refuses.

mod replay;

pub use replay::{DecisionError, LoggedDecision, OffPolicy, Replay, ReplayResults, ThinOverlap};

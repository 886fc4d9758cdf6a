//! Experiments: the results on a running server; on files, checking definitions and the results of an exposure
//! log.

mod analyse;
pub mod args;
mod check;
mod exposures;
mod online;
mod replay;
mod replay_lists;
mod replay_log;
mod report;
mod rows;
mod served;
mod table;

pub use analyse::{Analysis, analyse};
pub use check::check;
pub use online::online;
pub use replay::{replay, replay_report};
pub use replay_lists::{ReplayedLists, lists_report, replay_lists};
pub use replay_log::{ReplayedLog, log_report, replay_log};
pub use report::report;

#[cfg(test)]
mod tests;

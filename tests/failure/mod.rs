//! What breaks, while load runs: what callers see of it, and how soon it is over.
//!
//! Budgets are generous, since debug builds of several processes share a few cores with other
//! tests; what is held to them is the time that the servers themselves report.

mod clock;
mod disk;
mod empty_store;
mod hostile_ids;
mod load;
mod memory;
mod model_server;
mod network;
mod overload;
mod process;
mod proxy;
mod redis;
mod restart;
mod rolling_restart;
mod stops;

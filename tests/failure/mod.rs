//! Failures under load: what callers see, and how soon full quality is back.
//!
//! Budgets are generous, since debug builds of several processes share a few cores with other
//! tests; they are compared with the time that the servers themselves report.

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

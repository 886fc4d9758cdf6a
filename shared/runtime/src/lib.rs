//! Telemetry, health and shutdown of a Plugrank process.

pub mod build;
pub mod health;
pub mod metrics;
pub mod options;
pub mod shutdown;
pub mod telemetry;
pub mod trace_context;
mod watched_file;

pub use health::{CheckResult, Health, Readiness};
pub use metrics::{LatencyHistogram, Metrics};
pub use shutdown::Shutdown;
pub use telemetry::{Telemetry, TelemetryError};
pub use watched_file::WatchedFile;

//! Sections of the settings. The binary composes them into one struct.

mod admin;
mod telemetry;

pub use admin::AdminOptions;
pub use telemetry::{LogFormat, OtlpProtocol, TelemetryOptions};

//! Sections of the settings. The binary composes them into one struct.

mod admin;
mod telemetry;

pub use admin::AdminSettings;
pub use telemetry::{LogFormat, OtlpProtocol, TelemetrySettings};

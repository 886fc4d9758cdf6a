//! Sections of the settings. The binary composes them into one struct.

mod admin;
mod store;
mod telemetry;

pub use admin::AdminSettings;
pub use store::{StoreKind, StoreSettings};
pub use telemetry::{LogFormat, OtlpProtocol, TelemetrySettings};

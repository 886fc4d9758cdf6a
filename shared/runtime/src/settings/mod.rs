//! Sections of the settings. The binary composes them into one struct.

mod admin;
mod engine;
mod retrieval;
mod store;
mod telemetry;

pub use admin::AdminSettings;
pub use engine::{EngineKind, EngineSettings};
pub use retrieval::{AnnSettings, RetrievalSettings, SnapshotSettings, SourceShareSettings};
pub use store::{StoreKind, StoreSettings};
pub use telemetry::{LogFormat, OtlpProtocol, TelemetrySettings};

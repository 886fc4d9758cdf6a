//! Sections of the settings. The binary composes them into one struct.

mod admin;
mod budget;
mod bundle;
mod embedding;
mod engine;
mod open_inference;
mod reranking;
mod retrieval;
mod server;
mod store;
mod telemetry;

pub use admin::AdminSettings;
pub use budget::{BudgetSettings, LadderSettings, OnOverload, RungChoice, ShareSettings};
pub use bundle::BundleSettings;
pub use embedding::EmbeddingSettings;
pub use engine::{EngineKind, EngineSettings};
pub use open_inference::OpenInferenceSettings;
pub use reranking::RerankingSettings;
pub use retrieval::{AnnSettings, RetrievalSettings, SnapshotSettings, SourceShareSettings};
pub use server::ServerSettings;
pub use store::{StoreKind, StoreSettings};
pub use telemetry::{LogFormat, OtlpProtocol, TelemetrySettings};

//! Sections of the settings. The binary composes them into one struct.

mod admin;
mod budget;
mod bundle;
mod embedding;
mod engine;
mod onnxruntime;
mod open_inference;
mod peers;
mod reranking;
mod retrieval;
mod scoring;
mod server;
mod store;
mod telemetry;

pub use admin::AdminSettings;
pub use budget::{BudgetSettings, LadderSettings, OnOverload, RungChoice, ShareSettings};
pub use bundle::BundleSettings;
pub use embedding::EmbeddingSettings;
pub use engine::{EngineKind, EngineSettings};
pub use onnxruntime::OnnxRuntimeSettings;
pub use open_inference::OpenInferenceSettings;
pub use peers::PeerSettings;
pub use reranking::RerankingSettings;
pub use retrieval::{AnnSettings, RetrievalSettings, SnapshotSettings, SourceShareSettings};
pub use scoring::{ModelChoice, ModelServerSettings, Provider, ScoringSettings};
pub use server::ServerSettings;
pub use store::{StoreKind, StoreSettings};
pub use telemetry::{LogFormat, OtlpProtocol, TelemetrySettings};

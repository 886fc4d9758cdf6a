//! What can be set: compiled-in defaults, then a file, then the environment.
//!
//! `defaults.toml` documents every key. The structs here are plain data; whoever wires the process
//! together turns a section into the options of the service it is for.

mod admin;
mod budget;
mod bundle;
mod check;
mod embedding;
mod engine;
mod error;
mod list;
mod load;
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
pub use budget::{BudgetSettings, LadderSettings, OverloadChoice, RungChoice, ShareSettings};
pub use bundle::BundleSettings;
pub use check::Violation;
pub use embedding::EmbeddingSettings;
pub use engine::{EngineKind, EngineSettings};
pub use error::SettingsError;
pub use onnxruntime::OnnxRuntimeSettings;
pub use open_inference::OpenInferenceSettings;
pub use peers::PeerSettings;
pub use reranking::RerankingSettings;
pub use retrieval::{AnnSettings, RetrievalSettings, SnapshotSettings, SourceShareSettings};
pub use scoring::{ModelChoice, ModelServerSettings, Provider, ScoringSettings};
pub use server::ServerSettings;
pub use store::{StoreKind, StoreSettings};
pub use telemetry::{LogFormat, OtlpProtocol, TelemetrySettings};

use serde::{Deserialize, Serialize};

/// The defaults, with a comment on every key; what `--config` files look like.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The HTTP server.
    pub server: ServerSettings,
    /// Where items, users, histories and vectors are kept.
    pub store: StoreSettings,
    /// The model bundle.
    pub bundle: BundleSettings,
    /// Roles that run in other processes.
    pub peers: PeerSettings,
    /// The embedding service.
    pub embedding: EmbeddingSettings,
    /// The retrieval service.
    pub retrieval: RetrievalSettings,
    /// The scoring service.
    pub scoring: ScoringSettings,
    /// The re-ranking service.
    pub reranking: RerankingSettings,
    /// Latency budgets of rank requests.
    pub budget: BudgetSettings,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// The port for operators.
    pub admin: AdminSettings,
    /// The protocol in which graphs are served to others.
    pub open_inference: OpenInferenceSettings,
    /// ONNX Runtime.
    pub onnxruntime: OnnxRuntimeSettings,
}

impl Settings {
    /// Everything that is impossible about these settings; empty when they can be run with.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let mut checks = check::Checks::default();
        self.server.check(&mut checks);
        self.store.check(&mut checks);
        self.bundle.check(&mut checks);
        self.peers.check(&mut checks);
        self.embedding.check(&mut checks);
        self.retrieval.check(&mut checks);
        self.scoring.check(&mut checks);
        self.reranking.check(&mut checks);
        self.budget.check(&mut checks);
        self.telemetry.check(&mut checks);
        self.admin.check(&mut checks);
        self.open_inference.check(&mut checks);
        self.onnxruntime.check(&mut checks);
        checks.into_violations()
    }
}

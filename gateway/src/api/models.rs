//! `/v1/models`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::models::ModelState;

/// Names a model to load.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadModelRequest {
    /// Name of the bundle's folder in the folder of models (`models.folder`).
    #[schema(min_length = 1, max_length = 255, example = "bundle-idrec")]
    pub name: String,
}

/// The models there are.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelList {
    /// Version of the one that answers.
    pub active: String,
    /// All of them, the active one first.
    pub models: Vec<ModelView>,
}

/// A model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelView {
    /// Version of its bundle.
    pub version: String,
    /// `active`, `ready`, `loading` or `failed`.
    pub state: &'static str,
    /// How far loading is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressView>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far loading is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProgressView {
    /// `items` (read from the store), `encoding`, `indexing` or `warming`.
    pub phase: String,
    /// Rows that are done.
    pub done: u64,
    /// Rows there are; 0 while that is unknown.
    pub of: u64,
}

impl ModelView {
    pub(crate) fn new(version: String, state: ModelState) -> Self {
        let (name, progress, reason) = match state {
            ModelState::Active => ("active", None, None),
            ModelState::Ready => ("ready", None, None),
            ModelState::Loading(at) => {
                let progress = ProgressView { phase: at.phase, done: at.done, of: at.of };
                ("loading", Some(progress), None)
            }
            ModelState::Failed(reason) => ("failed", None, Some(reason)),
        };
        Self { version, state: name, progress, reason }
    }
}

//! Everything that can be set: the sections of the crates, composed.
//!
//! A section is the options struct of the crate that it is for, which holds the default, the range and
//! the description of each key. To add a setting is to add a field there: with a comment, a `#[garde]` rule
//! and its default, and an example where it has none. `cargo xtask settings` then writes what is made from
//! them: `docs/settings.md`, `docs/defaults.toml` and the part of the Helm chart's schema that is about
//! settings.

mod open_inference;
mod store;
mod surfaces;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, path::Path};

use garde::Validate;
use plugrank_access::AccessOptions;
use plugrank_budget::BudgetOptions;
use plugrank_bundle::BundleOptions;
use plugrank_encoding::EncodingOptions;
use plugrank_gateway::{EventsOptions, ExperimentsOptions, ExposuresOptions, ServerOptions};
use plugrank_inference::OnnxRuntimeOptions;
use plugrank_items::ItemsOptions;
use plugrank_reranking::RerankingOptions;
use plugrank_retrieval::RetrievalOptions;
use plugrank_runtime::options::{AdminOptions, TelemetryOptions};
use plugrank_scoring::ScoringOptions;
use plugrank_settings::{SettingsError, document};
use plugrank_transport::PeerOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::models::ModelsOptions;
pub use open_inference::OpenInferenceOptions;
pub use store::{StoreKind, StoreOptions};
pub use surfaces::{SurfaceOptions, Surfaces};

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the section of a field says what it is")]
pub struct Settings {
    #[garde(dive)]
    pub server: ServerOptions,
    #[garde(dive)]
    pub access: AccessOptions,
    #[garde(dive)]
    pub store: StoreOptions,
    #[garde(dive)]
    pub bundle: BundleOptions,
    #[garde(dive)]
    pub models: ModelsOptions,
    #[garde(dive)]
    pub events: EventsOptions,
    #[garde(dive)]
    pub exposures: ExposuresOptions,
    #[garde(dive, custom(surfaces::of_arms(&self.surfaces)))]
    pub experiments: ExperimentsOptions,
    /// Places of the shop where lists are shown, each by its name.
    #[garde(dive, custom(surfaces::possible_names))]
    #[schemars(extend("examples" = [{ "home": { "k": 12 } }]))]
    pub surfaces: Surfaces,
    #[garde(dive)]
    pub items: ItemsOptions,
    #[garde(dive)]
    pub peers: PeerOptions,
    #[garde(dive)]
    pub embedding: EncodingOptions,
    #[garde(dive)]
    pub retrieval: RetrievalOptions,
    #[garde(dive)]
    pub scoring: ScoringOptions,
    #[garde(dive)]
    pub reranking: RerankingOptions,
    #[garde(dive)]
    pub budget: BudgetOptions,
    #[garde(dive)]
    pub telemetry: TelemetryOptions,
    #[garde(dive)]
    pub admin: AdminOptions,
    #[garde(dive)]
    pub open_inference: OpenInferenceOptions,
    #[garde(dive)]
    pub onnxruntime: OnnxRuntimeOptions,
}

impl Settings {
    /// The settings of this process: defaults, then `file`, then the environment.
    ///
    /// # Errors
    /// As [`SettingsError`] says, with all problems there are.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        plugrank_settings::load(file)
    }

    /// The same with `variables` in place of the environment.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn from_sources(
        file: Option<&Path>,
        variables: HashMap<String, String>,
    ) -> Result<Self, SettingsError> {
        plugrank_settings::from_sources(file, variables)
    }

    /// A settings file with every key: the value in force, or commented out where there is none.
    #[must_use]
    pub fn to_file(&self) -> String {
        document::settings_file(self)
    }

    /// Every key, its default, its values and what it means, in Markdown.
    #[must_use]
    pub fn table() -> String {
        format!("{TABLE_HEAD}{}", document::markdown::<Self>())
    }
}

const TABLE_HEAD: &str = "\
# Settings
<!-- Made by `cargo xtask settings`; do not edit. -->
A file given with `--config` replaces single keys of the defaults, and the environment replaces both:
`PLUGRANK__SECTION__KEY`, for example `PLUGRANK__SERVER__BIND=0.0.0.0:8080` or
`PLUGRANK__BUDGET__SHARES__SCORING=0.5`. Lists are written with commas there. An unknown key or an impossible
value stops the process before it listens; `plugrank validate --config FILE` names all of them at once, and
`plugrank settings --config FILE` prints what is in force. [defaults.toml](defaults.toml) is a settings file with
every key.
";

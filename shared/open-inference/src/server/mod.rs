//! Serves the graphs that scoring runs.

mod infer;
mod openapi;
mod refusal;
mod routes;
mod schemas;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use plugrank_body::{BodyMemory, BodyReader, Encodings};
use plugrank_bundle::{Bundle, GraphName};
use plugrank_contract::scoring::{Infer, ModelKind};
use plugrank_runtime::Health;
use plugrank_transport::Client;
use tokio::sync::Semaphore;

use crate::ModelMetadata;
use refusal::Refusal;
use serde::Deserialize;
use utoipa::OpenApi;

pub use routes::{PREFIX, is_probe};

/// What is served. Clones share it.
#[derive(Clone)]
pub struct Served(Arc<Parts>);

/// Whose graphs the protocol's paths serve now: another model's from the next request on. Clones share it.
#[derive(Clone, Default)]
pub struct ServedNow(Arc<ArcSwapOption<Parts>>);

impl ServedNow {
    /// Serves these.
    pub fn serve(&self, served: &Served) {
        self.0.store(Some(Arc::clone(&served.0)));
    }

    fn get(&self) -> Result<Served, Refusal> {
        let served = self.0.load_full().map(Served);
        served.ok_or_else(|| Refusal::not_found("no model is served yet".to_owned()))
    }
}

struct Parts {
    models: Vec<Model>,
    infer: Client<Infer>,
    health: Health,
    bodies: BodyReader,
    /// Requests in flight, those whose body is being read among them.
    admission: Semaphore,
    max_in_flight: usize,
}

/// What requests may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest body, in bytes.
    pub max_body_bytes: usize,
    /// How long a client may take to send a small one.
    pub client_timeout: Duration,
    /// What the bodies of all requests in flight may take.
    pub bodies: BodyMemory,
    /// Most requests in flight.
    pub max_in_flight: usize,
}

/// Bytes of memory for a byte of a body: a number of two letters is read as one of eight bytes, and then
/// written as one of eight.
const WEIGHT: usize = 6;

struct Model {
    kind: ModelKind,
    metadata: ModelMetadata,
}

/// The model that a path names.
#[derive(Deserialize)]
struct Named {
    name: String,
    version: Option<String>,
}

impl Served {
    /// The graphs of a bundle that score, named as in it, in its version, run by `infer`; ready
    /// when the process is.
    #[must_use]
    pub fn new(bundle: &Bundle, infer: Client<Infer>, health: Health, limits: Limits) -> Self {
        let kinds =
            [(ModelKind::Unified, GraphName::Unified), (ModelKind::Idrec, GraphName::Idrec)];
        let model = |(kind, name): (ModelKind, GraphName)| {
            let graph = bundle.graph(name)?;
            let metadata = ModelMetadata::from_graph(&name.to_string(), bundle.version(), graph);
            Some(Model { kind, metadata })
        };
        let models = kinds.into_iter().filter_map(model).collect();
        let bodies = BodyReader {
            max_bytes: limits.max_body_bytes,
            time: limits.client_timeout,
            weight: WEIGHT,
            // Triton's clients compress where they are told to.
            encodings: Encodings::Compressed,
            memory: limits.bodies,
        };
        let max_in_flight = limits.max_in_flight.min(Semaphore::MAX_PERMITS);
        let admission = Semaphore::new(max_in_flight);
        Self(Arc::new(Parts { models, infer, health, bodies, admission, max_in_flight }))
    }

    /// The paths, for an OpenAPI document.
    #[must_use]
    pub fn openapi() -> utoipa::openapi::OpenApi {
        openapi::Document::openapi()
    }

    fn model(&self, name: &str, version: Option<&str>) -> Result<&Model, Refusal> {
        let models = &self.0.models;
        let model = models.iter().find(|model| model.metadata.name == name).ok_or_else(|| {
            let names: Vec<&str> =
                models.iter().map(|model| model.metadata.name.as_str()).collect();
            Refusal::not_found(format!("there is no model `{name}`, only {}", names.join(", ")))
        })?;
        let versions = &model.metadata.versions;
        match version {
            Some(version) if versions.iter().all(|known| known != version) => {
                Err(Refusal::not_found(format!(
                    "model `{name}` has no version `{version}`, only {}",
                    versions.join(", ")
                )))
            }
            _ => Ok(model),
        }
    }
}

//! REST API and the ranking pipeline.
//!
//! [`run`] serves a [`Gateway`]: the clients of the services, the store, limits and budgets. A rank
//! request goes through retrieval, scoring and re-ranking in this order, each cut at its share of
//! the request's budget, and is answered at every rung it may fall to.

mod access;
pub mod api;
mod body;
mod calibration;
mod change_turns;
mod clock;
mod connections;
mod controller;
mod cursor;
mod endpoint;
mod events;
mod experiments;
mod exposures;
#[cfg(fuzzing)]
pub mod fuzzing;
mod lease;
mod live;
#[cfg(test)]
#[path = "../tests/api/store.rs"]
mod memory_store;
mod metrics;
mod models;
mod observe;
mod openapi;
mod openapi_security;
mod options;
mod other_api;
mod pipeline;
mod playground;
mod request_id;
mod request_spans;
mod routes;
mod server;
mod state;
mod surface;
mod validate;

use plugrank_http::problem;

pub use events::{EventTypeOptions, EventTypes, EventsOptions, UnknownItems};
pub use experiments::ExperimentsOptions;
pub use exposures::ExposuresOptions;
pub use live::LiveOptions;
pub use models::{
    BundleFolder, Clients, KeptModel, KeptModels, LoadModel, ModelLoadProgress, OpenedModel,
    ProgressReader, REMOTE, ServingModel,
};
pub use openapi::document as openapi_document;
pub use options::ServerOptions;
pub use other_api::OtherApi;
pub use server::run;
pub use state::{Gateway, GatewayParts};
pub use surface::SurfaceParts;

//! What the HTTP servers of all roles share: the server itself, `/healthz`, `/readyz` and `/metrics`, and
//! errors as problem documents (RFC 9457).

pub mod health;
pub mod metrics;
pub mod problem;
mod resource;
mod server;

use actix_web::web::ServiceConfig;
use plugrank_runtime::{Health, Metrics};

pub use problem::Problem;
pub use resource::{get_or_head, resource};
pub use server::{HttpServer, OnConnect};

/// Adds `/healthz`, `/readyz` and `/metrics`: what a process of any role serves.
pub fn operation_routes(config: &mut ServiceConfig, health: &Health, registry: &Metrics) {
    health::configure(config, health);
    metrics::configure(config, registry);
}

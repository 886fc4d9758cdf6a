//! `/healthz` and `/readyz`.

use actix_web::{
    HttpResponse,
    web::{self, Data, ServiceConfig},
};
use plugrank_runtime::Health;
use serde_json::json;

use crate::{
    get_or_head,
    problem::{Problem, ProblemDocument},
    resource,
};

/// Path that tells whether the process is alive.
pub const LIVENESS: &str = "/healthz";
/// Path that tells whether the process takes requests.
pub const READINESS: &str = "/readyz";

pub(crate) fn configure(config: &mut ServiceConfig, health: &Health) {
    let live = web::route().guard(get_or_head()).to(live);
    let ready = web::route().guard(get_or_head()).to(ready);
    config.service(resource(LIVENESS, "GET, HEAD").route(live));
    let health = Data::new(health.clone());
    config.service(resource(READINESS, "GET, HEAD").app_data(health).route(ready));
}

/// Whether the process is alive
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    operation_id = "liveness",
    responses((status = 200, body = serde_json::Value, description = "It is")),
)]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "alive" }))
}

/// Whether the process takes requests
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    operation_id = "readiness",
    responses(
        (status = 200, body = serde_json::Value, description = "It does; `checks` lists what was asked, and `degraded` says whether it answers less well than it could: an `advisory` check fails"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "It does not; `checks` says why"),
    ),
)]
pub async fn ready(health: Data<Health>) -> Result<HttpResponse, Problem> {
    let readiness = health.readiness().await;
    if readiness.ready {
        return Ok(HttpResponse::Ok().json(readiness));
    }
    let failing =
        readiness.checks.iter().filter(|check| !check.ready && !check.advisory).map(|check| {
            let reason = check.reason.as_deref().unwrap_or("no reason given");
            format!("{}: {reason}", check.name)
        });
    let detail = failing.collect::<Vec<_>>().join("; ");
    Err(Problem::unavailable(detail).with("checks", json!(readiness.checks)))
}

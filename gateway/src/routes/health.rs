//! `/healthz` and `/readyz`.

use actix_web::{
    HttpResponse,
    web::{self, Data, ServiceConfig},
};
use plugrank_runtime::Health;
use serde_json::json;

use crate::{
    endpoint::{Endpoint, get_or_head},
    problem::{Problem, ProblemDocument},
};

pub(crate) fn configure(config: &mut ServiceConfig, health: &Health) {
    let live = web::route().guard(get_or_head()).to(live);
    let ready = web::route().guard(get_or_head()).to(ready);
    config.service(Endpoint::Liveness.resource().route(live));
    let health = Data::new(health.clone());
    config.service(Endpoint::Readiness.resource().app_data(health).route(ready));
}

/// Whether the process is alive
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    operation_id = "liveness",
    responses((status = 200, body = serde_json::Value, description = "It is")),
)]
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "alive" }))
}

/// Whether the process takes requests
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    operation_id = "readiness",
    responses(
        (status = 200, body = serde_json::Value, description = "It does; `checks` lists what was asked"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "It does not; `checks` says why"),
    ),
)]
pub(crate) async fn ready(health: Data<Health>) -> Result<HttpResponse, Problem> {
    let readiness = health.readiness().await;
    if readiness.ready {
        return Ok(HttpResponse::Ok().json(readiness));
    }
    let failing = readiness.checks.iter().filter(|check| !check.ready).map(|check| {
        let reason = check.reason.as_deref().unwrap_or("no reason given");
        format!("{}: {reason}", check.name)
    });
    let detail = failing.collect::<Vec<_>>().join("; ");
    Err(Problem::unavailable(detail).with("checks", json!(readiness.checks)))
}

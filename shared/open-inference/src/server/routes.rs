//! The paths under `/v2`.

use actix_web::{
    HttpRequest, HttpResponse, Resource, guard,
    web::{self, Data, Path, ServiceConfig},
};
use serde_json::json;

use super::{Named, ServedNow, infer, refusal::Refusal, schemas::InferError};
use crate::{ModelMetadata, ServerMetadata};

/// What every path of the protocol begins with.
pub const PREFIX: &str = "/v2";

/// Whether machines ask a path all the time.
#[must_use]
pub fn is_probe(path: &str) -> bool {
    path.starts_with("/v2/health/") || (path.starts_with("/v2/models/") && path.ends_with("/ready"))
}

impl ServedNow {
    /// Adds the protocol's paths.
    pub fn routes(&self, config: &mut ServiceConfig) {
        let get = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
        let mut scope = web::scope(PREFIX)
            .app_data(Data::new(self.clone()))
            .service(resource("", "GET, HEAD").route(get().to(server)))
            .service(resource("/health/live", "GET, HEAD").route(get().to(live)))
            .service(resource("/health/ready", "GET, HEAD").route(get().to(ready)))
            .default_service(web::to(|request: HttpRequest| async move {
                Err::<&str, _>(Refusal::not_found(format!("there is no path {}", request.path())))
            }));
        for of in ["/models/{name}", "/models/{name}/versions/{version}"] {
            scope = scope
                .service(resource(of, "GET, HEAD").route(get().to(model)))
                .service(resource(&format!("{of}/ready"), "GET, HEAD").route(get().to(model_ready)))
                .service(
                    resource(&format!("{of}/infer"), "POST").route(web::post().to(infer::infer)),
                );
        }
        config.service(scope);
    }
}

/// A path; a method it does not take is answered 405.
fn resource(path: &str, takes: &'static str) -> Resource {
    let refuse = move || async move { Err::<&str, _>(Refusal::method_not_allowed(takes)) };
    web::resource(path).default_service(web::to(refuse))
}

/// What this server is and can do
#[utoipa::path(
    get,
    path = "/v2",
    tag = "open inference",
    operation_id = "openInferenceServer",
    responses(
        (status = 200, body = ServerMetadata, description = "Name, version, extensions"),
    ),
)]
pub(super) async fn server() -> HttpResponse {
    HttpResponse::Ok().json(ServerMetadata::ours())
}

/// Whether the process is alive
#[utoipa::path(
    get,
    path = "/v2/health/live",
    tag = "open inference",
    operation_id = "openInferenceLive",
    responses(
        (status = 200, body = serde_json::Value, description = "It is"),
    ),
)]
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "live": true }))
}

/// Whether the process takes requests
#[utoipa::path(
    get,
    path = "/v2/health/ready",
    tag = "open inference",
    operation_id = "openInferenceReady",
    responses(
        (status = 200, body = serde_json::Value, description = "It does"),
        (status = 503, body = serde_json::Value, description = "It does not; `/readyz` says why"),
    ),
)]
pub(super) async fn ready(now: Data<ServedNow>) -> Result<HttpResponse, Refusal> {
    let ready = now.get()?.0.health.readiness().await.ready;
    Ok(answer(ready).json(json!({ "ready": ready })))
}

/// Whether a model takes requests
#[utoipa::path(
    get,
    path = "/v2/models/{name}/ready",
    tag = "open inference",
    operation_id = "openInferenceModelReady",
    params(("name" = String, Path, description = "The model: `unified` or `idrec`")),
    responses(
        (status = 200, body = serde_json::Value, description = "It does"),
        (status = 404, body = InferError, description = "There is no such model or version"),
        (status = 503, body = serde_json::Value, description = "It does not"),
    ),
)]
pub(super) async fn model_ready(
    now: Data<ServedNow>,
    path: Path<Named>,
) -> Result<HttpResponse, Refusal> {
    let served = now.get()?;
    let model = served.model(&path.name, path.version.as_deref())?;
    let ready = served.0.health.readiness().await.ready;
    Ok(answer(ready).json(json!({ "name": model.metadata.name, "ready": ready })))
}

fn answer(ready: bool) -> actix_web::HttpResponseBuilder {
    if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() }
}

/// What a model reads and answers
#[utoipa::path(
    get,
    path = "/v2/models/{name}",
    tag = "open inference",
    operation_id = "openInferenceModel",
    params(("name" = String, Path, description = "The model: `unified` or `idrec`")),
    responses(
        (status = 200, body = ModelMetadata, description = "Inputs and outputs; -1: any length"),
        (status = 404, body = InferError, description = "There is no such model or version"),
    ),
)]
pub(super) async fn model(
    now: Data<ServedNow>,
    path: Path<Named>,
) -> Result<HttpResponse, Refusal> {
    let served = now.get()?;
    let model = served.model(&path.name, path.version.as_deref())?;
    Ok(HttpResponse::Ok().json(&model.metadata))
}

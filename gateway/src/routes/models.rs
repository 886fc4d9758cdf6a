//! `/v1/models`.

use actix_web::{
    HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};

use plugrank_store::StoreError;

use crate::{
    Gateway, ServerOptions,
    api::models::{LoadModelRequest, ModelList, ModelView},
    body::{BodyLimit, JsonBody},
    endpoint::{Endpoint, get_or_head},
    models::{KeepError, ModelError},
    problem::{Problem, ProblemDocument},
};

/// Longest name of a folder, in bytes.
const MAX_NAME_BYTES: usize = 255;

pub(crate) fn configure(config: &mut ServiceConfig, settings: &ServerOptions) {
    let models =
        Endpoint::Models.resource().app_data(BodyLimit::new(settings.max_body_bytes, settings));
    config.service(
        models.route(web::route().guard(get_or_head()).to(list)).route(web::post().to(load)),
    );
    config.service(Endpoint::ModelActivate.resource().route(web::post().to(activate)));
    config.service(Endpoint::Model.resource().route(web::delete().to(remove)));
}

/// See the models
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "models",
    operation_id = "listModels",
    responses((status = 200, body = ModelList, description = "The models and their states")),
)]
pub(crate) async fn list(gateway: Data<Gateway>) -> HttpResponse {
    HttpResponse::Ok().json(view(&gateway))
}

/// Load a model beside the one that answers
///
/// Answered once the bundle is checked; `GET /v1/models` tells how far loading is. It answers nothing
/// until it is activated.
#[utoipa::path(
    post,
    path = "/v1/models",
    tag = "models",
    operation_id = "loadModel",
    request_body = LoadModelRequest,
    responses(
        (status = 202, body = ModelList, description = "The model is loading"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such bundle, or it is refused"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "It is loaded already, or no more models may be loaded"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "The body is too large"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json", description = "The body is not JSON"),
    ),
)]
pub(crate) async fn load(
    gateway: Data<Gateway>,
    JsonBody(request): JsonBody<LoadModelRequest>,
) -> Result<HttpResponse, Problem> {
    let name = request.name;
    let bad = |reason: &str| Problem::invalid_field("name", format!("{name:?} {reason}"));
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(bad("must have 1 to 255 bytes"));
    }
    if name.starts_with('.') || name.contains(['/', '\\', '\0']) {
        return Err(bad("must be the name of a folder in models.folder, not a path"));
    }
    gateway.models.load(Some(&name)).await.map_err(problem)?;
    Ok(HttpResponse::Accepted().json(view(&gateway)))
}

/// Let a model answer
///
/// From the next request on, and after a restart. The model before stays ready: to go back, activate that
/// one.
#[utoipa::path(
    post,
    path = "/v1/models/{version}/activate",
    tag = "models",
    operation_id = "activateModel",
    params(("version" = String, Path, description = "Version of the bundle")),
    responses(
        (status = 200, body = ModelList, description = "The model is active"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such model"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "It is still loading, or has failed"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "It is active, but the store cannot be reached: a restart would not know; send it again"),
    ),
)]
pub(crate) async fn activate(
    gateway: Data<Gateway>,
    version: Path<String>,
) -> Result<HttpResponse, Problem> {
    gateway.models.activate_everywhere(&version).await.map_err(|error| {
        not_everywhere(error, |error| {
            format!("model {version} is active, but a restart and other gateways would not know ({error}); send it again")
        })
    })?;
    Ok(HttpResponse::Ok().json(view(&gateway)))
}

/// Remove a model
///
/// One that is not active. Its memory is given back when the last request that has it ends.
#[utoipa::path(
    delete,
    path = "/v1/models/{version}",
    tag = "models",
    operation_id = "deleteModel",
    params(("version" = String, Path, description = "Version of the bundle")),
    responses(
        (status = 204, description = "There is no such model any more"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such model"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "It is active, or still loading"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "It is removed, but the store cannot be reached: a restart would load it again"),
    ),
)]
pub(crate) async fn remove(
    gateway: Data<Gateway>,
    version: Path<String>,
) -> Result<HttpResponse, Problem> {
    gateway.models.remove_everywhere(&version).await.map_err(|error| {
        not_everywhere(error, |error| {
            format!("model {version} is removed, but a restart would load it again ({error})")
        })
    })?;
    Ok(HttpResponse::NoContent().finish())
}

fn view(gateway: &Gateway) -> ModelList {
    let models = gateway.models.list();
    let active = models.first().map(|(version, _)| version.clone()).unwrap_or_default();
    let models = models.into_iter().map(|(version, state)| ModelView::new(version, state));
    ModelList { active, models: models.collect() }
}

fn not_everywhere(error: KeepError, detail: impl FnOnce(StoreError) -> String) -> Problem {
    match error {
        KeepError::Refused(error) => problem(error),
        KeepError::Store(error) => Problem::unavailable(detail(error)),
    }
}

fn problem(error: ModelError) -> Problem {
    let detail = error.to_string();
    match error {
        ModelError::Unknown(_) => Problem::not_found(detail),
        ModelError::Refused(_) => Problem::invalid_field("name", detail),
        ModelError::Active(_)
        | ModelError::Loading(_)
        | ModelError::Failed { .. }
        | ModelError::Known(_)
        | ModelError::TooMany(_)
        | ModelError::NoLoader(_) => Problem::conflict(detail),
    }
}

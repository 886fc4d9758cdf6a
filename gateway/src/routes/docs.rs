//! `/openapi.json` and `/docs`.

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Data, Path, ServiceConfig},
};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

use crate::{
    Gateway,
    endpoint::{Endpoint, get_or_head},
    openapi, openapi_security,
    problem::{Problem, ProblemDocument},
};

pub(crate) fn configure(config: &mut ServiceConfig, gateway: &Gateway) {
    let mut document = openapi::document();
    if let Some(api) = &gateway.open_inference {
        document.merge(api.openapi.clone());
    }
    if gateway.gate.asks() {
        let other = gateway.open_inference.as_ref();
        openapi_security::describe(&mut document, other, gateway.access.metrics);
    }
    let document = Data::new(document);
    let page = Data::new(Config::new([Endpoint::OpenApi.path()]).validator_url("none"));
    let get = || web::route().guard(get_or_head());
    config
        .service(Endpoint::OpenApi.resource().app_data(document).route(get().to(openapi_document)));
    config.service(Endpoint::Docs.resource().route(get().to(docs)));
    config.service(Endpoint::DocsFile.resource().app_data(page).route(get().to(docs_file)));
}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    operation_id = "openapi",
    responses((status = 200, body = serde_json::Value, description = "OpenAPI 3.1, generated from the code")),
)]
pub(crate) async fn openapi_document(document: Data<OpenApi>) -> HttpResponse {
    HttpResponse::Ok().json(document.as_ref())
}

/// This document, for people
#[utoipa::path(
    get,
    path = "/docs",
    tag = "operation",
    operation_id = "docs",
    responses((status = 308, description = "To `/docs/`, whose files refer to each other")),
)]
pub(crate) async fn docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// A file of the documentation page
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "operation",
    operation_id = "docsFile",
    params(("file" = String, Path, description = "The file; the page itself when empty")),
    responses(
        (status = 200, body = String, content_type = "text/html", description = "The file"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such file"),
    ),
)]
pub(crate) async fn docs_file(
    file: Path<String>,
    config: Data<Config<'static>>,
) -> Result<HttpResponse, Problem> {
    let config = Arc::clone(&config.into_inner());
    let found = utoipa_swagger_ui::serve(&file, config)
        .map_err(|error| Problem::internal(format!("the page cannot be made: {error}")))?
        .ok_or_else(|| Problem::no_such_path(&format!("/docs/{file}")))?;
    let mut response = HttpResponse::Ok();
    if found.gzpipped {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(response.content_type(found.content_type).body(found.bytes.into_owned()))
}

//! `/`: a page to try rankings on.

use actix_web::{
    HttpResponse,
    http::header::ContentType,
    web::{self, ServiceConfig},
};

use crate::endpoint::{Endpoint, get_or_head};

/// One file, nothing loaded from elsewhere.
const PAGE: &str = include_str!("../../playground/index.html");

pub(crate) fn configure(config: &mut ServiceConfig) {
    let page = web::route().guard(get_or_head()).to(page);
    config.service(Endpoint::Playground.resource().route(page));
}

/// The playground
#[utoipa::path(
    get,
    path = "/",
    tag = "operation",
    operation_id = "playground",
    responses((status = 200, body = String, content_type = "text/html", description = "A page to try rankings on")),
)]
pub(crate) async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
             connect-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'",
        ))
        .body(PAGE)
}

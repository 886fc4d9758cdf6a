//! `/`: a page to try rankings on, its files, and the shoppers it offers.

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Data, Path, ServiceConfig},
};

use crate::{
    Gateway,
    api::playground::ShopperList,
    endpoint::{Endpoint, get_or_head},
    playground,
    problem::{Problem, ProblemDocument},
};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page. It loads nothing but the files below.
const PAGE: &str = include_str!("../../playground/index.html");

/// Its files, by name.
const FILES: [(&str, &str, &str); 9] = [
    ("style.css", CSS, include_str!("../../playground/style.css")),
    ("app.js", SCRIPT, include_str!("../../playground/app.js")),
    ("server.js", SCRIPT, include_str!("../../playground/server.js")),
    ("page.js", SCRIPT, include_str!("../../playground/page.js")),
    ("question.js", SCRIPT, include_str!("../../playground/question.js")),
    ("ranking.js", SCRIPT, include_str!("../../playground/ranking.js")),
    ("item.js", SCRIPT, include_str!("../../playground/item.js")),
    ("experiments.js", SCRIPT, include_str!("../../playground/experiments.js")),
    ("live.js", SCRIPT, include_str!("../../playground/live.js")),
];

/// What the page may do in a browser.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

pub(crate) fn configure(config: &mut ServiceConfig) {
    let get = || web::route().guard(get_or_head());
    config.service(Endpoint::Playground.resource().route(get().to(page)));
    config.service(Endpoint::PlaygroundShoppers.resource().route(get().to(shoppers)));
    config.service(Endpoint::PlaygroundFile.resource().route(get().to(file)));
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
        .content_type(HTML)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .body(PAGE)
}

/// A file of the playground
#[utoipa::path(
    get,
    path = "/playground/{file}",
    tag = "operation",
    operation_id = "playgroundFile",
    params(("file" = String, Path, description = "The file", example = "app.js")),
    responses(
        (status = 200, body = String, content_type = "text/javascript", description = "The file"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such file"),
    ),
)]
pub(crate) async fn file(name: Path<String>) -> Result<HttpResponse, Problem> {
    let found = FILES.iter().find(|(of, _, _)| *of == name.as_str());
    let (_, media_type, text) =
        found.ok_or_else(|| Problem::no_such_path(&format!("/playground/{name}")))?;
    Ok(HttpResponse::Ok()
        .content_type(*media_type)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(*text))
}

/// Shoppers to try, with a word on their taste
///
/// Some users who clicked, whose clicks differ most from everybody's; read from a part of the
/// histories.
#[utoipa::path(
    get,
    path = "/playground/shoppers",
    tag = "operation",
    operation_id = "playgroundShoppers",
    responses(
        (status = 200, body = ShopperList, description = "The shoppers"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be reached"),
    ),
)]
pub(crate) async fn shoppers(gateway: Data<Gateway>) -> Result<HttpResponse, Problem> {
    let shoppers = playground::shoppers(&*gateway.store).await?;
    Ok(HttpResponse::Ok().json(ShopperList { shoppers }))
}

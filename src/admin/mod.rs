//! The port for operators: what a process remembers of recent requests.

mod document;
mod page;

use std::{net::TcpListener, sync::Arc};

use actix_web::{
    App, HttpRequest, HttpResponse, Route,
    http::header,
    web::{self, Data},
};
use anyhow::{Context, Result};
use plugrank_http::{HttpServer, Problem, get_or_head, resource};
use plugrank_runtime::{Health, Shutdown, options::AdminOptions, telemetry::TailSampler};
use plugrank_tail_sampling::{RecentRequests, TailSampling};

/// What a page of ours may do in a browser: show itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// Starts tail sampling, and serves what it remembers where the settings name a port for it.
///
/// # Errors
/// When the port cannot be bound.
pub fn start(settings: &AdminOptions) -> Result<Option<Arc<dyn TailSampler>>> {
    let recent = match settings.bind {
        None => None,
        Some(bind) => {
            let listener = TcpListener::bind(bind)
                .with_context(|| format!("cannot listen on {bind} (admin.bind)"))?;
            let recent = RecentRequests::new(settings);
            serve(listener, recent.clone());
            Some(recent)
        }
    };
    Ok(Some(Arc::new(TailSampling::new(recent))))
}

/// Serves the pages on `listener` until the process ends.
fn serve(listener: TcpListener, recent: RecentRequests) {
    let recent = Data::new(recent);
    let app = move || {
        let page =
            |path, answer: Route| resource(path, "GET, HEAD").route(answer.guard(get_or_head()));
        App::new()
            .app_data(recent.clone())
            .service(page("/", web::route().to(index)))
            .service(page("/debug/requests", web::route().to(requests)))
            .service(page("/debug/requests.json", web::route().to(requests_json)))
            .default_service(web::to(|request: HttpRequest| async move {
                Err::<&str, _>(Problem::no_such_path(request.path()))
            }))
    };
    actix_web::rt::spawn(async move {
        let (health, until) = (Health::new(), Shutdown::manual());
        if let Err(error) = HttpServer::default().serve(listener, health, until, app).await {
            tracing::error!(%error, "the port for operators cannot be served");
        }
    });
}

async fn index() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, "/debug/requests")).finish()
}

/// The page; to those who prefer it, the same as JSON.
async fn requests(request: HttpRequest, recent: Data<RecentRequests>) -> HttpResponse {
    if wants_json(&request) {
        return requests_json(recent).await;
    }
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::VARY, "accept"))
        .content_type("text/html; charset=utf-8")
        .body(page::render(&recent.slowest(), &recent.noted()))
}

async fn requests_json(recent: Data<RecentRequests>) -> HttpResponse {
    let (slowest, noted) = (recent.slowest(), recent.noted());
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, "accept"))
        .json(document::Document::new(&slowest, &noted))
}

/// Whether JSON is named before HTML in `Accept`.
fn wants_json(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let mut types = accept
        .unwrap_or_default()
        .split(',')
        .map(|one| one.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    types.find(|one| matches!(one.as_str(), "application/json" | "text/html"))
        == Some("application/json".to_owned())
}

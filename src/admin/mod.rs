//! The port for operators: what a process remembers of recent requests.

mod access;
mod document;
mod page;

use std::{net::TcpListener, sync::Arc};

use actix_web::{
    App, HttpRequest, HttpResponse, Route,
    http::header,
    middleware::from_fn,
    web::{self, Data},
};
use anyhow::{Context, Result};
use plugrank_access::Gate;
use plugrank_http::{HttpServer, Problem, get_or_head, resource};
use plugrank_runtime::{
    Health, Shutdown,
    options::AdminOptions,
    telemetry::{LogLevel, TailSampler},
};
use plugrank_tail_sampling::{RecentRequests, TailSampling};
use plugrank_tls::ServerTls;

/// Path of what is logged.
const LOG_LEVEL: &str = "/debug/log-level";

/// What a page of ours may do in a browser: show itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The port for operators, taken and not served yet.
pub struct Admin {
    listener: TcpListener,
    recent: RecentRequests,
    gate: Gate,
    tls: Option<ServerTls>,
}

/// The port, where there is one, and tail sampling, where it is on.
pub type Started = (Option<Admin>, Option<Arc<dyn TailSampler>>);

/// Tail sampling, and the port where the settings name one.
///
/// # Errors
/// When the port cannot be bound.
pub fn start(settings: &AdminOptions, gate: &Gate, tls: Option<&ServerTls>) -> Result<Started> {
    let admin = match settings.bind {
        None => None,
        Some(bind) => {
            let listener = TcpListener::bind(bind)
                .with_context(|| format!("cannot listen on {bind} (admin.bind)"))?;
            let secured = settings.tls.unwrap_or(!bind.ip().is_loopback());
            let tls = tls.filter(|_| secured).cloned();
            let recent = RecentRequests::new(settings);
            Some(Admin { listener, recent, gate: gate.clone(), tls })
        }
    };
    let recent = admin.as_ref().map(|admin| admin.recent.clone());
    Ok((admin, Some(Arc::new(TailSampling::new(recent)))))
}

impl Admin {
    /// Serves the pages until the process ends.
    pub fn serve(self, level: LogLevel) {
        let Self { listener, recent, gate, tls } = self;
        let (recent, level, gate) = (Data::new(recent), Data::new(level), Data::new(gate));
        let app = move || {
            let page = |path, answer: Route| {
                resource(path, "GET, HEAD").route(answer.guard(get_or_head()))
            };
            App::new()
                .app_data(recent.clone())
                .app_data(level.clone())
                .app_data(gate.clone())
                .service(page("/", web::route().to(index)))
                .service(page("/debug/requests", web::route().to(requests)))
                .service(page("/debug/requests.json", web::route().to(requests_json)))
                .service(
                    resource(LOG_LEVEL, "GET, HEAD, PUT")
                        .route(web::route().guard(get_or_head()).to(log_level))
                        .route(web::put().to(set_log_level)),
                )
                .default_service(web::to(|request: HttpRequest| async move {
                    Err::<&str, _>(Problem::no_such_path(request.path()))
                }))
                .wrap(from_fn(access::admit))
        };
        actix_web::rt::spawn(async move {
            let (health, until) = (Health::new(), Shutdown::manual());
            let server = HttpServer { tls, ..HttpServer::default() };
            if let Err(error) = server.serve(listener, health, until, app).await {
                tracing::error!(%error, "the port for operators cannot be served");
            }
        });
    }
}

async fn log_level(level: Data<LogLevel>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(level.get() + "\n")
}

/// Takes a filter as in `telemetry.log_level`, as plain text; it holds until the process ends.
async fn set_log_level(level: Data<LogLevel>, body: String) -> Result<HttpResponse, Problem> {
    let (before, wanted) = (level.get(), body.trim());
    level.set(wanted).map_err(|error| {
        Problem::invalid_field("body", format!("{error}; send a level, or info,plugrank=debug"))
    })?;
    tracing::warn!(before, now = wanted, "the log level was changed");
    Ok(log_level(level).await)
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

//! The HTTP server around a gateway.

use std::{io, net::TcpListener, sync::Arc};

use actix_web::{App, HttpRequest, middleware::from_fn, web};
use plugrank_http::HttpServer;
use plugrank_runtime::Shutdown;

use crate::{Gateway, experiments, exposures, observe::observe, problem::Problem, routes};

/// Serves `gateway` on `listener` until `shutdown` is requested: readiness turns false, requests are
/// taken for the drain delay, and those in flight get the grace time to end.
///
/// # Errors
/// When the listener cannot be served.
pub async fn run(listener: TcpListener, gateway: Gateway, shutdown: Shutdown) -> io::Result<()> {
    let settings = gateway.server.clone();
    let health = gateway.health.clone();
    let gateway = web::Data::new(gateway);
    let connections = gateway.connections.clone();
    // Before the first request, as far as the store answers; then in turns until the server ends.
    if let Err(error) = gateway.experiments.read(&gateway.store).await {
        tracing::warn!(error, "the experiments cannot be read yet");
    }
    let following =
        experiments::follow(Arc::clone(&gateway.experiments), Arc::clone(&gateway.store));
    // Until the server has ended, and then what waits by then.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let logged = gateway.clone();
    let logging = actix_web::rt::spawn(async move {
        let stopped = async { drop(stopped.await) };
        exposures::write(&logged.exposures, logged.store.as_ref(), stopped).await;
    });
    let server = HttpServer {
        workers: settings.workers,
        keep_alive: settings.keep_alive(),
        head_timeout: settings.client_timeout(),
        // Beyond the limit a request is told so; far beyond it connections are not even taken.
        max_connections: settings.max_connections.saturating_mul(2).max(64),
        drain_delay: settings.drain_delay(),
        grace: settings.grace(),
        on_connect: Some(Arc::new(move |data| connections.opened(data))),
    };
    let app = move || {
        App::new()
            .app_data(gateway.clone())
            .configure(|config| routes::configure(config, &gateway))
            .default_service(web::to(|request: HttpRequest| async move {
                Err::<&str, _>(Problem::no_such_path(request.path()))
            }))
            .wrap(from_fn(observe))
    };
    let ended = tokio::select! {
        ended = server.serve(listener, health, shutdown, app) => ended,
        () = following => Ok(()),
    };
    drop(stop);
    let grace = settings.grace();
    if tokio::time::timeout(grace, logging).await.is_err() {
        tracing::warn!(?grace, "served lists were not all logged in time");
    }
    ended
}

//! The HTTP server around a gateway.

use std::{io, net::TcpListener, sync::Arc, time::Duration};

use actix_web::{App, HttpRequest, HttpServer, http::KeepAlive, middleware::from_fn, web};
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
    let drain_delay = settings.drain_delay();
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(gateway.clone())
            .configure(|config| routes::configure(config, &gateway))
            .default_service(web::to(|request: HttpRequest| async move {
                Err::<&str, _>(Problem::no_such_path(request.path()))
            }))
            .wrap(from_fn(observe))
    })
    .keep_alive(match settings.keep_alive_ms {
        0 => KeepAlive::Disabled,
        ms => KeepAlive::Timeout(Duration::from_millis(ms)),
    })
    .client_request_timeout(Duration::from_millis(settings.client_timeout_ms))
    // Beyond the limit a request is told so; far beyond it connections are not even taken.
    .max_connections(settings.max_connections.saturating_mul(2).max(64))
    .on_connect(move |connection, data| connections.opened(connection, data))
    // A caller that hangs up is noticed while its request is worked on, and the work is dropped.
    .h1_allow_half_closed(false)
    .tcp_nodelay(true)
    .shutdown_timeout(settings.grace_ms.div_ceil(1000))
    .shutdown_signal(async move {
        shutdown.requested().await;
        health.drain();
        tokio::time::sleep(drain_delay).await;
    });
    if let Some(workers) = settings.workers {
        server = server.workers(workers);
    }
    let ended = tokio::select! {
        ended = server.listen(listener)?.run() => ended,
        () = following => Ok(()),
    };
    drop(stop);
    let grace = settings.grace();
    if tokio::time::timeout(grace, logging).await.is_err() {
        tracing::warn!(?grace, "served lists were not all logged in time");
    }
    ended
}

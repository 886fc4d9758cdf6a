//! The HTTP server around a gateway.

use std::{future::pending, io, net::TcpListener, sync::Arc, time::Duration};

use actix_web::{App, HttpRequest, HttpServer, http::KeepAlive, middleware::from_fn, web};
use plugrank_runtime::Shutdown;

use crate::{Gateway, experiments, models::Models, observe::observe, problem::Problem, routes};

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
    let taking_up = take_up(gateway.clone());
    let models = Arc::clone(&gateway.models);
    tokio::spawn(Arc::clone(&models).bring_back());
    let watching = watch(models, gateway.watch_models);
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
    tokio::select! {
        ended = server.listen(listener)?.run() => ended,
        () = following => Ok(()),
        () = taking_up => Ok(()),
        () = watching => Ok(()),
    }
}

/// Takes up options as they come; ends only by being dropped.
async fn take_up(gateway: web::Data<Gateway>) {
    let Some(mut reloads) = gateway.reloads.clone() else { return pending().await };
    while reloads.changed().await.is_ok() {
        let options = reloads.borrow_and_update().clone();
        gateway.take_up(options);
    }
    pending().await
}

/// Watches the folder of models, where that is wanted; ends only by being dropped.
async fn watch(models: Arc<Models>, every: Option<Duration>) {
    if let Some(every) = every {
        models.watch(every).await;
    }
    pending().await
}

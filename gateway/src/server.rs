//! The HTTP server around a gateway.

use std::{future::pending, io, net::TcpListener, sync::Arc, time::Duration};

use actix_web::{
    App, HttpRequest,
    middleware::{Condition, from_fn},
    web,
};
use plugrank_http::HttpServer;
use plugrank_runtime::Shutdown;

use crate::{
    Gateway, access,
    calibration::{self, CalibrationWatch, kept::Began},
    clock::Clock,
    experiments::{self, Judge},
    exposures,
    lease::Lease,
    models::Models,
    observe::observe,
    problem::Problem,
    routes,
};

/// Serves `gateway` on `listener` until `shutdown` is requested: readiness turns false, requests are
/// taken for the drain delay, and those in flight get the grace time to end.
///
/// # Errors
/// When the listener cannot be served.
pub async fn run(listener: TcpListener, gateway: Gateway, shutdown: Shutdown) -> io::Result<()> {
    let settings = gateway.server.clone();
    let tls = gateway.tls.clone();
    let health = gateway.health.clone();
    let gateway = web::Data::new(gateway);
    let connections = gateway.connections.clone();
    // Before the first request, as far as the store answers; then in turns until the server ends.
    if let Err(error) = gateway.experiments.read(&gateway.store).await {
        tracing::warn!(error, "the experiments cannot be read yet");
    } else if let Err(error) = gateway.experiments.define(&gateway.store).await {
        tracing::warn!(error, "the experiments of the settings cannot be written yet");
    }
    let following =
        experiments::follow(Arc::clone(&gateway.experiments), Arc::clone(&gateway.store));
    let taking_up = take_up(gateway.clone());
    let clock = Clock::start();
    let judging = judge(&gateway, clock).run();
    let calibrating = calibration(&gateway, clock);
    let models = Arc::clone(&gateway.models);
    tokio::spawn(Arc::clone(&models).follow());
    let watching = watch(models, gateway.watch_models);
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
        tls,
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
            // Outermost, so that a page of another origin can read refusals too.
            .wrap(Condition::new(
                !gateway.access.cors.origins.is_empty(),
                access::cors(&gateway.access.cors),
            ))
    };
    plugrank_background::begin_serving();
    let ended = tokio::select! {
        ended = server.serve(listener, health, shutdown, app) => ended,
        () = following => Ok(()),
        () = taking_up => Ok(()),
        () = watching => Ok(()),
        () = judging => Ok(()),
        () = calibrating => Ok(()),
    };
    drop(stop);
    let grace = settings.grace();
    if tokio::time::timeout(grace, logging).await.is_err() {
        tracing::warn!(?grace, "served lists were not all logged in time");
    }
    ended
}

fn calibration(gateway: &Gateway, clock: Clock) -> impl Future<Output = ()> + use<> {
    let (store, metrics) = (Arc::clone(&gateway.store), gateway.calibration.clone());
    let lease = Lease::new(Arc::clone(&store), "calibration", clock);
    let experiments = Arc::clone(&gateway.experiments);
    let began: Began = Box::new(move |name| {
        let running = experiments.running();
        running.definitions().experiment(name).map(|found| found.began().unwrap_or_default())
    });
    let labels = gateway.labels.clone();
    let watch = CalibrationWatch::new((store, began), labels, metrics, clock.now_ms());
    calibration::run(watch, lease, clock)
}

fn judge(gateway: &Gateway, clock: Clock) -> Judge {
    Judge {
        lease: Lease::new(Arc::clone(&gateway.store), experiments::LEASE, clock),
        experiments: Arc::clone(&gateway.experiments),
        tallies: Arc::clone(&gateway.tallies),
        withdrawn: {
            let models = Arc::clone(&gateway.models);
            Box::new(move |version| models.withdrawn(version))
        },
        store: Arc::clone(&gateway.store),
        tasks: gateway.tasks.clone(),
        clock,
        metrics: gateway.experiment_metrics.clone(),
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

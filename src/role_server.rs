//! HTTP server of a single role: its calls, liveness, readiness, metrics.

use std::{net::TcpListener, sync::Arc};

use actix_web::{
    App, HttpServer,
    middleware::from_fn,
    web::{Data, ServiceConfig},
};
use anyhow::Result;
use plugrank_body::BodyMemory;
use plugrank_gateway::ServerOptions;
use plugrank_http::operation_routes;
use plugrank_runtime::{Health, Metrics, Shutdown};
use plugrank_transport::server::{KEEP_ALIVE, body_reader};

use crate::role_access::{self, RoleAccess};

/// Adds a role's calls to an application.
pub type Routes = Box<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// Serves a role until `shutdown` is requested, then lets calls in flight end.
///
/// # Errors
/// When the listener cannot be served.
pub async fn run(
    listener: TcpListener,
    settings: ServerOptions,
    routes: Routes,
    access: RoleAccess,
    bodies: BodyMemory,
    metrics: Metrics,
    health: Health,
    shutdown: Shutdown,
) -> Result<()> {
    let (routes, access) = (Arc::new(routes), Data::new(access));
    let (drained, delay) = (health.clone(), settings.drain_delay());
    let bodies = body_reader(settings.client_timeout(), bodies);
    let address = listener.local_addr()?;
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(bodies.clone())
            .app_data(access.clone())
            .configure(|config| routes(config))
            .configure(|config| operation_routes(config, &health, &metrics))
            .wrap(from_fn(role_access::admit))
    })
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(settings.client_timeout())
    .tcp_nodelay(true)
    // A caller that hangs up is noticed while its call is worked on, and the work is dropped.
    .h1_allow_half_closed(false)
    .shutdown_timeout(settings.grace_ms.div_ceil(1000))
    .shutdown_signal(async move {
        shutdown.requested().await;
        drained.drain();
        tokio::time::sleep(delay).await;
    });
    if let Some(workers) = settings.workers {
        server = server.workers(workers);
    }
    tracing::info!(%address, "serving");
    server.listen(listener)?.run().await?;
    tracing::info!("stopped");
    Ok(())
}

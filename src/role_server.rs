//! HTTP server of a single role: its calls, liveness, readiness, metrics.

use std::{net::TcpListener, sync::Arc};

use actix_web::{
    App, HttpRequest,
    middleware::from_fn,
    web::{self, Data, ServiceConfig},
};
use anyhow::Result;
use plugrank_body::BodyMemory;
use plugrank_gateway::ServerOptions;
use plugrank_http::{HttpServer, Problem, operation_routes};
use plugrank_runtime::{Health, Metrics, Shutdown};
use plugrank_tls::ServerTls;
use plugrank_transport::server::{KEEP_ALIVE, body_reader};

use crate::role_access::{self, RoleAccess};

/// Adds a role's calls to an application.
pub type Routes = Box<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// What a role's port is made of.
pub struct RoleParts {
    /// Section `[server]` of the settings.
    pub settings: ServerOptions,
    /// The role's calls.
    pub routes: Routes,
    /// TLS, where the port speaks it.
    pub tls: Option<ServerTls>,
    /// Who may call.
    pub access: RoleAccess,
    /// What bodies may take.
    pub bodies: BodyMemory,
    /// Those of the process.
    pub metrics: Metrics,
    /// Whether it is ready.
    pub health: Health,
}

/// Serves a role until `shutdown` is requested, then lets calls in flight end.
///
/// # Errors
/// When the listener cannot be served.
pub async fn run(listener: TcpListener, parts: RoleParts, shutdown: Shutdown) -> Result<()> {
    let RoleParts { settings, routes, tls, access, bodies, metrics, health } = parts;
    let (routes, access) = (Arc::new(routes), Data::new(access));
    let bodies = body_reader(settings.client_timeout(), bodies);
    let server = HttpServer {
        workers: settings.workers,
        keep_alive: KEEP_ALIVE,
        head_timeout: settings.client_timeout(),
        max_connections: settings.max_connections,
        drain_delay: settings.drain_delay(),
        grace: settings.grace(),
        tls,
        on_connect: None,
    };
    let served = health.clone();
    let app = move || {
        App::new()
            .app_data(bodies.clone())
            .app_data(access.clone())
            .configure(|config| routes(config))
            .configure(|config| operation_routes(config, &health, &metrics))
            .default_service(web::to(|request: HttpRequest| async move {
                Err::<&str, _>(Problem::no_such_path(request.path()))
            }))
            .wrap(from_fn(role_access::admit))
    };
    plugrank_background::begin_serving();
    server.serve(listener, served, shutdown, app).await?;
    tracing::info!("stopped");
    Ok(())
}

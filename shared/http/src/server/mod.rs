//! The HTTP server of every port of a process: how connections are taken, how long they may be silent, and
//! how they end.

mod accept;
mod chunks;
mod head;
mod refusal;
mod secured;
mod stream;
mod worker;

use std::{fmt, io, net::TcpListener, num::NonZeroUsize, sync::Arc, thread, time::Duration};

use actix_http::{Request, Response};
use actix_service::{IntoServiceFactory, Service, ServiceFactory};
use actix_web::{
    body::MessageBody,
    dev::{AppConfig, Extensions},
};
use plugrank_runtime::{Health, Shutdown};
use plugrank_tls::ServerTls;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

use accept::Accept;
use stream::ConnectionPolicy;

/// Notes something in the data that a connection's requests carry.
pub type OnConnect = Arc<dyn Fn(&mut Extensions) + Send + Sync>;

/// How a port is served.
#[derive(Clone)]
pub struct HttpServer {
    /// Threads that serve it. Absent: one per core.
    pub workers: Option<usize>,
    /// How long an idle connection is kept, also before its first request; zero closes it after each
    /// answer.
    pub keep_alive: Duration,
    /// How long a client may take to send the head of a request, from its first byte.
    pub head_timeout: Duration,
    /// Most open connections per worker; more wait to be taken.
    pub max_connections: usize,
    /// Once a stop is requested: how long connections are still taken.
    pub drain_delay: Duration,
    /// How long requests in flight may then take.
    pub grace: Duration,
    /// TLS, where the port speaks it.
    pub tls: Option<ServerTls>,
    /// Notes a new connection in the data that its requests carry.
    pub on_connect: Option<OnConnect>,
}

impl Default for HttpServer {
    /// What suits a port that few call: one worker, and no grace.
    fn default() -> Self {
        Self {
            workers: Some(1),
            keep_alive: Duration::from_secs(75),
            head_timeout: Duration::from_secs(5),
            max_connections: 1024,
            drain_delay: Duration::ZERO,
            grace: Duration::ZERO,
            tls: None,
            on_connect: None,
        }
    }
}

impl HttpServer {
    /// Serves the application that `app` makes, one for each worker, until `shutdown` is requested. From
    /// then on `health` says that the process is not ready, and every answer closes its connection, so that
    /// clients turn to other processes by themselves; after the drain delay no connection is taken, idle
    /// ones are closed, and requests in flight get the grace time to end.
    ///
    /// # Errors
    /// When the listener or the application cannot be served.
    pub async fn serve<F, I, S, B>(
        self,
        listener: TcpListener,
        health: Health,
        shutdown: Shutdown,
        app: F,
    ) -> io::Result<()>
    where
        F: Fn() -> I + Clone + Send + 'static,
        I: IntoServiceFactory<S, Request> + 'static,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<actix_web::Error> + 'static,
        S::InitError: fmt::Debug,
        S::Response: Into<Response<B>> + 'static,
        S::Service: 'static,
        <S::Service as Service<Request>>::Future: 'static,
        B: MessageBody + 'static,
    {
        let cores = || thread::available_parallelism().map_or(2, NonZeroUsize::get);
        let workers = self.workers.unwrap_or_else(cores);
        let most = self.max_connections.saturating_mul(workers).min(u32::MAX as usize >> 3);
        let permits = Arc::new(Semaphore::new(most));
        let closing = CancellationToken::new();
        let policy = ConnectionPolicy {
            head_timeout: self.head_timeout,
            first_request: if self.keep_alive.is_zero() {
                self.head_timeout
            } else {
                self.keep_alive
            },
            closing: closing.clone(),
        };
        let mut handles = Vec::with_capacity(workers);
        for _ in 0..workers {
            let parts = worker::Parts {
                address: listener.local_addr()?,
                server: self.clone(),
                policy: policy.clone(),
                health: health.clone(),
                workers,
            };
            handles.push(worker::start(parts, app.clone()).await?);
        }
        let senders = handles.iter().map(|handle| handle.connections.clone()).collect();
        let accept = Accept::start(listener, senders, Arc::clone(&permits))?;
        shutdown.requested().await;
        health.drain();
        tokio::time::sleep(self.drain_delay).await;
        accept.stop().await;
        closing.cancel();
        let all = u32::try_from(most).unwrap_or(u32::MAX);
        if timeout(self.grace, permits.acquire_many(all)).await.is_err() {
            let open = most - permits.available_permits();
            tracing::warn!(open, "requests in flight did not end in the grace time; cut off");
        }
        for handle in handles {
            handle.stop();
        }
        Ok(())
    }
}

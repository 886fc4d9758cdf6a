//! A thread that serves connections.

use std::{fmt, io, net::SocketAddr, rc::Rc, time::Duration};

use actix_http::{ConnectionType, HttpService, KeepAlive, Request, Response};
use actix_rt::Arbiter;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, map_config,
};
use actix_web::{body::MessageBody, dev::AppConfig};
use plugrank_runtime::Health;
use tokio::{
    net::TcpStream,
    sync::{
        mpsc::{self, UnboundedReceiver, UnboundedSender},
        oneshot,
    },
};

use super::{
    HttpServer,
    accept::Connection,
    secured::{self, Io, Securing},
    stream::{ConnectionPolicy, HeadStream, InFlight},
};

/// How long a client may take to take note that its connection ends.
const DISCONNECT: Duration = Duration::from_secs(1);

/// Threads for work that blocks, of all workers.
const BLOCKING_THREADS: usize = 512;

/// What a worker is made from, besides its application.
pub(super) struct Parts {
    pub(super) address: SocketAddr,
    pub(super) server: HttpServer,
    pub(super) policy: ConnectionPolicy,
    pub(super) health: Health,
    /// How many workers there are.
    pub(super) workers: usize,
}

/// A worker that runs.
pub(super) struct Worker {
    /// Takes connections.
    pub(super) connections: UnboundedSender<Connection>,
    thread: Arbiter,
}

impl Worker {
    /// Cuts off what is still open.
    pub(super) fn stop(self) {
        self.thread.stop();
    }
}

/// Starts a thread, and waits until it serves.
pub(super) async fn start<F, I, S, B>(parts: Parts, app: F) -> io::Result<Worker>
where
    F: Fn() -> I + Send + 'static,
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let blocking = (BLOCKING_THREADS / parts.workers).max(1);
    let thread = Arbiter::with_tokio_rt(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(blocking)
            .build()
            .expect("a thread can wait for its connections")
    });
    let (connections, taken) = mpsc::unbounded_channel();
    let (ready, started) = oneshot::channel();
    thread.spawn(async move {
        actix_rt::spawn(serve(parts, app, taken, ready));
    });
    let gone = |_| io::Error::other("a worker ended while it started");
    started.await.map_err(gone)??;
    Ok(Worker { connections, thread })
}

async fn serve<F, I, S, B>(
    parts: Parts,
    app: F,
    mut taken: UnboundedReceiver<Connection>,
    ready: oneshot::Sender<io::Result<()>>,
) where
    F: Fn() -> I,
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let Parts { address, server, policy, health, .. } = parts;
    let app = app().into_factory().map_err(|error| error.into().error_response());
    let app = map_config(app, move |()| AppConfig::default());
    let app = apply_fn_factory(app, move |request: Request, app: &_| {
        let counted = request.conn_data::<InFlight>().map(InFlight::until_dropped);
        let answer = Service::call(app, request);
        let health = health.clone();
        async move {
            let _counted = counted;
            let mut response: Response<B> = answer.await?.into();
            if health.is_draining() {
                response.head_mut().set_connection_type(ConnectionType::Close);
            }
            Ok(response)
        }
    });
    let securing = Securing::new(server.tls.as_ref());
    let http = HttpService::build()
        .keep_alive(match server.keep_alive {
            Duration::ZERO => KeepAlive::Disabled,
            time => KeepAlive::Timeout(time),
        })
        // What a head may take is up to `HeadStream`.
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(DISCONNECT)
        // A caller that hangs up is noticed while its request is worked on, and the work is dropped.
        .h1_allow_half_closed(false)
        .local_addr(address)
        .on_connect_ext(move |io: &HeadStream<Io>, data| {
            data.insert(io.in_flight());
            secured::note(io.io(), data);
            if let Some(note) = &server.on_connect {
                note(data);
            }
        })
        .h1(app);
    let http = match http.new_service(()).await {
        Ok(http) => Rc::new(http),
        Err(()) => {
            let _ = ready.send(Err(io::Error::other("the application cannot be made")));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    let policy = Rc::new(policy);
    while let Some(Connection { io, peer, permit }) = taken.recv().await {
        let io = match into_async(io) {
            Ok(io) => io,
            Err(error) => {
                tracing::debug!(%error, "a connection cannot be served");
                continue;
            }
        };
        let (http, policy, securing) = (Rc::clone(&http), Rc::clone(&policy), securing.clone());
        actix_rt::spawn(async move {
            let _permit = permit;
            let io = match securing.begin(io, &policy).await {
                Ok(io) => io,
                Err(error) => {
                    tracing::debug!(%peer, %error, "a connection came to nothing");
                    return;
                }
            };
            let stream = HeadStream::new(io, policy);
            if let Err(error) = http.call((stream, Some(peer))).await {
                tracing::debug!(?error, "a connection ended");
            }
        });
    }
}

fn into_async(io: std::net::TcpStream) -> io::Result<TcpStream> {
    io.set_nonblocking(true)?;
    io.set_nodelay(true)?;
    TcpStream::from_std(io)
}

//! The HTTP client of a service in another process: pooled HTTP/1.1, over TLS where its address
//! says so.

use std::{error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Incoming,
    header::{HOST, HeaderMap},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client, ResponseFuture,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioTimer},
};
use plugrank_contract::CallError;
use plugrank_tls::client_config;
use thread_local::ThreadLocal;

use super::{
    PeerOptions,
    address::{Address, Target},
};

/// How long an idle connection is kept. Servers keep theirs for longer, so that none is closed
/// while a call is on its way.
const IDLE: Duration = Duration::from_secs(30);

/// A client. Clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient(Arc<Connections>);

#[derive(Debug)]
enum Connections {
    Plain(PerThread<HttpConnector>),
    Secured(PerThread<HttpsConnector<HttpConnector>>),
}

/// A pool of connections for each thread that calls. A connection is driven by the event loop it was made on, so one
/// that another thread borrowed would take two wake-ups of that loop a call.
#[derive(Debug)]
struct PerThread<C: Send> {
    connector: C,
    clients: ThreadLocal<Client<C, Full<Bytes>>>,
}

impl<C: Connect + Clone + Send + Sync + 'static> PerThread<C> {
    fn new(connector: C) -> Self {
        Self { connector, clients: ThreadLocal::new() }
    }

    fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        let client = self.clients.get_or(|| {
            let mut pooled = Client::builder(TokioExecutor::new());
            pooled.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
            pooled.build(self.connector.clone())
        });
        client.request(request)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// There was no connection: nothing was sent.
    Connect(String),
    /// It broke off.
    Broken(String),
}

/// An answer whose body is still to come.
pub(crate) struct HttpReply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
}

impl HttpClient {
    /// A client of what is at `addresses`.
    ///
    /// # Errors
    /// `InvalidArgument` when one of them wants TLS and the settings do not say whom to trust.
    ///
    /// # Panics
    /// Outside a tokio runtime, with TLS.
    pub(crate) fn new(peers: &PeerOptions, addresses: &[Address]) -> Result<Self, CallError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_millis(peers.connect_timeout_ms)));
        if !addresses.iter().any(Address::is_secured) {
            return Ok(Self(Arc::new(Connections::Plain(PerThread::new(connector)))));
        }
        let names = addresses.iter().filter_map(|address| Some(address.name()?.0));
        let names: Vec<&str> = names.collect();
        let tls = client_config(&peers.tls, &names).map_err(CallError::invalid)?;
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self(Arc::new(Connections::Secured(PerThread::new(connector)))))
    }

    /// One that speaks no TLS.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self::new(&PeerOptions::default(), &[]).expect("without TLS nothing is missing")
    }

    /// Sends a request to an endpoint and waits for the head of the answer; the caller keeps time.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: &Target,
        path: &str,
        headers: impl IntoIterator<Item = (&'static str, String)>,
        body: Bytes,
    ) -> Result<HttpReply, HttpError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", target.base_url()))
            .header(HOST, &target.host);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body));
        let request = request.map_err(|error| HttpError::Connect(error.to_string()))?;
        let sent = match &*self.0 {
            Connections::Plain(client) => client.request(request).await,
            Connections::Secured(client) => client.request(request).await,
        };
        let reply = sent.map_err(|error| match error.is_connect() {
            true => HttpError::Connect(root(&error)),
            false => HttpError::Broken(root(&error)),
        })?;
        let (head, body) = reply.into_parts();
        Ok(HttpReply { status: head.status, headers: head.headers, body })
    }
}

impl HttpReply {
    /// The whole body.
    pub(crate) async fn bytes(self) -> Result<Bytes, HttpError> {
        let body = self.body.collect().await;
        Ok(body.map_err(|error| HttpError::Broken(root(&error)))?.to_bytes())
    }

    /// A part of the body, in turn; `None` behind its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| HttpError::Broken(root(&error)))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// The innermost cause, which says the most.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

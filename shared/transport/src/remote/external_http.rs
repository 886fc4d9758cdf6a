//! Servers that are none of ours, called over HTTP with what protects calls to our own: the same
//! choice of an endpoint, second calls, retries and leaving out.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use hyper::{
    Method,
    header::{HeaderName, HeaderValue},
};
use plugrank_contract::{CallError, Context};
use tokio::time::timeout_at;
use tracing::Instrument;

use super::{
    EndpointStatus, Remote, RemoteOptions,
    address::Target,
    attempts,
    endpoint::Verdict,
    exchange::{Again, Answer, Failure, Request, failed},
    http::HttpClient,
    probe::Probe,
    resolve,
};
use crate::{spans::CallSpan, wire};

/// Largest reply that is read.
const MAX_REPLY_BYTES: usize = 64 << 20;
/// How much of an error's text is passed on.
const MAX_TEXT: usize = 300;

/// A service of someone else's, in one or several processes.
#[derive(Clone, Debug)]
pub struct ExternalHttp(Remote);

/// A request to one. It is sent again where the first try came to nothing, so it must do no harm
/// twice.
#[derive(Clone, Debug)]
pub struct ExternalRequest {
    /// Names the kind of request in traces; times of one kind are compared with each other.
    pub name: &'static str,
    /// Path, which is put behind the base address.
    pub path: String,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// What is posted; a GET without.
    pub body: Option<Bytes>,
}

/// An answer that says that the request was understood (2xx) or is wrong (4xx).
#[derive(Clone, Debug)]
pub struct ExternalReply {
    /// HTTP status.
    pub status: u16,
    /// Headers that are text, by their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Bytes,
}

impl ExternalHttp {
    /// A client of the service at `options.base_urls`, whose processes say at `ready` (a path) that
    /// they work.
    ///
    /// # Errors
    /// `InvalidArgument` when an address is no http URL, or there is none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(options: &RemoteOptions, ready: String) -> Result<Self, CallError> {
        Remote::probed(options, |client| Probe { client, path: ready }).map(Self)
    }

    /// What is known about each endpoint.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.0.endpoints()
    }

    /// Sends a request and waits for the first answer that counts, until the context's deadline or,
    /// without one, the call timeout of the options.
    ///
    /// # Errors
    /// `Unavailable` when no process can be reached or one says that it cannot work (5xx),
    /// `Overloaded` on 429, `DeadlineExceeded` when the time is up.
    pub async fn send(
        &self,
        context: &Context,
        request: ExternalRequest,
    ) -> Result<ExternalReply, CallError> {
        let shared = &*self.0.0;
        let name = shared.pool.name;
        let deadline = context.deadline.moment_or_after(shared.options.call_timeout());
        let unresolved = || CallError::unavailable(format!("{name}: its address does not resolve"));
        let first = timeout_at(deadline, resolve::first(&shared.pool)).await;
        first.map_err(|_| unresolved())?;
        let sending = Sending { context, request };
        let answer = timeout_at(deadline, attempts::call(shared, &sending, deadline)).await;
        answer.map_err(|_| CallError::deadline(format!("{name} did not answer in time")))?
    }
}

struct Sending<'a> {
    context: &'a Context,
    request: ExternalRequest,
}

impl Request for Sending<'_> {
    type Reply = ExternalReply;

    fn kind(&self) -> &'static str {
        self.request.name
    }

    fn harmless(&self) -> bool {
        true
    }

    async fn exchange(&self, client: &HttpClient, target: &Target) -> Answer<ExternalReply> {
        let ExternalRequest { name, path, body, .. } = &self.request;
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut context = self.context.clone();
        let (host, port) = (target.socket.ip().to_string(), target.socket.port());
        let what = (*name, method.as_str(), path.as_str());
        let span = CallSpan::external(what, &host, port, &mut context);
        let sent = send(client, target, &context, &self.request, (method, &span));
        let (value, verdict, again) = match sent.instrument(span.span().clone()).await {
            Err((error, again)) => (Err(error), Verdict::Gone, again),
            Ok(reply) => judge(target, reply),
        };
        span.ended(value.as_ref().err());
        Answer { value, verdict, again }
    }
}

fn judge(
    target: &Target,
    reply: ExternalReply,
) -> (Result<ExternalReply, CallError>, Verdict, Again) {
    let status = reply.status;
    let said = || {
        let text = String::from_utf8_lossy(&reply.body);
        let text: String = text.trim().chars().take(MAX_TEXT).collect();
        format!("{} answered {status}: {text}", target.base_url())
    };
    match status {
        429 => (Err(CallError::overloaded(said())), Verdict::Busy, Again::Elsewhere),
        200..500 => (Ok(reply), Verdict::Well, Again::No),
        // A defect meets the same request again wherever it is sent.
        500 => (Err(CallError::unavailable(said())), Verdict::Struggling, Again::No),
        _ => (Err(CallError::unavailable(said())), Verdict::Struggling, Again::IfHarmless),
    }
}

async fn send(
    client: &HttpClient,
    target: &Target,
    context: &Context,
    request: &ExternalRequest,
    (method, span): (Method, &CallSpan),
) -> Result<ExternalReply, Failure> {
    let headers = request.headers.iter().cloned().chain(wire::trace_headers(context));
    let body = request.body.clone().unwrap_or_default();
    let broken = |error| failed(target, error);
    let sent = client.send(method, target, &request.path, headers, body).await;
    let mut response = sent.map_err(broken)?;
    let status = response.status.as_u16();
    span.status(status);
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers = response.headers.iter().filter_map(text).collect();
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > MAX_REPLY_BYTES {
            let what = format!("{} answered more than {MAX_REPLY_BYTES} bytes", target.base_url());
            return Err((CallError::unavailable(what), Again::No));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(ExternalReply { status, headers, body: body.freeze() })
}

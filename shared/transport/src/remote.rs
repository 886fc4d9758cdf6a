//! A service in another process, called over pooled HTTP/1.1.

use std::time::Duration;

use async_trait::async_trait;
use plugrank_contract::{Call, CallError, Context};
use tracing::Instrument;

use crate::{Service, spans::CallSpan, wire};

/// How a remote service is called.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// Base address, e.g. `http://scoring:8081`.
    pub base_url: String,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the answer of a call without a deadline.
    pub call_timeout: Duration,
}

/// A service in another process. Clones share the connection pool.
#[derive(Clone, Debug)]
pub struct Remote {
    client: reqwest::Client,
    base_url: String,
    /// Host and port, for spans.
    server: (String, Option<u16>),
    call_timeout: Duration,
}

impl Remote {
    /// A client of the service at `options.base_url`. Connects when first called.
    ///
    /// # Errors
    /// `InvalidArgument` when the address is no http URL.
    pub fn new(options: &RemoteOptions) -> Result<Self, CallError> {
        let url = reqwest::Url::parse(&options.base_url)
            .ok()
            .filter(|url| url.scheme() == "http" && url.has_host())
            .ok_or_else(|| {
                CallError::invalid(format!(
                    "`{}` is no address of a service; expected something like http://host:8081",
                    options.base_url
                ))
            })?;
        let client = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(options.connect_timeout)
            .build()
            .map_err(|error| CallError::internal(format!("no HTTP client: {error}")))?;
        let base_url = url.as_str().trim_end_matches('/').to_owned();
        let server = (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default());
        Ok(Self { client, base_url, server, call_timeout: options.call_timeout })
    }
}

#[async_trait]
impl<C: Call> Service<C> for Remote {
    async fn call(&self, mut context: Context, call: C) -> Result<C::Reply, CallError> {
        let (host, port) = &self.server;
        let span = CallSpan::client::<C>(host, *port, &mut context);
        let answer = self.exchange(&context, &call, &span).instrument(span.span().clone()).await;
        span.ended(answer.as_ref().err());
        answer
    }
}

impl Remote {
    async fn exchange<C: Call>(
        &self,
        context: &Context,
        call: &C,
        span: &CallSpan,
    ) -> Result<C::Reply, CallError> {
        let left = context.remaining().unwrap_or(self.call_timeout);
        if left.is_zero() {
            return Err(CallError::deadline("the deadline passed before the call was sent"));
        }
        let mut request = self
            .client
            .post(format!("{}{}", self.base_url, C::PATH))
            .header("content-type", wire::MEDIA_TYPE)
            .timeout(left)
            .body(wire::encode(call)?);
        for (name, value) in wire::context_headers(context) {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        let status = response.status();
        span.status(status.as_u16());
        let media_type = response.headers().get("content-type").map(|value| value.as_bytes());
        if media_type != Some(wire::MEDIA_TYPE.as_bytes()) {
            return Err(CallError::unavailable(format!(
                "{} answered {status} and no reply to {}; is it a Plugrank service of this version?",
                self.base_url,
                C::PATH
            )));
        }
        let body = response.bytes().await.map_err(|error| self.failed(&error))?;
        wire::decode::<Result<C::Reply, CallError>>(&body).map_err(|why| {
            CallError::internal(format!("the reply to {} cannot be read: {why}", C::PATH))
        })?
    }

    fn failed(&self, error: &reqwest::Error) -> CallError {
        if error.is_timeout() && !error.is_connect() {
            return CallError::deadline(format!("{} did not answer in time", self.base_url));
        }
        CallError::unavailable(format!("{} cannot be reached: {error}", self.base_url))
    }
}

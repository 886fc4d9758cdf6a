//! The edge of every request: ids, server span, headers, access log, metrics, problem documents.

use std::{panic::AssertUnwindSafe, time::Instant};

use actix_web::{
    HttpMessage, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType,
        header::{HeaderName, HeaderValue},
    },
    middleware::Next,
    web::Data,
};
use futures::FutureExt;
use plugrank_runtime::trace_context;
use tracing::{Instrument, Span, field::Empty};
use uuid::Uuid;

use crate::{Gateway, connections::Connections, endpoint::Endpoint, problem::Problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Route of requests no path takes, so that strangers cannot grow the metrics.
const UNMATCHED: &str = "unmatched";

/// What a route knows of its request besides its content.
#[derive(Clone, Debug)]
pub(crate) struct RequestInfo {
    /// The caller's id when it sent a UUID, else a new one.
    pub(crate) request_id: Uuid,
    /// The trace the request belongs to.
    pub(crate) trace_id: Option<String>,
    /// Names the server span to the services that are called.
    pub(crate) traceparent: Option<String>,
    /// What other tracing systems noted of the trace, for the services that are called.
    pub(crate) tracestate: Option<String>,
    /// Whether the trace is kept whatever befalls the request.
    pub(crate) sampled: bool,
}

impl RequestInfo {
    /// The trace for an exemplar: one that can be looked up, because it is sampled or because
    /// something `befell` the request.
    pub(crate) fn exemplar(&self, befell: bool) -> Option<&str> {
        self.trace_id.as_deref().filter(|_| self.sampled || befell)
    }
}

/// Wraps every request.
pub(crate) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Instant::now();
    let gateway = request.app_data::<Data<Gateway>>().cloned();
    let route = request.match_pattern().unwrap_or_else(|| UNMATCHED.to_owned());
    let method = known_method(&request);
    let path = request.path().to_owned();
    let probe = Endpoint::is_probe(&route) || plugrank_open_inference::server::is_probe(&path);
    let request_id = header(&request, &REQUEST_ID)
        .and_then(|id| Uuid::parse_str(id).ok())
        .unwrap_or_else(Uuid::now_v7);

    let span = if probe { Span::none() } else { server_span(&request, method, &route, request_id) };
    if let Some(caller) = header(&request, &TRACEPARENT) {
        trace_context::adopt_parent(&span, caller, tracestate(&request).as_deref());
    }
    let info = RequestInfo {
        request_id,
        trace_id: trace_context::trace_id(&span),
        traceparent: trace_context::traceparent(&span),
        tracestate: trace_context::tracestate(&span),
        sampled: trace_context::is_sampled(&span),
    };
    request.extensions_mut().insert(info.clone());

    let exchange = Exchange {
        gateway: gateway.as_ref().map(|gateway| gateway.get_ref()),
        span: &span,
        info: &info,
        method,
        route: &route,
        started,
    };
    if Connections::over_limit(request.request())
        && !probe
        && let Some(gateway) = &gateway
    {
        gateway.metrics.rejected("connections");
        let limit = gateway.connections.limit();
        let problem = Problem::too_many(format!("{limit} connections are open, as many as may be"));
        exchange.record(429);
        let response = problem.with_request_id(request_id).error_response();
        let mut response = request.into_response(response);
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        return Ok(response);
    }
    let answer = AssertUnwindSafe(next.call(request).instrument(span.clone())).catch_unwind().await;
    let Ok(response) = answer else {
        // The request went with the panic, so the answer is made without it.
        exchange.record(500);
        tracing::error!(%request_id, method, route, "a request panicked");
        let problem = Problem::internal("the request met a defect; its id names it in the log");
        return Err(problem.with_request_id(request_id).into());
    };
    let response = response?.map_into_boxed_body();
    // Errors of the other protocol have a form of their own.
    let mut response = match gateway.as_ref().is_some_and(|gateway| gateway.serves_other(&path)) {
        true => response,
        false => named_problem(response, request_id),
    };
    let headers = response.headers_mut();
    insert(headers, REQUEST_ID, Some(request_id.to_string()));
    insert(headers, TRACEPARENT, info.traceparent.clone());

    let status = response.status().as_u16();
    let seconds = exchange.record(status);
    if !probe {
        tracing::info!(
            target: "plugrank_gateway::access",
            method,
            path = response.request().path(),
            status,
            duration_ms = (seconds * 1e6).round() / 1e3,
            %request_id,
            trace_id = info.trace_id,
            "answered"
        );
    }
    Ok(response)
}

/// A request while it is answered.
struct Exchange<'a> {
    gateway: Option<&'a Gateway>,
    span: &'a Span,
    info: &'a RequestInfo,
    method: &'a str,
    route: &'a str,
    started: Instant,
}

impl Exchange<'_> {
    /// Writes what became of the request into its metrics and its span; gives the seconds it took.
    fn record(&self, status: u16) -> f64 {
        let seconds = self.started.elapsed().as_secs_f64();
        let failed = status >= 500;
        if let Some(gateway) = self.gateway {
            let trace = self.info.exemplar(failed);
            gateway.metrics.request(self.method, self.route, status, seconds, trace);
        }
        self.span.record("http.response.status_code", i64::from(status));
        if failed {
            self.span.record("error.type", status.to_string());
            self.span.record("otel.status_code", "ERROR");
        }
        seconds
    }
}

/// A server span by OpenTelemetry's semantic conventions for HTTP.
fn server_span(request: &ServiceRequest, method: &str, route: &str, request_id: Uuid) -> Span {
    let span = tracing::info_span!(
        "http",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        url.path = request.path(),
        url.scheme = request.connection_info().scheme(),
        client.address = request.connection_info().peer_addr(),
        user_agent.original = Empty,
        error.type = Empty,
        request.id = %request_id,
    );
    if route != UNMATCHED {
        span.record("http.route", route);
    }
    if let Some(agent) = header(request, &actix_web::http::header::USER_AGENT) {
        span.record("user_agent.original", agent);
    }
    span
}

/// The method when it is one of HTTP's own; any other is `_OTHER`, as the conventions have it.
fn known_method(request: &ServiceRequest) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
    let method = request.method().as_str();
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}

/// Gives an error its request id, and a problem document if it came without one.
fn named_problem(response: ServiceResponse, request_id: Uuid) -> ServiceResponse {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = response.response().extensions().get::<Problem>().cloned();
    let problem = problem.unwrap_or_else(|| Problem::from_status(status));
    response.error_response(problem.with_request_id(request_id))
}

fn header<'a>(request: &'a ServiceRequest, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// The caller's `tracestate`, which may come in several headers.
fn tracestate(request: &ServiceRequest) -> Option<String> {
    let parts: Vec<&str> =
        request.headers().get_all(TRACESTATE).filter_map(|part| part.to_str().ok()).collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

fn insert(
    headers: &mut actix_web::http::header::HeaderMap,
    name: HeaderName,
    value: Option<String>,
) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}

//! The edge of every request: ids, trace, headers, access log, metrics, problem documents.

use std::{
    borrow::Cow,
    ops::Deref,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use actix_web::{
    HttpMessage, HttpRequest, ResponseError,
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
use plugrank_access::{Caller, Denied, Scope};
use plugrank_budget::StageRecord;
use plugrank_contract::Traceparent;
use plugrank_runtime::{
    telemetry::Cause,
    trace_context::{HexText, TraceHead},
};
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::{
    Gateway, access, connections::Connections, endpoint::Endpoint, metrics::RequestLabels,
    problem::Problem, request_id, request_spans,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Route of requests no path takes, so that strangers cannot grow the metrics.
pub(crate) const UNMATCHED: &str = "unmatched";

/// What a route knows of its request besides its content. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct RequestInfo(Arc<RequestFacts>);

/// See [`RequestInfo`].
#[derive(Debug)]
pub(crate) struct RequestFacts {
    /// The caller's id when it sent a UUID, else a new one.
    pub(crate) request_id: Uuid,
    /// The trace the request belongs to; probes have none.
    trace: Option<TraceHead>,
    /// What other tracing systems noted of the trace, for the services that are called.
    pub(crate) tracestate: Option<String>,
    outcome: OnceLock<RankOutcome>,
    /// Who is asking, where anybody is asked.
    caller: OnceLock<Arc<Caller>>,
}

/// What happened to a ranking's budget. Spans, and whether they are wanted, are made from it.
#[derive(Debug)]
pub(crate) struct RankOutcome {
    pub(crate) total: Duration,
    pub(crate) spent: Duration,
    pub(crate) degraded: bool,
    /// The surface; empty without one.
    pub(crate) surface: Arc<str>,
    /// The lowest rung of the answer; none where there is no ranking.
    pub(crate) rung: Option<&'static str>,
    /// The first cause for which it is less than it could be.
    pub(crate) cause: Option<&'static str>,
    /// Arms of experiments, as `layer=arm`, with commas between; empty without any.
    pub(crate) arms: String,
    pub(crate) stages: Vec<StageRecord>,
}

impl Deref for RequestInfo {
    type Target = RequestFacts;

    fn deref(&self) -> &RequestFacts {
        &self.0
    }
}

impl RequestInfo {
    fn new(request_id: Uuid, trace: Option<TraceHead>) -> Self {
        let tracestate = trace.as_ref().and_then(TraceHead::tracestate);
        Self(Arc::new(RequestFacts {
            request_id,
            trace,
            tracestate,
            outcome: OnceLock::new(),
            caller: OnceLock::new(),
        }))
    }
}

impl RequestInfo {
    /// The same request for work beside it, which no trace shows.
    pub(crate) fn unrecorded(&self) -> Self {
        Self::new(self.request_id, None)
    }

    /// A request among several that came as one; the same one of the same several has the same id.
    /// Its stages are in no trace of their own; who asks is who sent all of them.
    pub(crate) fn part(&self, number: u8) -> Self {
        // The last bits of an id are random: so are those of the part's.
        let id = self.request_id.as_u128() ^ (u128::from(number) + 1);
        let part = Self::new(Uuid::from_u128(id), None);
        if let Some(caller) = self.caller.get() {
            part.came_from(Arc::clone(caller));
        }
        part
    }

    /// Takes over what happened to a part.
    pub(crate) fn take_outcome(self) -> Option<RankOutcome> {
        Arc::into_inner(self.0)?.outcome.into_inner()
    }
}

impl RequestFacts {
    /// Whether spans of the request are recorded while it is answered.
    pub(crate) fn is_recorded(&self) -> bool {
        self.trace.as_ref().is_some_and(TraceHead::is_recorded)
    }

    /// The id of the trace.
    pub(crate) fn trace_id(&self) -> Option<HexText<32>> {
        self.trace.as_ref().map(TraceHead::trace_id)
    }

    /// Names the request's span to the services that are called.
    pub(crate) fn traceparent(&self) -> Option<Traceparent> {
        self.trace.as_ref().map(TraceHead::traceparent)
    }

    /// The trace for an exemplar: one that can be looked up, because it is sampled or because the
    /// request was degraded, late or failed.
    pub(crate) fn exemplar(&self, of_note: bool) -> Option<HexText<32>> {
        let trace = self.trace.as_ref()?;
        (of_note || trace.is_sampled()).then(|| trace.trace_id())
    }

    /// Notes who is asking.
    pub(crate) fn came_from(&self, caller: Arc<Caller>) {
        self.caller.get_or_init(|| caller);
    }

    /// Refuses a caller without a scope that the path needs. Without authentication every caller may.
    pub(crate) fn needs(&self, scope: &'static [Scope; 1]) -> Result<(), Denied> {
        match self.caller.get() {
            Some(caller) if !caller.may(scope[0]) => {
                Err(Denied::Scope { caller: caller.name().to_owned(), needs: scope })
            }
            _ => Ok(()),
        }
    }

    /// Counts a batch as the requests that it holds, of a caller that may ask so many.
    pub(crate) fn count_batch(&self, requests: u32) -> Result<(), Denied> {
        self.caller.get().map_or(Ok(()), |caller| caller.count_batch(requests))
    }

    /// Notes what happened to the request's budget. The first of several counts.
    pub(crate) fn record(&self, outcome: RankOutcome) {
        self.outcome.get_or_init(|| outcome);
    }

    /// Why an operator would look at the request, once it is answered with `status`.
    fn cause(&self, status: u16) -> Option<Cause> {
        let outcome = self.outcome.get();
        let late = outcome.is_some_and(|outcome| outcome.spent > outcome.total);
        let degraded = outcome.is_some_and(|outcome| outcome.degraded);
        Cause::worst(status >= 500, late, degraded)
    }
}

/// Wraps every request.
pub(crate) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let began = Instant::now();
    let gateway = request.app_data::<Data<Gateway>>().cloned();
    let gateway = gateway.as_ref().map(|gateway| gateway.get_ref());
    let route = route(&request);
    let method = known_method(&request);
    let other = gateway.and_then(|gateway| gateway.open_inference.as_ref());
    let probe =
        Endpoint::is_probe(&route) || other.is_some_and(|api| (api.is_probe)(request.path()));
    let request_id = header(&request, &REQUEST_ID)
        .and_then(|id| Uuid::parse_str(id).ok())
        .unwrap_or_else(request_id::fresh);
    let mut trace = (!probe)
        .then(|| TraceHead::begin(header(&request, &TRACEPARENT), tracestate(&request).as_deref()));
    let span = match &mut trace {
        Some(trace) if trace.is_recorded() => {
            let span = request_spans::server(request.request(), method, &route, request_id);
            trace.attach(&span);
            span
        }
        _ => Span::none(),
    };
    let info = RequestInfo::new(request_id, trace);
    let over_limit = !probe && Connections::over_limit(request.request());
    request.extensions_mut().insert(info.clone());
    let exchange = Exchange { gateway, span, info, method, route, began };
    if over_limit && let Some(gateway) = gateway {
        gateway.metrics.rejected("connections");
        let limit = gateway.connections.limit();
        let problem = Problem::too_many(format!("{limit} connections are open, the maximum"))
            .because("connections");
        let mut response = exchange.turn_away(problem, request);
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        return Ok(response);
    }
    // Routes read what is not UTF-8 as U+FFFD, by which different ids would be one.
    if !is_utf8(request.uri().path()) {
        let detail = "is not UTF-8 once its %-escapes are read; ids are UTF-8";
        return Ok(exchange.turn_away(Problem::invalid_field("path", detail), request));
    }

    let admitted = match gateway {
        Some(gateway) => access::admit(gateway, &request, &exchange.info),
        None => Err(Problem::internal("the server has no gateway")),
    };
    if let Err(problem) = admitted {
        return Ok(exchange.turn_away(problem, request));
    }

    let answer = next.call(request).instrument(exchange.span.clone());
    let Ok(response) = AssertUnwindSafe(answer).catch_unwind().await else {
        // The request went with the panic, so the answer is made without it.
        exchange.ended(500, None);
        tracing::error!(%request_id, method, route = &*exchange.route, "a request panicked");
        let problem = Problem::internal("the request met a defect; its id names it in the log");
        return Err(problem.with_request_id(request_id).into());
    };
    let response = response?.map_into_boxed_body();
    // Errors of the other protocol have a form of their own.
    let other = gateway.is_some_and(|gateway| gateway.serves_other(response.request().path()));
    let refused =
        response.response().extensions().get::<Problem>().and_then(|problem| problem.cause());
    let mut response = if other { response } else { named_problem(response, request_id) };
    exchange.add_headers(&mut response);
    let status = response.status().as_u16();
    let spent = exchange.ended(status, Some(response.request()));
    if !probe {
        exchange.log(response.request().path(), status, spent, refused);
    }
    Ok(response)
}

/// A request while it is answered.
struct Exchange<'a> {
    gateway: Option<&'a Gateway>,
    span: Span,
    info: RequestInfo,
    method: &'static str,
    route: Cow<'static, str>,
    began: Instant,
}

impl Exchange<'_> {
    /// Answers a request that is not worked on.
    fn turn_away(&self, problem: Problem, request: ServiceRequest) -> ServiceResponse<BoxBody> {
        let refused = problem.cause();
        let response = problem.with_request_id(self.info.request_id).error_response();
        let mut response = request.into_response(response);
        self.add_headers(&mut response);
        let status = response.status().as_u16();
        let spent = self.ended(status, Some(response.request()));
        self.log(response.request().path(), status, spent, refused);
        response
    }

    fn add_headers(&self, response: &mut ServiceResponse<BoxBody>) {
        let mut insert = |name, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        };
        let mut buffer = Uuid::encode_buffer();
        insert(REQUEST_ID, self.info.request_id.hyphenated().encode_lower(&mut buffer));
        if let Some(traceparent) = self.info.traceparent() {
            insert(TRACEPARENT, traceparent.as_str());
        }
    }

    /// Writes the end of the request into its metrics and its trace; gives the time it took.
    /// `request` is there unless it panicked.
    fn ended(&self, status: u16, request: Option<&HttpRequest>) -> Duration {
        let spent = self.began.elapsed();
        if let Some(gateway) = self.gateway {
            let labels = RequestLabels { method: self.method, route: self.route.clone(), status };
            let trace = self.info.exemplar(status >= 500);
            let trace = trace.as_ref().map(HexText::as_str);
            gateway.metrics.request(labels, spent.as_secs_f64(), trace);
        }
        let outcome = self.info.outcome.get();
        if self.info.is_recorded() {
            request_spans::record_end(&self.span, status, outcome);
        } else if let Some(trace) = &self.info.trace {
            trace.ended(self.info.cause(status), spent, outcome.is_some(), || {
                let (method, route, id) = (self.method, &*self.route, self.info.request_id);
                let server =
                    request_spans::UnrecordedRequest { method, route, id, request, status };
                request_spans::afterwards(&server, self.began, spent, outcome)
            });
        }
        spent
    }

    fn log(&self, path: &str, status: u16, spent: Duration, refused: Option<&'static str>) {
        let outcome = self.info.outcome.get();
        tracing::info!(
            target: "plugrank_gateway::access",
            method = self.method,
            path,
            status,
            duration_ms = crate::api::millis(spent),
            request_id = %self.info.request_id,
            key = self.info.caller.get().map(|caller| caller.name()),
            trace_id = self.info.trace_id().as_ref().map(HexText::as_str),
            rung = outcome.and_then(|outcome| outcome.rung),
            degraded = outcome.and_then(|outcome| outcome.cause),
            refused,
            "answered"
        );
    }
}

/// The route by its pattern. Paths without a parameter are their own.
fn route(request: &ServiceRequest) -> Cow<'static, str> {
    if let Some(fixed) = Endpoint::fixed(request.path()) {
        return Cow::Borrowed(fixed);
    }
    request.match_pattern().map_or(Cow::Borrowed(UNMATCHED), Cow::Owned)
}

/// Whether a path is UTF-8 once its %-escapes are read.
fn is_utf8(path: &str) -> bool {
    if !path.contains('%') {
        return true;
    }
    let (mut bytes, mut read) = (path.bytes(), Vec::with_capacity(path.len()));
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let mut ahead = bytes.clone();
        let escaped = match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        if escaped.is_some() {
            bytes = ahead;
        }
        read.push(escaped.unwrap_or(byte));
    }
    str::from_utf8(&read).is_ok()
}

/// The method when it is one of HTTP's own; any other is `_OTHER`, as the conventions have it.
fn known_method(request: &ServiceRequest) -> &'static str {
    const KNOWN: [&str; 9] =
        ["POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
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
    let mut parts = request.headers().get_all(TRACESTATE).filter_map(|part| part.to_str().ok());
    let mut joined = parts.next()?.to_owned();
    for part in parts {
        joined.push(',');
        joined.push_str(part);
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use super::is_utf8;

    #[test]
    fn paths_that_are_not_utf8_are_detected() {
        for path in ["/v1/items/a", "/v1/items/%C3%bc", "/100%", "/%zz%", "/%e6%bc%a2", "/%00"] {
            assert!(is_utf8(path), "{path}");
        }
        for path in ["/v1/items/%ff", "/%fe/image", "/%c3", "/%C3%28", "/%ed%a0%80"] {
            assert!(!is_utf8(path), "{path}");
        }
    }
}

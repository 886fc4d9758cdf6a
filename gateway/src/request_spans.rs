//! The spans of a request at the edge: its server span and those of its stages, made while it is
//! answered where its trace is recorded, else afterwards where they are wanted.
//!
//! They go by OpenTelemetry's semantic conventions for HTTP.

use std::time::{Duration, Instant};

use actix_web::{HttpRequest, http::header::USER_AGENT};
use plugrank_budget::{Rung, Stage, StageRecord};
use plugrank_contract::{Call, Traceparent};
use plugrank_runtime::{
    telemetry::{
        ALLOTTED_MS, Attribute, DEGRADED, OUTCOME, RUNG, RequestRecord, SPENT_MS, SpanRecord,
        TOTAL_MS,
    },
    trace_context,
};
use tracing::{Span, field::Empty};
use uuid::Uuid;

use crate::{
    api::millis,
    observe::{RankOutcome, RequestFacts, UNMATCHED},
};

/// The span of a request that is recorded.
pub(crate) fn server(request: &HttpRequest, method: &str, route: &str, request_id: Uuid) -> Span {
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
        user_agent.original = user_agent(request),
        error.type = Empty,
        plugrank.request.id = %request_id,
        plugrank.budget.total_ms = Empty,
        plugrank.budget.spent_ms = Empty,
        plugrank.degraded = Empty,
        plugrank.surface = Empty,
        plugrank.experiments = Empty,
    );
    if route != UNMATCHED {
        span.record("http.route", route);
    }
    span
}

/// Tells a recorded request's span how it ended.
pub(crate) fn record_end(span: &Span, status: u16, outcome: Option<&RankOutcome>) {
    span.record("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.record("error.type", status.to_string());
        span.record("otel.status_code", "ERROR");
    }
    if let Some(outcome) = outcome {
        span.record(TOTAL_MS, millis(outcome.total));
        span.record(SPENT_MS, millis(outcome.spent));
        span.record(DEGRADED, outcome.degraded);
        if !outcome.surface.is_empty() {
            span.record(SURFACE, &*outcome.surface);
        }
        if !outcome.arms.is_empty() {
            span.record(EXPERIMENTS, outcome.arms.as_str());
        }
    }
}

/// The span of a stage; none where the request is not recorded, since its record will do.
pub(crate) struct StageSpan(Span);

impl StageSpan {
    /// Of the stage that calls `C`, from now on.
    pub(crate) fn begin<C: Call>(info: &RequestFacts, stage: Stage, rung: Rung) -> Self {
        if !info.is_recorded() {
            return Self(Span::none());
        }
        Self(tracing::info_span!(
            "stage",
            otel.name = name(stage),
            otel.kind = "internal",
            otel.status_code = Empty,
            otel.status_description = Empty,
            rpc.system = "plugrank",
            rpc.method = C::PATH,
            plugrank.rung = rung.as_str(),
            plugrank.budget.allotted_ms = Empty,
            plugrank.budget.spent_ms = Empty,
            plugrank.budget.outcome = Empty,
        ))
    }

    /// To run the stage in.
    pub(crate) fn span(&self) -> &Span {
        &self.0
    }

    /// Names it, or the request's span, to the service that is called.
    pub(crate) fn traceparent(&self, info: &RequestFacts) -> Option<Traceparent> {
        trace_context::traceparent(&self.0).or_else(|| info.traceparent())
    }

    /// The stage has ended.
    pub(crate) fn end(self, record: &StageRecord) {
        let Self(span) = self;
        span.record(ALLOTTED_MS, millis(record.allotted));
        span.record(SPENT_MS, millis(record.spent));
        span.record(OUTCOME, record.outcome.as_str());
        if let Some(error) = &record.error {
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", error.message.as_str());
        }
    }
}

/// Attribute with the surface that the request names.
const SURFACE: &str = "plugrank.surface";

/// Attribute with the arms of experiments, as `layer=arm`.
const EXPERIMENTS: &str = "plugrank.experiments";

const fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Retrieval => "rank.retrieval",
        Stage::Scoring => "rank.scoring",
        Stage::Reranking => "rank.reranking",
    }
}

/// What is known about a request that was not recorded.
pub(crate) struct UnrecordedRequest<'a> {
    pub(crate) method: &'static str,
    pub(crate) route: &'a str,
    pub(crate) id: Uuid,
    /// Gone where it panicked.
    pub(crate) request: Option<&'a HttpRequest>,
    pub(crate) status: u16,
}

/// The same spans, from what was measured.
pub(crate) fn afterwards(
    server: &UnrecordedRequest<'_>,
    began: Instant,
    spent: Duration,
    outcome: Option<&RankOutcome>,
) -> RequestRecord {
    let text = |text: &str| Attribute::Text(text.to_owned());
    let UnrecordedRequest { method, route, id, request, status } = *server;
    let mut attributes = vec![
        ("http.request.method", text(method)),
        ("http.response.status_code", Attribute::Int(status.into())),
        ("plugrank.request.id", Attribute::Text(id.to_string())),
    ];
    if route != UNMATCHED {
        attributes.push(("http.route", text(route)));
    }
    if let Some(request) = request {
        let connection = request.connection_info();
        attributes.push(("url.path", text(request.path())));
        attributes.push(("url.scheme", text(connection.scheme())));
        attributes.extend(connection.peer_addr().map(|peer| ("client.address", text(peer))));
        attributes.extend(user_agent(request).map(|agent| ("user_agent.original", text(agent))));
    }
    let failed = status >= 500;
    if failed {
        attributes.push(("error.type", Attribute::Text(status.to_string())));
    }
    if let Some(outcome) = outcome {
        attributes.push((TOTAL_MS, Attribute::Float(millis(outcome.total))));
        attributes.push((SPENT_MS, Attribute::Float(millis(outcome.spent))));
        attributes.push((DEGRADED, Attribute::Flag(outcome.degraded)));
        if !outcome.surface.is_empty() {
            attributes.push((SURFACE, text(&outcome.surface)));
        }
        if !outcome.arms.is_empty() {
            attributes.push((EXPERIMENTS, text(&outcome.arms)));
        }
    }
    let request = SpanRecord {
        name: format!("{method} {route}").into(),
        began,
        spent,
        attributes,
        error: failed.then(String::new),
    };
    let stages = outcome.into_iter().flat_map(|outcome| outcome.stages.iter().map(stage));
    RequestRecord { request, stages: stages.collect() }
}

fn stage(record: &StageRecord) -> SpanRecord {
    SpanRecord {
        name: name(record.stage).into(),
        began: record.began.into_std(),
        spent: record.spent,
        attributes: vec![
            (ALLOTTED_MS, Attribute::Float(millis(record.allotted))),
            (SPENT_MS, Attribute::Float(millis(record.spent))),
            (OUTCOME, Attribute::Text(record.outcome.as_str().to_owned())),
            (RUNG, Attribute::Text(record.rung.as_str().to_owned())),
        ],
        error: record.error.as_ref().map(|error| error.message.clone()),
    }
}

fn user_agent(request: &HttpRequest) -> Option<&str> {
    request.headers().get(USER_AGENT)?.to_str().ok()
}

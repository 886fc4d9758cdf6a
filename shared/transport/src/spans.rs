//! Spans of calls: where a call is made, where it arrives, and where it is worked on.
//!
//! They go by OpenTelemetry's semantic conventions for HTTP and RPC, and are made only of traces that
//! are recorded: what a caller does not sample costs nothing here.

use plugrank_contract::{
    Call, CallError, Context, ErrorCode, context::TRACE_ROOT_TARGET, inner_span,
};
use plugrank_runtime::trace_context::{self, millis};
use tokio::time::Instant;
use tracing::{Span, field::Empty};

/// `rpc.system` of calls between roles: HTTP with postcard bodies, or a message to an actor.
const SYSTEM: &str = "plugrank";

/// A call's span. Dropped before its end, it says that the call was cut.
#[derive(Debug)]
pub(crate) struct CallSpan {
    span: Span,
    begun: Instant,
    ended: bool,
}

impl CallSpan {
    /// Of a call to an actor of this process, from when it is sent. What the service calls in turn
    /// is part of it.
    pub(crate) fn local<C: Call>(service: &'static str, context: &mut Context) -> Self {
        // A task of its own knows its caller by the context alone.
        let root = Span::current().is_none();
        if root && !is_recorded(context) {
            return Self::none();
        }
        // Part of the current span, if there is one.
        let span = tracing::info_span!(
            target: TRACE_ROOT_TARGET,
            "actor",
            otel.name = name::<C>(),
            otel.kind = "internal",
            otel.status_code = Empty,
            otel.status_description = Empty,
            rpc.system = SYSTEM,
            rpc.method = C::PATH,
            plugrank.service = service,
            plugrank.queued_ms = Empty,
            plugrank.budget.allotted_ms = Empty,
            plugrank.budget.spent_ms = Empty,
            plugrank.budget.outcome = Empty,
            error.type = Empty,
        );
        if root && let Some(caller) = &context.traceparent {
            trace_context::adopt_parent(&span, caller.as_str(), context.tracestate.as_deref());
        }
        Self::begin(span, context)
    }

    /// Of a call to another process, from when it is sent.
    pub(crate) fn client<C: Call>(host: &str, port: Option<u16>, context: &mut Context) -> Self {
        let span = inner_span!(
            "client",
            otel.name = name::<C>(),
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            rpc.system = SYSTEM,
            rpc.method = C::PATH,
            http.request.method = "POST",
            http.response.status_code = Empty,
            server.address = host,
            server.port = port.map(i64::from),
            url.path = C::PATH,
            plugrank.budget.allotted_ms = Empty,
            plugrank.budget.spent_ms = Empty,
            plugrank.budget.outcome = Empty,
            error.type = Empty,
        );
        Self::begin(span, context)
    }

    /// Of a request to a server that is none of ours, from when it is sent.
    pub(crate) fn external(
        (name, method, path): (&'static str, &str, &str),
        host: &str,
        port: u16,
        context: &mut Context,
    ) -> Self {
        let span = inner_span!(
            "client",
            otel.name = name,
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            http.request.method = method,
            http.response.status_code = Empty,
            server.address = host,
            server.port = i64::from(port),
            url.path = path,
            plugrank.budget.allotted_ms = Empty,
            plugrank.budget.spent_ms = Empty,
            plugrank.budget.outcome = Empty,
            error.type = Empty,
        );
        Self::begin(span, context)
    }

    /// Of a call from another process, whose span is the parent.
    pub(crate) fn server<C: Call>(context: &mut Context) -> Self {
        if !is_recorded(context) {
            return Self::none();
        }
        let span = tracing::info_span!(
            target: TRACE_ROOT_TARGET,
            parent: None,
            "server",
            otel.name = name::<C>(),
            otel.kind = "server",
            otel.status_code = Empty,
            otel.status_description = Empty,
            rpc.system = SYSTEM,
            rpc.method = C::PATH,
            http.request.method = "POST",
            http.response.status_code = Empty,
            http.route = C::PATH,
            url.path = C::PATH,
            url.scheme = "http",
            plugrank.request.id = %context.request_id,
            plugrank.budget.allotted_ms = Empty,
            plugrank.budget.spent_ms = Empty,
            plugrank.budget.outcome = Empty,
            error.type = Empty,
        );
        if let Some(caller) = &context.traceparent {
            trace_context::adopt_parent(&span, caller.as_str(), context.tracestate.as_deref());
        }
        Self::begin(span, context)
    }

    /// None: the trace is not recorded, and the context goes on as it is.
    fn none() -> Self {
        Self { span: Span::none(), begun: Instant::now(), ended: false }
    }

    fn begin(span: Span, context: &mut Context) -> Self {
        let begun = Instant::now();
        if !span.is_disabled() {
            if let Some(left) = context.remaining() {
                span.record("plugrank.budget.allotted_ms", millis(left));
            }
            // What is called from here on is part of this span.
            if let Some(ours) = trace_context::traceparent(&span) {
                context.traceparent = Some(ours);
            }
        }
        Self { span, begun, ended: false }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// It waited until now to be begun.
    pub(crate) fn started(&self) {
        self.span.record("plugrank.queued_ms", millis(self.begun.elapsed()));
    }

    /// The other process answered with this status.
    pub(crate) fn status(&self, status: u16) {
        self.span.record("http.response.status_code", i64::from(status));
    }

    /// It ended, with an error or without.
    pub(crate) fn ended(mut self, error: Option<&CallError>) {
        self.ended = true;
        let outcome = match error {
            None => "completed",
            Some(error) if error.code == ErrorCode::DeadlineExceeded => "cut",
            Some(_) => "failed",
        };
        self.outcome(outcome);
        let Some(error) = error else { return };
        self.span.record("error.type", code_name(error.code));
        // What the caller did wrong is no error of this process.
        if !matches!(error.code, ErrorCode::InvalidArgument | ErrorCode::NotFound) {
            self.span.record("otel.status_code", "ERROR");
            self.span.record("otel.status_description", error.message.as_str());
        }
    }

    fn outcome(&self, outcome: &str) {
        if self.span.is_disabled() {
            return;
        }
        self.span.record("plugrank.budget.spent_ms", millis(self.begun.elapsed()));
        self.span.record("plugrank.budget.outcome", outcome);
        // A span ends when it was last left, so that it takes as long as it says.
        self.span.in_scope(|| {});
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        if !self.ended {
            self.outcome("cut");
        }
    }
}

/// Whether a call without a span around it may be recorded: its caller samples the trace, or there
/// is none and the sampler decides.
fn is_recorded(context: &Context) -> bool {
    context.traceparent.is_none_or(|caller| trace_context::is_sampled(caller.as_str()))
}

/// `scoring/score` of `/rpc/v1/scoring/score`.
fn name<C: Call>() -> &'static str {
    C::PATH.strip_prefix("/rpc/v1/").unwrap_or(C::PATH)
}

const fn code_name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidArgument => "invalid_argument",
        ErrorCode::NotFound => "not_found",
        ErrorCode::Overloaded => "overloaded",
        ErrorCode::DeadlineExceeded => "deadline_exceeded",
        ErrorCode::Unavailable => "unavailable",
        ErrorCode::Internal => "internal",
        ErrorCode::NotFinite => "not_finite",
        ErrorCode::NoModel => "no_model",
    }
}

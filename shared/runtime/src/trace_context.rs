//! W3C trace context: a caller's `traceparent` and `tracestate` in, ours out; and the trace that a
//! request belongs to, decided on where it comes in.

use std::{fmt, str::FromStr, time::Duration};

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SamplingDecision};
use plugrank_contract::Traceparent;
use tracing::{Span, dispatcher};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::telemetry::{Cause, Ids, Recorder, RequestRecord, TraceIds};

/// The trace a request belongs to. Whether it is recorded is decided when it begins; the ids are
/// there in any case, for the reply and for those who are called.
#[derive(Clone, Debug)]
pub struct TraceHead {
    ids: TraceIds,
    sampled: bool,
    recorded: bool,
}

impl TraceHead {
    /// Takes the caller's trace, or starts one when `traceparent` is absent or malformed.
    /// A malformed `tracestate` alone is left out, as the recommendation has it.
    #[must_use]
    pub fn begin(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
        let caller = traceparent.and_then(|caller| remote(caller, tracestate));
        let ids = RandomIdGenerator::default();
        let span = ids.new_span_id();
        dispatcher::get_default(|dispatch| {
            let sampler = dispatch.downcast_ref::<Recorder>().map(Recorder::sampler);
            if let Some(caller) = &caller {
                let sampled = caller.is_sampled();
                let ids = TraceIds {
                    trace: caller.trace_id(),
                    span,
                    caller: Some(caller.span_id()),
                    state: caller.trace_state().clone(),
                };
                return Self {
                    ids,
                    sampled,
                    recorded: sampled && sampler.is_some_and(|sampler| sampler.records()),
                };
            }
            let trace = ids.new_trace_id();
            let decision = sampler.map_or(SamplingDecision::Drop, |sampler| sampler.decide(trace));
            Self {
                ids: TraceIds { trace, span, caller: None, state: TraceState::default() },
                sampled: decision == SamplingDecision::RecordAndSample,
                recorded: decision != SamplingDecision::Drop,
            }
        })
    }

    /// Whether the request is to have a span, and its parts theirs. Spans of another request are
    /// made when it has ended, if at all: see [`TraceHead::ended`].
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// Whether all spans of the trace are exported, here and by those who are called.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Makes `span`, which has not been entered yet, the request's span in this trace. Where it is
    /// not recorded after all, the request counts as one that is not.
    pub fn attach(&mut self, span: &Span) {
        if let Some(caller) = self.ids.caller.filter(|_| !span.is_disabled()) {
            let flags = TraceFlags::default().with_sampled(self.sampled);
            let caller =
                SpanContext::new(self.ids.trace, caller, flags, true, self.ids.state.clone());
            self.recorded =
                span.set_parent(Context::new().with_remote_span_context(caller)).is_ok();
        }
        match Ids::with_trace(self.ids.trace, || span_context(span)) {
            Some(context) if context.trace_id() == self.ids.trace => {
                self.ids.span = context.span_id()
            }
            _ => self.recorded = false,
        }
    }

    /// Notes the end of a request that was not recorded. `record` is asked for only where its
    /// spans are wanted after all: because of `cause`, or because it is among the slowest of those
    /// that have a budget.
    pub fn ended(
        &self,
        cause: Option<Cause>,
        spent: Duration,
        budgeted: bool,
        record: impl FnOnce() -> RequestRecord,
    ) {
        // A closure that `get_default` calls once, though its type allows for more.
        let mut record = Some(record);
        dispatcher::get_default(|dispatch| {
            let recorder = dispatch.downcast_ref::<Recorder>();
            if let Some(recorder) = recorder {
                let mut once = || record.take().map(|record| record());
                recorder.ended(&self.ids, cause, spent, budgeted, &mut once);
            }
        });
    }

    /// The id of the trace, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> HexText<32> {
        let mut text = HexText([b'0'; 32]);
        text.write(0, &self.ids.trace.to_bytes());
        text
    }

    /// Names the request's span to those it calls.
    #[must_use]
    pub fn traceparent(&self) -> Traceparent {
        let TraceIds { trace, span, .. } = &self.ids;
        Traceparent::new(trace.to_bytes(), span.to_bytes(), u8::from(self.sampled))
    }

    /// What other tracing systems noted in it, for those it calls.
    #[must_use]
    pub fn tracestate(&self) -> Option<String> {
        header(&self.ids.state)
    }
}

/// Text of `N` ASCII characters that needs no memory of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HexText<const N: usize>([u8; N]);

impl<const N: usize> HexText<N> {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for (pair, byte) in self.0[at..].chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for HexText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for HexText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The span a `traceparent` header names; `None` when it is malformed.
fn remote(traceparent: &str, tracestate: Option<&str>) -> Option<SpanContext> {
    let mut parts = traceparent.trim().split('-');
    let mut part = |digits: usize| {
        let is_lower_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        parts.next().filter(|part| part.len() == digits && part.as_bytes().iter().all(is_lower_hex))
    };
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    // A later version may have more to say; 255 is none.
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    let state = tracestate.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::default().with_sampled(sampled),
        true,
        state,
    );
    context.is_valid().then_some(context)
}

/// Whether a `traceparent` header says that its trace is sampled.
#[must_use]
pub fn is_sampled(traceparent: &str) -> bool {
    remote(traceparent, None).is_some_and(|context| context.is_sampled())
}

/// Makes `span`, which has not been entered yet, a child of the span a `traceparent` header names;
/// `tracestate` is what tracing systems on the way have noted, and goes on to whom we call.
/// Returns false, and changes nothing, when `traceparent` is malformed or spans are not recorded.
pub fn adopt_parent(span: &Span, traceparent: &str, tracestate: Option<&str>) -> bool {
    if span.is_disabled() {
        return false;
    }
    remote(traceparent, tracestate).is_some_and(|caller| {
        span.set_parent(Context::new().with_remote_span_context(caller)).is_ok()
    })
}

/// The `traceparent` that names `span` to those it calls; `None` when spans are not recorded.
#[must_use]
pub fn traceparent(span: &Span) -> Option<Traceparent> {
    span_context(span).map(|context| {
        let (trace, span) = (context.trace_id().to_bytes(), context.span_id().to_bytes());
        Traceparent::new(trace, span, context.trace_flags().to_u8())
    })
}

/// The `tracestate` that `span` was given by its caller; `None` where there is none.
#[must_use]
pub fn tracestate(span: &Span) -> Option<String> {
    header(span_context(span)?.trace_state())
}

fn header(state: &TraceState) -> Option<String> {
    let header = state.header();
    (!header.is_empty()).then_some(header)
}

/// The id of the trace `span` belongs to, 32 hexadecimal digits.
#[must_use]
pub fn trace_id(span: &Span) -> Option<String> {
    span_context(span).map(|context| context.trace_id().to_string())
}

/// Random bytes of the generator of ids, which asks the system for its seed alone. Not for secrets.
#[must_use]
pub fn random_bytes() -> [u8; 10] {
    let mut bytes = [0; 10];
    let id = RandomIdGenerator::default().new_trace_id().to_bytes();
    bytes.copy_from_slice(&id[..10]);
    bytes
}

/// Milliseconds as spans have them, to the microsecond.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

fn span_context(span: &Span) -> Option<SpanContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context().span().span_context().clone();
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn a_callers_header_is_read() {
        let caller = |version: &str, more: &str| {
            TraceHead::begin(Some(&format!("{version}-{TRACE}-b7ad6b7169203331-01{more}")), None)
        };
        for (version, more) in [("00", ""), ("01", ""), ("cc", "-what-comes")] {
            let head = caller(version, more);
            assert_eq!(head.trace_id().as_str(), TRACE, "{version}{more}");
            assert!(head.is_sampled() && !head.is_recorded());
        }
        for (version, more) in [("00", "-x"), ("ff", ""), ("0", ""), ("00", "0")] {
            assert_ne!(caller(version, more).trace_id().as_str(), TRACE, "{version}{more}");
        }
        for header in [
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c",
            "",
        ] {
            assert!(TraceHead::begin(Some(header), None).ids.caller.is_none(), "{header}");
        }
    }

    #[test]
    fn trace_ids_exist_without_telemetry() {
        let head = TraceHead::begin(None, None);
        let ours = head.traceparent();
        assert_eq!(ours.as_str(), format!("00-{}-{}-00", head.ids.trace, head.ids.span));
        assert_eq!(head.trace_id().to_string(), head.ids.trace.to_string());
        assert!(remote(ours.as_str(), None).is_some() && !is_sampled(ours.as_str()));
        assert!(is_sampled(&ours.as_str().replace("-00", "-01")));
    }
}

//! The head decision: whether a trace is recorded is known when it begins.
//!
//! A trace is sampled when its caller says so, or, without a caller, when its id falls into the
//! share of traces that are. Spans are made only where their trace is recorded, so the rest cost
//! nothing. Where spans go to the operator's pages alone, the share is recorded and not sampled:
//! what is not exported from here is not announced as sampled to those who are called.

use std::cell::Cell;

use opentelemetry::{
    Context, KeyValue, SpanId, TraceId,
    trace::{Link, SpanKind, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, SamplingResult, ShouldSample,
};

/// Decides on spans as the SDK starts them.
#[derive(Clone, Debug)]
pub(crate) struct HeadSampler {
    share: f64,
    /// What happens to a trace that is in the share.
    in_share: SamplingDecision,
}

impl HeadSampler {
    /// Nothing is recorded.
    pub(crate) const OFF: Self = Self { share: 0.0, in_share: SamplingDecision::Drop };

    /// A share of the traces is recorded, and sampled if it is `exported`.
    pub(crate) fn new(share: f64, exported: bool) -> Self {
        let in_share = match exported {
            true => SamplingDecision::RecordAndSample,
            false => SamplingDecision::RecordOnly,
        };
        Self { share, in_share }
    }

    /// Whether anything is recorded.
    pub(crate) fn records(&self) -> bool {
        self.in_share != SamplingDecision::Drop
    }

    /// What happens to a trace without a caller. It goes by the id, so that the entry and the SDK
    /// decide alike.
    pub(crate) fn decide(&self, trace: TraceId) -> SamplingDecision {
        let ratio = Sampler::TraceIdRatioBased(self.share);
        let result = ratio.should_sample(None, trace, "", &SpanKind::Server, &[], &[]);
        match result.decision {
            SamplingDecision::RecordAndSample => self.in_share.clone(),
            _ => SamplingDecision::Drop,
        }
    }
}

impl ShouldSample for HeadSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        _name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(TraceContextExt::span);
        let parent = parent.as_ref().filter(|span| span.span_context().is_valid());
        let decision = match parent {
            Some(_) if !self.records() => SamplingDecision::Drop,
            Some(span) if span.span_context().is_sampled() => SamplingDecision::RecordAndSample,
            Some(span) if span.is_recording() => SamplingDecision::RecordOnly,
            Some(_) => SamplingDecision::Drop,
            // A batch is made where one of the traces it links to is recorded.
            None if links.iter().any(|link| link.span_context.is_sampled()) => {
                SamplingDecision::RecordAndSample
            }
            None if !links.is_empty() => SamplingDecision::RecordOnly,
            None => self.decide(trace),
        };
        let trace_state = parent
            .map_or_else(TraceState::default, |span| span.span_context().trace_state().clone());
        SamplingResult { decision, attributes: Vec::new(), trace_state }
    }
}

thread_local! {
    static NEXT_TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Random ids, but that of a trace whose id was drawn when it was decided on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids(RandomIdGenerator);

impl Ids {
    /// Runs `start`, in which the next trace to be started on this thread has the id `trace`.
    pub(crate) fn with_trace<T>(trace: TraceId, start: impl FnOnce() -> T) -> T {
        NEXT_TRACE.set(Some(trace));
        let started = start();
        NEXT_TRACE.set(None);
        started
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEXT_TRACE.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::SpanContext;

    use super::*;
    use crate::telemetry::testing::context;

    fn decision(
        sampler: &HeadSampler,
        parent: Option<SpanContext>,
        links: &[Link],
    ) -> SamplingDecision {
        let parent = parent.map(|parent| Context::new().with_remote_span_context(parent));
        let trace = TraceId::from(u128::MAX);
        sampler.should_sample(parent.as_ref(), trace, "x", &SpanKind::Server, &[], links).decision
    }

    #[test]
    fn the_callers_flag_overrides_the_share() {
        let (all, none) = (HeadSampler::new(1.0, true), HeadSampler::new(0.0, true));
        let caller = |sampled| Some(context(1, 9, sampled));
        assert_eq!(decision(&none, caller(true), &[]), SamplingDecision::RecordAndSample);
        assert_eq!(decision(&all, caller(false), &[]), SamplingDecision::Drop);
        assert_eq!(decision(&all, None, &[]), SamplingDecision::RecordAndSample);
        assert_eq!(decision(&none, None, &[]), SamplingDecision::Drop);
        assert_eq!(decision(&HeadSampler::OFF, caller(true), &[]), SamplingDecision::Drop);
    }

    #[test]
    fn a_share_of_the_traces_is_sampled_by_their_ids() {
        let sampler = HeadSampler::new(0.25, true);
        let ids = Ids::default();
        let sampled = (0..2000)
            .filter(|_| sampler.decide(ids.new_trace_id()) == SamplingDecision::RecordAndSample)
            .count();
        // 500 expected, deviation 19.
        assert!((400..600).contains(&sampled), "{sampled} of 2000");
    }

    #[test]
    fn spans_that_are_not_exported_are_not_flagged_as_sampled() {
        let pages = HeadSampler::new(1.0, false);
        assert_eq!(decision(&pages, None, &[]), SamplingDecision::RecordOnly);
        let caller = Some(context(1, 9, true));
        assert_eq!(decision(&pages, caller, &[]), SamplingDecision::RecordAndSample);
    }

    #[test]
    fn a_batch_is_sampled_with_the_traces_it_links_to() {
        let sampler = HeadSampler::new(0.0, true);
        let link = |sampled| Link::with_context(context(1, 9, sampled));
        let sampled = [link(false), link(true)];
        assert_eq!(decision(&sampler, None, &sampled), SamplingDecision::RecordAndSample);
        assert_eq!(decision(&sampler, None, &[link(false)]), SamplingDecision::RecordOnly);
    }

    #[test]
    fn a_given_trace_id_is_used_once() {
        let (ids, given) = (Ids::default(), TraceId::from(7_u128));
        assert_eq!(Ids::with_trace(given, || ids.new_trace_id()), given);
        Ids::with_trace(given, || ());
        assert_ne!(ids.new_trace_id(), given);
    }
}

//! Ended spans of recorded traces that still run, for the operator's pages. Plain data: no clock,
//! no lock.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;

use plugrank_runtime::telemetry::{Cause, span_data::is_root};

/// Maximum time a trace is kept; the longest budget a caller can be given fits in.
const TIME_LIMIT: Duration = Duration::from_secs(660);
/// How often traces that ran for too long are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// A trace whose last root in this process has ended.
#[derive(Debug)]
pub(crate) struct EndedTrace {
    /// Why an operator would look at it.
    pub(crate) cause: Option<Cause>,
    /// Whether its spans go to the collector.
    pub(crate) exported: bool,
    /// All its spans, in the order they ended. A batch is in several traces.
    pub(crate) spans: Vec<Arc<SpanData>>,
    /// The root that ended first.
    pub(crate) root: SpanId,
}

#[derive(Debug)]
struct Open {
    since: Instant,
    roots: usize,
    cause: Option<Cause>,
    sampled: bool,
    spans: Vec<Arc<SpanData>>,
    root: Option<SpanId>,
}

/// Recorded traces that still run.
#[derive(Debug)]
pub(crate) struct PendingTraces {
    limit: usize,
    spans: usize,
    open: HashMap<TraceId, Open>,
    swept: Option<Instant>,
}

/// What to do about a span that has ended.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing: its trace still runs, or there is no room for the span.
    Nothing,
    /// Its request has ended, or that of one of the traces it links to.
    Late(Arc<SpanData>),
    /// It ends its trace.
    Ended(EndedTrace),
}

impl PendingTraces {
    /// Keeps at most `limit` spans, and as many traces.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, spans: 0, open: HashMap::new(), swept: None }
    }

    /// A root began.
    pub(crate) fn begin(&mut self, trace: TraceId, now: Instant) {
        self.sweep(now);
        if self.open.len() >= self.limit && !self.open.contains_key(&trace) {
            return;
        }
        self.open.entry(trace).or_insert_with(|| Open::new(now)).roots += 1;
    }

    /// A span ended.
    pub(crate) fn end(&mut self, span: SpanData) -> Next {
        match (is_root(&span), span.links.is_empty()) {
            (true, false) => self.end_batch(Arc::new(span)),
            (true, true) => self.end_root(Arc::new(span)),
            (false, _) => self.end_child(Arc::new(span)),
        }
    }

    fn end_child(&mut self, span: Arc<SpanData>) -> Next {
        let Some(open) = self.open.get_mut(&span.span_context.trace_id()) else {
            return Next::Late(span);
        };
        if self.spans < self.limit {
            open.spans.push(span);
            self.spans += 1;
        }
        Next::Nothing
    }

    fn end_root(&mut self, span: Arc<SpanData>) -> Next {
        let (trace, id) = (span.span_context.trace_id(), span.span_context.span_id());
        // Without an entry there was no room for one, or it ran for too long: the root is alone.
        let mut open = self.open.remove(&trace).unwrap_or_else(|| Open::new(Instant::now()));
        self.spans -= open.spans.len();
        open.roots = open.roots.saturating_sub(1);
        open.cause = open.cause.max(Cause::of_root(&span));
        open.sampled |= span.span_context.is_sampled();
        open.root.get_or_insert(id);
        open.spans.push(span);
        if open.roots > 0 {
            self.spans += open.spans.len();
            self.open.insert(trace, open);
            return Next::Nothing;
        }
        let Open { cause, sampled, spans, root, .. } = open;
        Next::Ended(EndedTrace { cause, exported: sampled, spans, root: root.unwrap_or(id) })
    }

    /// A batch, a trace of its own, is also a part of the traces it links to.
    fn end_batch(&mut self, span: Arc<SpanData>) -> Next {
        if let Some(open) = self.open.remove(&span.span_context.trace_id()) {
            self.spans -= open.spans.len();
        }
        let mut late = false;
        for link in span.links.iter() {
            let Some(open) = self.open.get_mut(&link.span_context.trace_id()) else {
                late = true;
                continue;
            };
            if self.spans < self.limit {
                open.spans.push(Arc::clone(&span));
                self.spans += 1;
            }
        }
        if late { Next::Late(span) } else { Next::Nothing }
    }

    fn sweep(&mut self, now: Instant) {
        let last = *self.swept.get_or_insert(now);
        if now.saturating_duration_since(last) < SWEEP_EVERY {
            return;
        }
        self.swept = Some(now);
        self.open.retain(|_, open| now.saturating_duration_since(open.since) < TIME_LIMIT);
        self.spans = self.open.values().map(|open| open.spans.len()).sum();
    }
}

impl Open {
    fn new(since: Instant) -> Self {
        Self { since, roots: 0, cause: None, sampled: false, spans: Vec::new(), root: None }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::*;
    use plugrank_runtime::telemetry::{
        DEGRADED,
        testing::{context, linked, span},
    };

    fn trace(id: u128) -> TraceId {
        TraceId::from(id)
    }

    fn ended(next: Next) -> EndedTrace {
        match next {
            Next::Ended(ended) => ended,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_batch_is_part_of_every_trace_it_links_to() {
        let mut pending = PendingTraces::new(100);
        let now = Instant::now();
        for id in [1, 2, 7] {
            pending.begin(trace(id), now);
        }
        assert!(matches!(pending.end(span(1, 2, Some(1), vec![])), Next::Nothing));
        let batch = linked(span(7, 1, None, vec![]), &[(1, 2), (2, 2)]);
        assert!(matches!(pending.end(batch), Next::Nothing));
        assert_eq!(ended(pending.end(span(1, 1, None, vec![]))).spans.len(), 3);
        assert_eq!(ended(pending.end(span(2, 1, None, vec![]))).spans.len(), 2);
        assert_eq!((pending.open.len(), pending.spans), (0, 0));
        let batch = linked(span(8, 1, None, vec![]), &[(1, 2)]);
        assert!(matches!(pending.end(batch), Next::Late(_)), "its requests are answered");
    }

    #[test]
    fn concurrent_calls_of_one_trace_end_together() {
        let mut pending = PendingTraces::new(100);
        let now = Instant::now();
        pending.begin(trace(1), now);
        pending.begin(trace(1), now);
        let degraded = span(1, 1, None, vec![KeyValue::new(DEGRADED, true)]);
        assert!(matches!(pending.end(degraded), Next::Nothing), "the other still runs");
        let both = ended(pending.end(span(1, 2, None, vec![])));
        assert_eq!((both.cause, both.spans.len()), (Some(Cause::Degraded), 2));
        assert!(matches!(pending.end(span(1, 3, Some(1), vec![])), Next::Late(_)));
    }

    #[test]
    fn memory_and_time_are_bounded() {
        let mut pending = PendingTraces::new(3);
        let now = Instant::now();
        pending.begin(trace(1), now);
        for id in 2..6 {
            assert!(matches!(pending.end(span(1, id, Some(1), vec![])), Next::Nothing));
        }
        assert_eq!((pending.open.len(), pending.spans), (1, 3));
        for other in 2..10 {
            pending.begin(context(other, 1, false).trace_id(), now);
        }
        assert_eq!(pending.open.len(), 3, "no more traces than spans");
        let later = now + Duration::from_secs(3600);
        pending.begin(trace(20), later);
        assert_eq!((pending.open.len(), pending.spans), (1, 0));
        // The request that was dropped as too long ends after all, and is kept without its spans.
        assert_eq!(ended(pending.end(span(1, 1, None, vec![]))).spans.len(), 1);
    }
}

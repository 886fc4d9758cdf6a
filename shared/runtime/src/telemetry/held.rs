//! Finished spans whose trace is not decided on yet. Plain data: no clock, no lock, no exporter.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;

use super::verdict::{Cause, failed};

/// How long a trace may be held at most; the longest budget a caller can be given fits in.
const HOLD_LIMIT: Duration = Duration::from_secs(660);
/// How often traces held too long are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Decisions remembered, for spans that end after their request.
const REMEMBERED: usize = 8192;

/// A finished span: of the request alone, or shared by those it links to (a batch).
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are of the large kind, and move once")]
pub(crate) enum Finished {
    Own(SpanData),
    Shared(Arc<Shared>),
}

/// A span in several traces at a time. It is exported with the first of them that is kept.
#[derive(Debug)]
pub(crate) struct Shared {
    span: SpanData,
    exported: AtomicBool,
}

impl Finished {
    pub(crate) fn data(&self) -> &SpanData {
        match self {
            Self::Own(span) => span,
            Self::Shared(shared) => &shared.span,
        }
    }

    /// The span, unless another trace has exported it.
    pub(crate) fn into_exported(self) -> Option<SpanData> {
        match self {
            Self::Own(span) => Some(span),
            Self::Shared(shared) => {
                let first = !shared.exported.swap(true, Ordering::Relaxed);
                first.then(|| shared.span.clone())
            }
        }
    }
}

/// What is to be done about a span that has ended.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are of the large kind, and move once")]
pub(crate) enum Next {
    /// Nothing: it is held, or of a trace that is not kept.
    Nothing,
    /// Nothing, and it is lost: too much is held.
    Lost,
    /// Its trace was kept before it ended.
    Late(Finished),
    /// It ends its trace.
    Ended(Ended),
}

/// A trace whose last root in this process has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What befell it.
    pub(crate) cause: Option<Cause>,
    /// Whether its spans are sampled whatever befell it.
    pub(crate) sampled: bool,
    /// All its spans, in the order they ended.
    pub(crate) spans: Vec<Finished>,
    /// The root that began first.
    pub(crate) root: SpanId,
}

impl Ended {
    pub(crate) fn kept(&self) -> bool {
        self.sampled || self.cause.is_some()
    }
}

#[derive(Debug)]
struct Open {
    since: Instant,
    roots: usize,
    cause: Option<Cause>,
    failed: bool,
    sampled: bool,
    spans: Vec<Finished>,
    root: Option<SpanId>,
}

/// Traces that are not decided on, and recent decisions.
#[derive(Debug)]
pub(crate) struct Held {
    limit: usize,
    spans: usize,
    open: HashMap<TraceId, Open>,
    decided: HashMap<TraceId, bool>,
    order: VecDeque<TraceId>,
    swept: Option<Instant>,
}

/// Whether a span is the first of its trace in this process.
pub(crate) fn is_root(span: &SpanData) -> bool {
    span.parent_span_id == SpanId::INVALID || span.parent_span_is_remote
}

impl Held {
    /// Holds at most `limit` spans, and as many traces.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            spans: 0,
            open: HashMap::new(),
            decided: HashMap::new(),
            order: VecDeque::new(),
            swept: None,
        }
    }

    /// A root began. Answers how many spans of traces held too long were let go.
    pub(crate) fn begin(&mut self, trace: TraceId, now: Instant) -> usize {
        let expired = self.sweep(now);
        if self.open.len() < self.limit || self.open.contains_key(&trace) {
            let open = self.open.entry(trace).or_insert_with(|| Open {
                since: now,
                roots: 0,
                cause: None,
                failed: false,
                sampled: false,
                spans: Vec::new(),
                root: None,
            });
            open.roots += 1;
        }
        expired
    }

    /// A span ended.
    pub(crate) fn end(&mut self, span: SpanData) -> Next {
        match (is_root(&span), span.links.is_empty()) {
            (true, false) => self.end_shared(span),
            (true, true) => self.end_root(span),
            (false, _) => self.end_child(span),
        }
    }

    fn end_child(&mut self, span: SpanData) -> Next {
        let trace = span.span_context.trace_id();
        let Some(open) = self.open.get_mut(&trace) else {
            let kept = self.decided.get(&trace).copied();
            return if kept.unwrap_or(span.span_context.is_sampled()) {
                Next::Late(Finished::Own(span))
            } else {
                Next::Nothing
            };
        };
        open.failed |= failed(&span);
        if self.spans >= self.limit {
            return Next::Lost;
        }
        open.spans.push(Finished::Own(span));
        self.spans += 1;
        Next::Nothing
    }

    fn end_root(&mut self, span: SpanData) -> Next {
        let trace = span.span_context.trace_id();
        let (id, cause) = (span.span_context.span_id(), Cause::of_root(&span));
        let sampled = span.span_context.is_sampled();
        // Without an entry there was no room for one, or it expired: the root stands alone.
        let mut open = self.open.remove(&trace).unwrap_or_else(|| Open {
            since: Instant::now(),
            roots: 1,
            cause: None,
            failed: false,
            sampled: false,
            spans: Vec::new(),
            root: None,
        });
        self.spans -= open.spans.len();
        open.roots -= 1;
        open.cause = open.cause.max(cause);
        open.sampled |= sampled;
        open.root.get_or_insert(id);
        open.spans.push(Finished::Own(span));
        if open.roots > 0 {
            self.spans += open.spans.len();
            self.open.insert(trace, open);
            return Next::Nothing;
        }
        // What this process kept of the trace before is not kept by halves.
        let sampled = open.sampled || self.decided.get(&trace).copied().unwrap_or(false);
        let cause = open.cause.or(open.failed.then_some(Cause::Error));
        let root = open.root.unwrap_or(id);
        let ended = Ended { cause, sampled, spans: open.spans, root };
        self.remember(trace, ended.kept());
        Next::Ended(ended)
    }

    /// A span that stands beside the traces it links to goes the way of the first that is kept.
    fn end_shared(&mut self, span: SpanData) -> Next {
        // Nothing is part of such a span, so nothing but its own beginning is noted of its trace.
        if let Some(open) = self.open.remove(&span.span_context.trace_id()) {
            self.spans -= open.spans.len();
        }
        let linked: Vec<TraceId> =
            span.links.iter().map(|link| link.span_context.trace_id()).collect();
        let failed = failed(&span);
        let shared = Arc::new(Shared { span, exported: AtomicBool::new(false) });
        let mut lost = false;
        for trace in &linked {
            let Some(open) = self.open.get_mut(trace) else { continue };
            open.failed |= failed;
            if self.spans >= self.limit {
                lost = true;
                continue;
            }
            open.spans.push(Finished::Shared(Arc::clone(&shared)));
            self.spans += 1;
        }
        if linked.iter().any(|trace| self.decided.get(trace).copied().unwrap_or(false)) {
            return Next::Late(Finished::Shared(shared));
        }
        if lost { Next::Lost } else { Next::Nothing }
    }

    fn remember(&mut self, trace: TraceId, kept: bool) {
        if self.decided.insert(trace, kept).is_none() {
            self.order.push_back(trace);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.decided.remove(&oldest);
        }
    }

    fn sweep(&mut self, now: Instant) -> usize {
        let last = *self.swept.get_or_insert(now);
        if now.saturating_duration_since(last) < SWEEP_EVERY {
            return 0;
        }
        self.swept = Some(now);
        let mut expired = 0;
        self.open.retain(|_, open| {
            let keep = now.saturating_duration_since(open.since) < HOLD_LIMIT;
            expired += if keep { 0 } else { open.spans.len() };
            keep
        });
        self.spans -= expired;
        expired
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.open.len(), self.spans)
    }
}

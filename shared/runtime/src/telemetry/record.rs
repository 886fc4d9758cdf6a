//! Spans made after their end, for requests that were not sampled and that an operator would look
//! at all the same.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, Value,
    trace::{SpanContext, SpanKind, Status, TraceFlags},
};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks, SpanProcessor,
};

use super::{
    counts::SpanCounts, export::ExportQueue, pending::EndedTrace, recent::RecentRequests,
    sampler::HeadSampler, verdict::Cause, waterfall::Attribute,
};
use crate::trace_context::TraceHead;

/// A span by what was measured.
#[derive(Clone, Debug)]
pub struct SpanRecord {
    /// What was done.
    pub name: Cow<'static, str>,
    /// When it began.
    pub began: Instant,
    /// Time it took.
    pub spent: Duration,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// A request that was not recorded while it ran.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// The request itself.
    pub request: SpanRecord,
    /// Its stages, in the order they ran.
    pub stages: Vec<SpanRecord>,
}

/// What the edge of a process decides and makes traces with. A part of the subscriber, so that a
/// request finds it where its spans go.
#[derive(Debug)]
pub(crate) struct Recorder {
    sampler: HeadSampler,
    exporter: Option<Arc<ExportQueue>>,
    recent: Option<RecentRequests>,
    counts: SpanCounts,
    scope: InstrumentationScope,
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Recorder {}

impl Recorder {
    pub(crate) fn new(
        sampler: HeadSampler,
        exporter: Option<Arc<ExportQueue>>,
        recent: Option<RecentRequests>,
        counts: SpanCounts,
    ) -> Self {
        let scope = InstrumentationScope::builder("plugrank").build();
        Self { sampler, exporter, recent, counts, scope }
    }

    pub(crate) fn sampler(&self) -> &HeadSampler {
        &self.sampler
    }

    /// A request that was not recorded has ended. `record` is asked for only where its spans are
    /// wanted: by the collector if there is a cause, by the operator's pages if it is slow as well.
    pub(crate) fn ended(
        &self,
        head: &TraceHead,
        cause: Option<Cause>,
        spent: Duration,
        budgeted: bool,
        record: impl FnOnce() -> RequestRecord,
    ) {
        self.counts.ended(cause, false);
        let exporter = self.exporter.as_ref().filter(|_| cause.is_some());
        let recent = self.recent.as_ref();
        let recent = recent.filter(|recent| recent.wants(cause, spent, budgeted));
        if exporter.is_none() && recent.is_none() {
            return;
        }
        let spans = self.spans(head, exporter.is_some(), record());
        if let Some(recent) = recent {
            let exported = exporter.is_some();
            let spans = spans.iter().cloned().map(Arc::new).collect();
            recent.ended(&EndedTrace { cause, exported, spans, root: head.span_id() });
        }
        if let Some(exporter) = exporter {
            spans.into_iter().for_each(|span| exporter.on_end(span));
        }
    }

    /// The stages, then the request.
    fn spans(&self, head: &TraceHead, sampled: bool, record: RequestRecord) -> Vec<SpanData> {
        let clock = Clock::now();
        let ids = RandomIdGenerator::default();
        let RequestRecord { request, stages } = record;
        let span = |record: SpanRecord, id: SpanId, parent: Option<(SpanId, bool)>| {
            let start_time = clock.at(record.began);
            let attribute = |(key, value)| KeyValue::new(key, Value::from(value));
            SpanData {
                span_context: SpanContext::new(
                    head.id(),
                    id,
                    TraceFlags::default().with_sampled(sampled),
                    false,
                    head.state().clone(),
                ),
                parent_span_id: parent.map_or(SpanId::INVALID, |(parent, _)| parent),
                parent_span_is_remote: parent.is_some_and(|(_, remote)| remote),
                span_kind: SpanKind::Internal,
                name: record.name,
                start_time,
                end_time: start_time + record.spent,
                attributes: record.attributes.into_iter().map(attribute).collect(),
                dropped_attributes_count: 0,
                events: SpanEvents::default(),
                links: SpanLinks::default(),
                status: record.error.map_or(Status::Unset, Status::error),
                instrumentation_scope: self.scope.clone(),
            }
        };
        let within = Some((head.span_id(), false));
        let mut spans: Vec<SpanData> =
            stages.into_iter().map(|stage| span(stage, ids.new_span_id(), within)).collect();
        let mut request = span(request, head.span_id(), head.caller().map(|caller| (caller, true)));
        request.span_kind = SpanKind::Server;
        spans.push(request);
        spans
    }
}

/// Moments of the monotonic clock as times of day.
struct Clock {
    time: SystemTime,
    moment: Instant,
}

impl Clock {
    fn now() -> Self {
        Self { time: SystemTime::now(), moment: Instant::now() }
    }

    fn at(&self, moment: Instant) -> SystemTime {
        self.time - self.moment.saturating_duration_since(moment)
    }
}

impl From<Attribute> for Value {
    fn from(attribute: Attribute) -> Self {
        match attribute {
            Attribute::Flag(flag) => Self::Bool(flag),
            Attribute::Int(number) => Self::I64(number),
            Attribute::Float(number) => Self::F64(number),
            Attribute::Text(text) => Self::String(text.into()),
        }
    }
}

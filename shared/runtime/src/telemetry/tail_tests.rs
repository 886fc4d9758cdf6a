use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use opentelemetry::{
    KeyValue,
    trace::{Span as _, SpanContext, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter, SpanProcessor},
};

use super::{
    counts::{Drop, SpanCounts},
    export::ExportQueue,
    held::{Ended, Held, Next},
    recent::RecentRequests,
    tail::{RecordAll, TailSampler},
    testing::{context, linked, span},
    verdict::{Cause, DEGRADED, TOTAL_MS},
};
use crate::settings::AdminSettings;

/// Remembers the names of the spans it gets.
#[derive(Clone, Debug, Default)]
struct Sink(Arc<Mutex<Vec<SpanData>>>);

impl Sink {
    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|span| span.name.to_string()).collect()
    }
}

impl SpanProcessor for Sink {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &opentelemetry::Context) {}
    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().push(span);
    }
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

struct Rig {
    sink: Sink,
    recent: RecentRequests,
    provider: SdkTracerProvider,
}

fn rig(share: f64) -> Rig {
    let sink = Sink::default();
    let settings = AdminSettings { bind: None, requests: 10, recent_ms: 60_000 };
    let recent = RecentRequests::new(&settings);
    let tail =
        TailSampler::new(1000, Some(sink.clone()), Some(recent.clone()), SpanCounts::default());
    let provider = SdkTracerProvider::builder()
        .with_sampler(RecordAll::sampling(share))
        .with_span_processor(tail)
        .build();
    Rig { sink, recent, provider }
}

/// A request with one stage; `befell` is recorded on the request.
fn request(rig: &Rig, caller: Option<SpanContext>, befell: &[KeyValue]) -> SpanContext {
    let tracer = rig.provider.tracer("test");
    let above = caller.map_or_else(opentelemetry::Context::new, |caller| {
        opentelemetry::Context::new().with_remote_span_context(caller)
    });
    let mut root = tracer.start_with_context("request", &above);
    root.set_attributes(befell.to_vec());
    let ours = root.span_context().clone();
    let within = opentelemetry::Context::new().with_span(root);
    drop(tracer.start_with_context("stage", &within));
    within.span().end();
    ours
}

#[test]
fn what_befell_a_request_keeps_its_whole_trace() {
    let rig = rig(0.0);
    let ours = request(&rig, None, &[]);
    assert!(!ours.is_sampled());
    assert!(rig.sink.names().is_empty());
    request(&rig, None, &[KeyValue::new(DEGRADED, true)]);
    assert_eq!(rig.sink.names(), ["stage", "request"]);
    let spans = rig.sink.0.lock().unwrap().clone();
    assert!(spans.iter().all(|span| span.span_context.is_sampled()), "exported ones are sampled");
    assert_eq!(rig.recent.noted().len(), 0, "not answered to anybody: no server span");
}

#[test]
fn the_callers_flag_and_the_share_keep_the_rest() {
    let rig = rig(0.0);
    let caller = |trace, sampled| {
        let ours = context(trace, 9, sampled);
        SpanContext::new(
            ours.trace_id(),
            ours.span_id(),
            ours.trace_flags(),
            true,
            ours.trace_state().clone(),
        )
    };
    assert!(!request(&rig, Some(caller(1, false)), &[]).is_sampled());
    assert!(rig.sink.names().is_empty());
    assert!(request(&rig, Some(caller(2, true)), &[]).is_sampled());
    assert_eq!(rig.sink.names().len(), 2);
    // A caller that samples nothing still does not hide what went wrong.
    request(&rig, Some(caller(3, false)), &[KeyValue::new("http.response.status_code", 500)]);
    assert_eq!(rig.sink.names().len(), 4);
}

#[test]
fn the_share_goes_by_the_trace_id_and_so_falls_alike_everywhere() {
    let here = rig(0.25);
    let mut kept = 0;
    for _ in 0..2000 {
        let ours = request(&here, None, &[]);
        kept += usize::from(ours.is_sampled());
        let decides = |share: f64, trace| {
            use opentelemetry_sdk::trace::ShouldSample;
            let kind = opentelemetry::trace::SpanKind::Internal;
            RecordAll::sampling(share).should_sample(None, trace, "x", &kind, &[], &[]).decision
        };
        let again = decides(0.25, ours.trace_id());
        let sampled = opentelemetry_sdk::trace::SamplingDecision::RecordAndSample;
        assert_eq!(again == sampled, ours.is_sampled());
    }
    assert_eq!(here.sink.names().len(), 2 * kept);
    // 500 expected, deviation 19.
    assert!((400..600).contains(&kept), "{kept} of 2000");
}

#[test]
fn a_failed_span_anywhere_keeps_the_trace() {
    let rig = rig(0.0);
    let tracer = rig.provider.tracer("test");
    let within = opentelemetry::Context::new().with_span(tracer.start("request"));
    let mut call = tracer.start_with_context("call", &within);
    call.set_status(Status::error("gone"));
    drop(call);
    within.span().end();
    assert_eq!(rig.sink.names(), ["call", "request"]);
}

#[test]
fn spans_that_end_after_their_request_go_its_way() {
    for (befell, kept) in [(vec![], 0), (vec![KeyValue::new(DEGRADED, true)], 3)] {
        let rig = rig(0.0);
        let tracer = rig.provider.tracer("test");
        let mut root = tracer.start("request");
        root.set_attributes(befell);
        let within = opentelemetry::Context::new().with_span(root);
        let late = tracer.start_with_context("late", &within);
        drop(tracer.start_with_context("stage", &within));
        within.span().end();
        drop(late);
        assert_eq!(rig.sink.names().len(), kept);
    }
}

fn ended(next: Next) -> Ended {
    match next {
        Next::Ended(ended) => ended,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_is_exported_once_with_the_first_trace_that_is_kept() {
    let mut held = Held::new(100);
    let now = Instant::now();
    for trace in [1, 2, 3, 7] {
        held.begin(context(trace, 1, false).trace_id(), now);
    }
    held.end(span(1, 2, Some(1), vec![]));
    let batch = linked(span(7, 1, None, vec![]), &[(1, 2), (2, 2), (3, 2)]);
    assert!(matches!(held.end(batch), Next::Nothing));
    let degraded = || vec![KeyValue::new(DEGRADED, true)];
    let quiet = ended(held.end(span(1, 1, None, vec![])));
    assert!(!quiet.kept());
    let exported = |ended: Ended| -> Vec<String> {
        let spans = ended.spans.into_iter().filter_map(super::held::Finished::into_exported);
        spans.map(|span| span.span_context.trace_id().to_string()[31..].to_owned()).collect()
    };
    let first = ended(held.end(span(2, 1, None, degraded())));
    assert_eq!(exported(first), ["7", "2"], "the batch and the request");
    let second = ended(held.end(span(3, 1, None, degraded())));
    assert_eq!(second.spans.len(), 2, "the batch is part of its waterfall too");
    assert_eq!(exported(second), ["3"]);
    assert_eq!(held.len(), (0, 0));
}

#[test]
fn a_batch_that_ends_after_its_request_goes_its_way() {
    let mut held = Held::new(100);
    let now = Instant::now();
    held.begin(context(1, 1, false).trace_id(), now);
    held.begin(context(7, 1, false).trace_id(), now);
    assert!(ended(held.end(span(1, 1, None, vec![KeyValue::new(DEGRADED, true)]))).kept());
    let batch = linked(span(7, 1, None, vec![]), &[(1, 2)]);
    assert!(matches!(held.end(batch), Next::Late(_)));
    assert_eq!(held.len(), (0, 0));
}

#[test]
fn calls_of_one_trace_at_a_time_are_decided_together() {
    let mut held = Held::new(100);
    let (now, trace) = (Instant::now(), context(1, 1, false).trace_id());
    held.begin(trace, now);
    held.begin(trace, now);
    let degraded = span(1, 1, None, vec![KeyValue::new(DEGRADED, true)]);
    assert!(matches!(held.end(degraded), Next::Nothing), "the other still runs");
    let both = ended(held.end(span(1, 2, None, vec![])));
    assert_eq!((both.cause, both.spans.len()), (Some(Cause::Degraded), 2));
    // A later call of the same trace is kept with the rest of it.
    held.begin(trace, now);
    assert!(ended(held.end(span(1, 3, None, vec![]))).kept());
}

#[test]
fn memory_and_time_are_bounded() {
    let mut held = Held::new(3);
    let (now, trace) = (Instant::now(), context(1, 1, false).trace_id());
    held.begin(trace, now);
    for id in 2..5 {
        assert!(matches!(held.end(span(1, id, Some(1), vec![])), Next::Nothing));
    }
    assert!(matches!(held.end(span(1, 5, Some(1), vec![])), Next::Lost));
    assert_eq!(held.len(), (1, 3));
    for other in 2..10 {
        held.begin(context(other, 1, false).trace_id(), now);
    }
    assert_eq!(held.len().0, 3, "no more traces than spans");
    let later = now + Duration::from_secs(3600);
    assert_eq!(held.begin(context(20, 1, false).trace_id(), later), 3, "let go, and said");
    assert_eq!(held.len(), (1, 0));
    // The request that ran on and on ends after all, and is judged by itself.
    let root = ended(held.end(span(1, 1, None, vec![KeyValue::new(DEGRADED, true)])));
    assert_eq!((root.kept(), root.spans.len()), (true, 1));
    for trace in 100..20_000_u128 {
        held.begin(context(trace, 1, false).trace_id(), later);
        ended(held.end(span(trace, 1, None, vec![])));
    }
    assert_eq!(held.len(), (1, 0), "decisions are forgotten as well");
}

/// A collector that takes a message and never answers.
#[derive(Clone, Debug, Default)]
struct Silent(Arc<Mutex<usize>>);

impl SpanExporter for Silent {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        *self.0.lock().unwrap() += batch.len();
        std::future::pending().await
    }
}

#[test]
fn a_collector_that_never_answers_holds_a_bounded_queue_and_nobody_up() {
    let (silent, counts) = (Silent::default(), SpanCounts::default());
    let queue = ExportQueue::new(silent, 100, counts.clone());
    let started = Instant::now();
    for id in 0..1000 {
        queue.on_end(span(1, id + 1, None, vec![KeyValue::new(TOTAL_MS, 1.0)]));
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(counts.lost(Drop::QueueFull), 900);
    let stopping = Instant::now();
    assert!(queue.shutdown_with_timeout(Duration::from_millis(50)).is_err());
    assert!(stopping.elapsed() < Duration::from_secs(5));
}

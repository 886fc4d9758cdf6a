//! What traces cost a request with one call to an actor: without telemetry, with a trace that is not
//! sampled (a share of 0), and with one that is and is exported to a collector that is not there, or
//! kept for the operator's pages.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by it")]

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use criterion::{Criterion, criterion_group, criterion_main};
use plugrank_contract::{Call, CallError, Context};
use plugrank_runtime::{
    Telemetry,
    options::{AdminOptions, TelemetryOptions},
    telemetry::TailSampler,
    trace_context::TraceHead,
};
use plugrank_tail_sampling::{RecentRequests, TailSampling};
use plugrank_transport::{Local, LocalOptions, Service};
use serde::{Deserialize, Serialize};
use tracing::{Instrument, Span, dispatcher};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ask;

impl Call for Ask {
    type Reply = ();
    const PATH: &'static str = "/rpc/v1/bench/ask";
    const IDEMPOTENT: bool = true;
}

struct Logic;

#[async_trait]
impl Service<Ask> for Logic {
    async fn call(&self, _: Context, _: Ask) -> Result<(), CallError> {
        Ok(())
    }
}

/// A request with one call, as the gateway makes it.
async fn request(local: &Local<Logic>) {
    let mut head = TraceHead::begin(None, None);
    let span = match head.is_recorded() {
        true => tracing::info_span!(target: "plugrank_gateway", "request", otel.kind = "server"),
        false => Span::none(),
    };
    head.attach(&span);
    let mut context = Context::background().within(Duration::from_secs(1));
    context.traceparent = Some(head.traceparent());
    local.call(context, Ask).instrument(span).await.unwrap();
    if !head.is_recorded() {
        head.ended(None, Duration::ZERO, false, || unreachable!());
    }
}

fn tail(recent: Option<RecentRequests>) -> Option<Arc<dyn TailSampler>> {
    Some(Arc::new(TailSampling::new(recent)))
}

fn spans(criterion: &mut Criterion) {
    let nowhere = TelemetryOptions { log_level: "off".to_owned(), ..TelemetryOptions::default() };
    let mut sampled = nowhere.clone();
    sampled.otlp_endpoint = Some("http://127.0.0.1:1".to_owned());
    let mut unsampled = sampled.clone();
    unsampled.sample_share = 0.0;
    let recent = RecentRequests::new(&AdminOptions::default());
    let cases = [
        ("no telemetry", None),
        ("nowhere to record to", Some((nowhere.clone(), None))),
        ("not sampled", Some((unsampled, None))),
        ("sampled and exported", Some((sampled, None))),
        ("on the operator's pages", Some((nowhere, Some(recent)))),
    ];
    let runner = actix::System::new();
    let options = LocalOptions { name: "bench", max_in_flight: NonZeroUsize::new(8).unwrap() };
    let local = runner.block_on(async { Local::start_here(Arc::new(Logic), &options) });
    let mut group = criterion.benchmark_group("a request with one call");
    for (name, telemetry) in cases {
        let built =
            telemetry.map(|(settings, recent)| Telemetry::build(&settings, tail(recent)).unwrap());
        let dispatch = built.as_ref().map_or_else(dispatcher::Dispatch::none, |one| one.0.clone());
        dispatcher::with_default(&dispatch, || {
            group.bench_function(name, |bencher| {
                bencher.iter(|| runner.block_on(request(&local)));
            });
        });
    }
}

criterion_group!(benches, spans);
criterion_main!(benches);

//! Logs for people and machines, spans for a collector and for a [`TailSampler`].

mod collector;
mod counts;
mod escape;
mod export;
mod level;
mod log;
mod record;
mod recorder;
mod router;
mod sampler;
pub mod span_data;
mod tail;
#[cfg(any(test, feature = "test-spans"))]
pub mod testing;
mod trace_ids;
mod verdict;

use std::{io, io::IsTerminal, sync::Arc, time::Duration};

use opentelemetry::{InstrumentationScope, KeyValue, trace::TracerProvider};
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::{Dispatch, Level, Metadata, level_filters::LevelFilter, subscriber::Interest};
use tracing_log::LogTracer;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{Directive, DynFilterFn, ParseError},
    fmt,
    layer::SubscriberExt,
    reload,
};

pub use counts::SpanCounts;
pub use level::LogLevel;
pub use record::{Attribute, RequestRecord, SpanRecord};
pub(crate) use recorder::Recorder;
pub(crate) use sampler::Ids;
pub use tail::{EndedRequest, TailSampler};
pub use trace_ids::TraceIds;
pub use verdict::{ALLOTTED_MS, Cause, DEGRADED, OUTCOME, RUNG, SPENT_MS, TOTAL_MS};

use crate::options::{LogFormat, TelemetryOptions};
use export::{Driver, ExportQueue};
use log::{LogThread, LogWriter};
use router::SpanRouter;
use sampler::HeadSampler;

/// Target of spans inside a request, which no log shows. They are made only where they are part of
/// a recorded span. `plugrank_contract::context::TRACE_TARGET` names it to those who make them, and
/// `TRACE_ROOT_TARGET` one below it to those who begin a trace or take one up.
const TRACE_TARGET: &str = "plugrank_trace";
/// How long spans still waiting may take to leave when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter cannot be made.
    #[error("`telemetry.otlp_endpoint`: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// The file of authorities cannot be used.
    #[error("`telemetry.otlp_ca_file`: {0}")]
    Authorities(String),
    /// The system gives no thread to write from.
    #[error("no thread for the exporter or the log: {0}")]
    Thread(io::Error),
    /// The log filter cannot be read.
    #[error("`telemetry.log_level`: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logging is already set up in this process.
    #[error("logging is already set up: {0}")]
    Installed(#[from] tracing::dispatcher::SetGlobalDefaultError),
}

/// Logs and traces of a process. Spans are made of traces that are sampled, and afterwards of
/// requests that a [`TailSampler`] picks. They wait in a bounded queue and leave on a thread
/// of their own, so that a collector that is slow or gone costs a request nothing; what does not fit
/// is dropped and counted.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
    counts: SpanCounts,
    level: LogLevel,
    /// Declared after the provider, which still sends while it is dropped.
    _driver: Option<Driver>,
    /// Last, so that it writes what the others have to say at their end.
    _log: LogThread,
}

impl Telemetry {
    /// Sets up logs and traces for the whole process. `tail` decides on requests after their end.
    ///
    /// # Errors
    /// As [`TelemetryError`] says.
    pub fn install(
        settings: &TelemetryOptions,
        tail: Option<Arc<dyn TailSampler>>,
    ) -> Result<Self, TelemetryError> {
        let (dispatch, telemetry) = Self::build(settings, tail)?;
        tracing::dispatcher::set_global_default(dispatch)?;
        // What dependencies say through `log`. Another logger of the process keeps its place.
        let _ = LogTracer::init_with_filter(tracing_log::log::LevelFilter::Warn);
        Ok(telemetry)
    }

    /// Makes the subscriber without installing it, for tests and for parts of a process.
    ///
    /// # Errors
    /// As [`TelemetryError`] says.
    pub fn build(
        settings: &TelemetryOptions,
        tail: Option<Arc<dyn TailSampler>>,
    ) -> Result<(Dispatch, Self), TelemetryError> {
        let (writer, log_thread) =
            LogWriter::start(io::stderr()).map_err(TelemetryError::Thread)?;
        let (recorder, telemetry) = Self::provider(settings, tail, log_thread)?;
        let recorded = recorder.sampler().records();
        let traces = tracing_opentelemetry::layer()
            .with_tracer(telemetry.provider.tracer_with_scope(scope()))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(
                DynFilterFn::new(move |metadata, context| {
                    is_traced(metadata, recorded)
                        && (metadata.target() != TRACE_TARGET || context.lookup_current().is_some())
                })
                .with_callsite_filter(move |metadata| interest(metadata, recorded))
                .with_max_level_hint(Level::INFO),
            );
        let unlogged: Directive = format!("{TRACE_TARGET}={}", LevelFilter::OFF).parse()?;
        let filter = move |level: &str| {
            let filter = EnvFilter::builder().parse(level)?;
            Ok::<_, ParseError>(filter.add_directive(unlogged.clone()))
        };
        let (current, handle) = reload::Layer::new(filter(&settings.log_level)?);
        let log = match settings.log_format {
            LogFormat::Text => {
                let colours = io::stderr().is_terminal();
                let layer = fmt::layer().fmt_fields(escape::fields());
                layer.with_ansi(colours).with_writer(writer).boxed()
            }
            LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
        };
        let subscriber = Registry::default()
            .with(traces)
            .with(log.with_filter(current))
            .with(recorder.with_filter(LevelFilter::OFF));
        telemetry.level.begin(&settings.log_level, move |level| {
            let filter = filter(level).map_err(|error| error.to_string())?;
            handle.reload(filter).map_err(|error| error.to_string())
        });
        Ok((Dispatch::new(subscriber), telemetry))
    }

    /// What is logged, which can be changed.
    #[must_use]
    pub fn level(&self) -> &LogLevel {
        &self.level
    }

    /// Metrics of traces and spans.
    #[must_use]
    pub fn counts(&self) -> &SpanCounts {
        &self.counts
    }

    /// Sends what is still waiting and stops. Blocks up to five seconds; call it last, off the
    /// threads that serve.
    pub fn shutdown(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_TIMEOUT) {
            tracing::warn!(%error, "some spans were not exported");
        }
    }

    fn provider(
        settings: &TelemetryOptions,
        tail: Option<Arc<dyn TailSampler>>,
        log: LogThread,
    ) -> Result<(Recorder, Self), TelemetryError> {
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_schema_url(
                [KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))],
                SCHEMA_URL,
            )
            .build();
        let counts = SpanCounts::default();
        let (queue, driver) = match &settings.otlp_endpoint {
            None => (None, None),
            Some(endpoint) => {
                let (exporter, driver) = export::exporter(settings, endpoint)?;
                let limit = settings.queue_spans;
                let queue = ExportQueue::new(exporter, limit, counts.clone(), &resource);
                (Some(Arc::new(queue)), Some(driver))
            }
        };
        let wanted = tail.as_ref().is_some_and(|tail| tail.wants_spans());
        let sampler = match queue.is_some() || wanted {
            false => HeadSampler::OFF,
            true => HeadSampler::new(settings.sample_share, queue.is_some()),
        };
        let router = SpanRouter::new(queue.clone(), tail.clone(), counts.clone());
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(sampler.clone())
            .with_id_generator(Ids::default())
            .with_span_processor(router)
            .build();
        let recorder = Recorder::new(sampler, queue, tail, counts.clone());
        let level = LogLevel::default();
        Ok((recorder, Self { provider, counts, level, _driver: driver, _log: log }))
    }
}

/// The semantic conventions that attributes go by.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

/// What the spans of this program are made by.
#[must_use]
pub fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("plugrank")
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}

/// Only the product's own spans and warnings make up a trace; libraries' internals would bury them.
fn is_traced(metadata: &Metadata<'_>, recorded: bool) -> bool {
    let level = if metadata.is_span() { Level::INFO } else { Level::WARN };
    recorded && metadata.target().starts_with("plugrank") && *metadata.level() <= level
}

fn interest(metadata: &Metadata<'_>, recorded: bool) -> Interest {
    match (is_traced(metadata, recorded), metadata.target()) {
        (false, _) => Interest::never(),
        // Where it is part of no recorded span it would begin a trace of its own.
        (true, TRACE_TARGET) => Interest::sometimes(),
        (true, _) => Interest::always(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tracing::{Span, info_span};

    use super::*;
    use crate::{
        options::OtlpProtocol,
        trace_context::{self, TraceHead},
    };

    fn settings(endpoint: Option<&str>) -> TelemetryOptions {
        let otlp_endpoint = endpoint.map(ToOwned::to_owned);
        TelemetryOptions { otlp_endpoint, ..TelemetryOptions::default() }
    }

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// A request as the edge of a process begins it, and its span.
    fn begin(caller: Option<&str>, state: Option<&str>) -> (TraceHead, Span) {
        let mut head = TraceHead::begin(caller, state);
        let span = if head.is_recorded() { info_span!("request") } else { Span::none() };
        head.attach(&span);
        (head, span)
    }

    #[test]
    fn trace_context_is_propagated_with_and_without_a_collector() {
        for endpoint in [None, Some("http://127.0.0.1:1")] {
            let (dispatch, _telemetry) = Telemetry::build(&settings(endpoint), None).unwrap();
            tracing::dispatcher::with_default(&dispatch, || {
                let (head, span) = begin(Some(CALLER), Some("a=1,b=2"));
                assert_eq!(span.is_disabled(), endpoint.is_none());
                assert_eq!(head.tracestate().as_deref(), Some("a=1,b=2"));
                let named = head.traceparent();
                let ours = named.as_str();
                assert!(ours.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{ours}");
                assert!(ours.ends_with("-01"), "{ours}");
                assert!(!ours.contains("b7ad6b7169203331"));
                if endpoint.is_some() {
                    assert_eq!(trace_context::traceparent(&span), Some(named));
                    assert_eq!(trace_context::tracestate(&span).as_deref(), Some("a=1,b=2"));
                }
                let (fresh, _) = begin(Some("00-nonsense"), Some("a=1"));
                assert_eq!(fresh.tracestate(), None);
                assert_ne!(fresh.trace_id().as_str(), "0af7651916cd43dd8448eb211c80319c");
                let (vague, _) = begin(Some(CALLER), Some("nonsense"));
                assert_eq!(vague.tracestate(), None);
            });
        }
    }

    #[test]
    fn sample_share_and_the_callers_flag_decide_sampling() {
        let unsampled = CALLER.replace("-01", "-00");
        for (share, caller, recorded) in [
            (0.0, None, false),
            (1.0, None, true),
            (0.0, Some(CALLER), true),
            (1.0, Some(unsampled.as_str()), false),
        ] {
            let mut settings = settings(Some("http://127.0.0.1:1"));
            settings.sample_share = share;
            let (dispatch, _telemetry) = Telemetry::build(&settings, None).unwrap();
            tracing::dispatcher::with_default(&dispatch, || {
                let (head, span) = begin(caller, None);
                assert_eq!(head.is_recorded(), recorded, "{share} {caller:?}");
                assert_eq!(head.is_sampled(), recorded, "{share} {caller:?}");
                assert_eq!(span.is_disabled(), !recorded);
                let inner = span.in_scope(|| info_span!(target: TRACE_TARGET, "inner"));
                let trace = recorded.then(|| head.trace_id().to_string());
                assert_eq!(trace_context::trace_id(&inner), trace);
            });
        }
    }

    #[test]
    fn an_unreachable_collector_does_not_delay_spans_and_drops_are_counted() {
        for protocol in [OtlpProtocol::Http, OtlpProtocol::Grpc] {
            let mut settings = settings(Some("http://127.0.0.1:1"));
            settings.otlp_protocol = protocol;
            let (dispatch, telemetry) = Telemetry::build(&settings, None).unwrap();
            tracing::dispatcher::with_default(&dispatch, || {
                let started = Instant::now();
                for _ in 0..20_000 {
                    info_span!("request").in_scope(|| {});
                }
                // Many times more than fit the queue; waiting for the collector even once per
                // batch would take far longer.
                assert!(started.elapsed() < Duration::from_secs(5));
            });
            let counts = telemetry.counts().clone();
            telemetry.shutdown();
            let (full, failed) =
                (counts.lost(counts::Drop::QueueFull), counts.lost(counts::Drop::ExportFailed));
            assert!(full > 0, "{protocol:?}");
            assert_eq!(counts.taken(), 0);
            // What still waited when the time to flush was up is in neither count.
            let unsent = 20_000 - full - failed;
            assert!(unsent <= settings.queue_spans as u64, "{protocol:?}: {full} + {failed}");
        }
    }
}

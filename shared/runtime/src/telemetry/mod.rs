//! Logs for people and machines, spans for a collector and for the operator's pages.

mod counts;
mod export;
mod held;
mod recent;
mod tail;
#[cfg(test)]
mod tail_tests;
#[cfg(test)]
mod testing;
mod verdict;
mod waterfall;

use std::{io, io::IsTerminal, time::Duration};

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::{Dispatch, Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{Directive, FilterFn, LevelFilter},
    fmt,
    layer::SubscriberExt,
};

pub use counts::SpanCounts;
pub use recent::RecentRequests;
pub use verdict::{ALLOTTED_MS, Cause, DEGRADED, OUTCOME, RUNG, SPENT_MS, TOTAL_MS};
pub use waterfall::{Attribute, RequestTrace, TraceSpan};

use crate::settings::{LogFormat, TelemetrySettings};
use export::{Driver, ExportQueue};
use tail::{RecordAll, TailSampler};

/// Target of spans that are made only where somebody records them, and that no log shows.
/// `plugrank_contract::TRACE_TARGET` names it to those who make them.
const TRACE_TARGET: &str = "plugrank_trace";
/// How long spans still waiting may take to leave when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter cannot be made.
    #[error("`telemetry.otlp_endpoint`: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// The system gives no thread to send from.
    #[error("no thread for the exporter: {0}")]
    Thread(io::Error),
    /// The log filter cannot be read.
    #[error("`telemetry.log_level`: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody else has set up logging in this process.
    #[error("logging is already set up: {0}")]
    Installed(#[from] tracing::dispatcher::SetGlobalDefaultError),
}

/// Logs and traces of a process. Spans are held until their trace is known, wait in a bounded queue
/// and leave on a thread of their own, so that a collector that is slow or gone costs a request
/// nothing; what does not fit is dropped and counted.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
    counts: SpanCounts,
    /// Declared after the provider, which still sends while it is dropped.
    _driver: Option<Driver>,
}

impl Telemetry {
    /// Sets up logs and traces for the whole process. Traces are fed into `recent`, if given.
    ///
    /// # Errors
    /// As [`TelemetryError`] says.
    pub fn install(
        settings: &TelemetrySettings,
        recent: Option<RecentRequests>,
    ) -> Result<Self, TelemetryError> {
        let (dispatch, telemetry) = Self::build(settings, recent)?;
        tracing::dispatcher::set_global_default(dispatch)?;
        Ok(telemetry)
    }

    /// Makes the subscriber without installing it, for tests and for parts of a process.
    ///
    /// # Errors
    /// As [`TelemetryError`] says.
    pub fn build(
        settings: &TelemetrySettings,
        recent: Option<RecentRequests>,
    ) -> Result<(Dispatch, Self), TelemetryError> {
        let recorded = settings.otlp_endpoint.is_some() || recent.is_some();
        let telemetry = Self::provider(settings, recent)?;
        let traces = tracing_opentelemetry::layer()
            .with_tracer(telemetry.provider.tracer("plugrank"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(
                FilterFn::new(move |metadata| is_traced(metadata, recorded))
                    .with_max_level_hint(Level::INFO),
            );
        let unlogged: Directive = format!("{TRACE_TARGET}={}", LevelFilter::OFF).parse()?;
        let filter = EnvFilter::builder().parse(&settings.log_level)?.add_directive(unlogged);
        let log = match settings.log_format {
            LogFormat::Text => {
                let colours = io::stderr().is_terminal();
                fmt::layer().with_ansi(colours).with_writer(io::stderr).boxed()
            }
            LogFormat::Json => {
                fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed()
            }
        };
        let subscriber = Registry::default().with(traces).with(log.with_filter(filter));
        Ok((Dispatch::new(subscriber), telemetry))
    }

    /// What became of spans.
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
        settings: &TelemetrySettings,
        recent: Option<RecentRequests>,
    ) -> Result<Self, TelemetryError> {
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let builder = SdkTracerProvider::builder().with_resource(resource);
        let counts = SpanCounts::default();
        if settings.otlp_endpoint.is_none() && recent.is_none() {
            // Ids are still made, so that replies and calls carry a trace; nothing is recorded.
            let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
            let provider = builder.with_sampler(sampler).build();
            return Ok(Self { provider, counts, _driver: None });
        }
        let (queue, driver) = match &settings.otlp_endpoint {
            None => (None, None),
            Some(endpoint) => {
                let (exporter, driver) = export::exporter(settings, endpoint)?;
                let queue = ExportQueue::new(exporter, settings.queue_spans, counts.clone());
                (Some(queue), Some(driver))
            }
        };
        // What is not exported from here is not announced as sampled to those who are called.
        let share = if queue.is_some() { settings.sample_share } else { 0.0 };
        let tail = TailSampler::new(settings.held_spans, queue, recent, counts.clone());
        let provider =
            builder.with_sampler(RecordAll::sampling(share)).with_span_processor(tail).build();
        Ok(Self { provider, counts, _driver: driver })
    }
}

/// Only the product's own spans and warnings make up a trace; libraries' internals would bury them.
fn is_traced(metadata: &Metadata<'_>, recorded: bool) -> bool {
    let level = if metadata.is_span() { Level::INFO } else { Level::WARN };
    let ours = metadata.target().starts_with("plugrank") && *metadata.level() <= level;
    ours && (recorded || metadata.target() != TRACE_TARGET)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Instant};

    use tracing::info_span;

    use super::*;
    use crate::{Settings, settings::OtlpProtocol, trace_context};

    fn settings(endpoint: Option<&str>) -> TelemetrySettings {
        let mut settings = Settings::from_sources(None, HashMap::new()).unwrap().telemetry;
        settings.otlp_endpoint = endpoint.map(ToOwned::to_owned);
        settings
    }

    fn recent() -> RecentRequests {
        RecentRequests::new(&Settings::from_sources(None, HashMap::new()).unwrap().admin)
    }

    #[test]
    fn a_trace_goes_through_with_and_without_a_collector() {
        const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for endpoint in [None, Some("http://127.0.0.1:1")] {
            let (dispatch, _telemetry) = Telemetry::build(&settings(endpoint), None).unwrap();
            tracing::dispatcher::with_default(&dispatch, || {
                let span = info_span!("request");
                assert!(trace_context::adopt_parent(&span, CALLER, Some("a=1,b=2")));
                assert_eq!(trace_context::tracestate(&span).as_deref(), Some("a=1,b=2"));
                let ours = trace_context::traceparent(&span).unwrap();
                assert!(ours.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{ours}");
                assert!(ours.ends_with("-01"), "{ours}");
                assert!(!ours.contains("b7ad6b7169203331"));
                let fresh = info_span!("other");
                assert!(!trace_context::adopt_parent(&fresh, "00-nonsense", Some("a=1")));
                assert_eq!(trace_context::tracestate(&fresh), None);
                let vague = info_span!("vague");
                assert!(trace_context::adopt_parent(&vague, CALLER, Some("nonsense")));
                assert_eq!(trace_context::tracestate(&vague), None);
                let id = trace_context::trace_id(&fresh).unwrap();
                assert_eq!(id.len(), 32);
                assert_ne!(id, "0af7651916cd43dd8448eb211c80319c");
            });
        }
    }

    #[test]
    fn inner_spans_are_made_only_where_somebody_records_them() {
        for (endpoint, recent, made) in [
            (None, None, false),
            (Some("http://127.0.0.1:1"), None, true),
            (None, Some(recent()), true),
        ] {
            let (dispatch, _telemetry) = Telemetry::build(&settings(endpoint), recent).unwrap();
            tracing::dispatcher::with_default(&dispatch, || {
                let recorded = |span| trace_context::traceparent(&span).is_some();
                assert_eq!(recorded(info_span!(target: TRACE_TARGET, "inner")), made);
                assert!(recorded(info_span!("outer")));
            });
        }
    }

    #[test]
    fn a_collector_that_is_gone_costs_spans_nothing_and_drops_are_counted() {
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

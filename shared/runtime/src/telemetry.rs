//! Logs for people and machines, spans for a collector.

use std::{io::IsTerminal, time::Duration};

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use tracing::{Dispatch, Level, Metadata};
use tracing_subscriber::{EnvFilter, Layer, Registry, filter::FilterFn, fmt, layer::SubscriberExt};

use crate::settings::{LogFormat, TelemetrySettings};

/// How long spans still waiting may take to leave when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter cannot be made.
    #[error("`telemetry.otlp_endpoint`: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// The log filter cannot be read.
    #[error("`telemetry.log_level`: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody else has set up logging in this process.
    #[error("logging is already set up: {0}")]
    Installed(#[from] tracing::dispatcher::SetGlobalDefaultError),
}

/// Logs and traces of a process. Spans wait in a bounded queue and leave on a thread of their own,
/// so that a collector that is slow or gone costs a request nothing; what does not fit is dropped
/// and counted in the log.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// Sets up logs and traces for the whole process.
    ///
    /// # Errors
    /// As [`TelemetryError`] says.
    pub fn install(settings: &TelemetrySettings) -> Result<Self, TelemetryError> {
        let (dispatch, telemetry) = Self::build(settings)?;
        tracing::dispatcher::set_global_default(dispatch)?;
        Ok(telemetry)
    }

    /// Makes the subscriber without installing it, for tests and for parts of a process.
    ///
    /// # Errors
    /// As [`TelemetryError`] says.
    pub fn build(settings: &TelemetrySettings) -> Result<(Dispatch, Self), TelemetryError> {
        let provider = provider(settings)?;
        let traces = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("plugrank"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(FilterFn::new(is_traced).with_max_level_hint(Level::INFO));
        let filter = EnvFilter::builder().parse(&settings.log_level)?;
        let log = match settings.log_format {
            LogFormat::Text => {
                let colours = std::io::stderr().is_terminal();
                fmt::layer().with_ansi(colours).with_writer(std::io::stderr).boxed()
            }
            LogFormat::Json => {
                fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed()
            }
        };
        let subscriber = Registry::default().with(traces).with(log.with_filter(filter));
        Ok((Dispatch::new(subscriber), Self { provider }))
    }

    /// Sends what is still waiting and stops. Blocks up to five seconds; call it last, off the
    /// threads that serve.
    pub fn shutdown(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_TIMEOUT) {
            tracing::warn!(%error, "some spans were not exported");
        }
    }
}

/// Only the product's own spans and warnings make up a trace; libraries' internals would bury them.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    let level = if metadata.is_span() { Level::INFO } else { Level::WARN };
    metadata.target().starts_with("plugrank") && *metadata.level() <= level
}

fn provider(settings: &TelemetrySettings) -> Result<SdkTracerProvider, TelemetryError> {
    let resource = Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let builder = SdkTracerProvider::builder().with_resource(resource);
    let Some(endpoint) = &settings.otlp_endpoint else {
        // Ids are still made, so that replies and calls carry a trace; nothing is recorded.
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        return Ok(builder.with_sampler(sampler).build());
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(traces_url(endpoint))
        .with_timeout(Duration::from_millis(settings.export_timeout_ms))
        .build()?;
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(settings.queue_spans)
        .with_max_export_batch_size(settings.queue_spans.min(512))
        .with_scheduled_delay(Duration::from_secs(1))
        .build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    let share = Sampler::TraceIdRatioBased(settings.sample_share);
    Ok(builder
        .with_sampler(Sampler::ParentBased(Box::new(share)))
        .with_span_processor(processor)
        .build())
}

/// The address spans are posted to: an address without a path gets the customary one.
fn traces_url(endpoint: &str) -> String {
    let trimmed = endpoint.trim_end_matches('/');
    let host = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest);
    if host.contains('/') { trimmed.to_owned() } else { format!("{trimmed}/v1/traces") }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Instant};

    use tracing::info_span;

    use super::*;
    use crate::{Settings, trace_context};

    fn settings(endpoint: Option<&str>) -> TelemetrySettings {
        let mut settings = Settings::from_sources(None, HashMap::new()).unwrap().telemetry;
        settings.otlp_endpoint = endpoint.map(ToOwned::to_owned);
        settings
    }

    #[test]
    fn an_address_without_a_path_gets_the_customary_one() {
        assert_eq!(traces_url("http://c:4318"), "http://c:4318/v1/traces");
        assert_eq!(traces_url("http://c:4318/"), "http://c:4318/v1/traces");
        assert_eq!(traces_url("http://c/otlp/v1/traces"), "http://c/otlp/v1/traces");
    }

    #[test]
    fn a_trace_goes_through_with_and_without_a_collector() {
        const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for endpoint in [None, Some("http://127.0.0.1:1")] {
            let (dispatch, _telemetry) = Telemetry::build(&settings(endpoint)).unwrap();
            tracing::dispatcher::with_default(&dispatch, || {
                let span = info_span!("request");
                assert!(trace_context::adopt_parent(&span, CALLER));
                let ours = trace_context::traceparent(&span).unwrap();
                assert!(ours.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{ours}");
                assert!(!ours.contains("b7ad6b7169203331"));
                let fresh = info_span!("other");
                assert!(!trace_context::adopt_parent(&fresh, "00-nonsense"));
                let id = trace_context::trace_id(&fresh).unwrap();
                assert_eq!(id.len(), 32);
                assert_ne!(id, "0af7651916cd43dd8448eb211c80319c");
            });
        }
    }

    #[test]
    fn a_collector_that_is_gone_costs_spans_nothing() {
        let (dispatch, _telemetry) =
            Telemetry::build(&settings(Some("http://127.0.0.1:1"))).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            let started = Instant::now();
            for _ in 0..20_000 {
                info_span!("request").in_scope(|| {});
            }
            // Many times more than fit the queue; waiting for the collector even once per batch
            // would take far longer.
            assert!(started.elapsed() < Duration::from_secs(5));
        });
    }
}

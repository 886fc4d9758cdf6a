//! Export of spans to a collector: a bounded queue, and a thread that sends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_otlp::{
    Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter as Exporter,
        SpanProcessor,
    },
};
use tokio::runtime::{Builder, Runtime};

use super::{
    TelemetryError,
    collector::{self, CollectorClient},
    counts::{Drop, SpanCounts},
};
use crate::options::{OtlpProtocol, TelemetryOptions};

/// Maximum number of spans in one message to the collector.
const MESSAGE_SPANS: usize = 512;
/// Maximum time a span waits for more spans.
const SEND_EVERY: Duration = Duration::from_secs(1);

/// Spans that wait for export. One that finds no room is dropped and counted; no request ever
/// waits.
#[derive(Debug)]
pub(crate) struct ExportQueue {
    sender: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    limit: usize,
    counts: SpanCounts,
}

impl ExportQueue {
    /// A queue in front of `exporter`, of `limit` spans, those being sent included.
    pub(crate) fn new(
        exporter: impl Exporter + 'static,
        limit: usize,
        counts: SpanCounts,
        resource: &Resource,
    ) -> Self {
        let waiting = Arc::new(AtomicUsize::new(0));
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(limit)
            .with_max_export_batch_size(limit.min(MESSAGE_SPANS))
            .with_scheduled_delay(SEND_EVERY)
            .build();
        let counted = Counted { exporter, waiting: Arc::clone(&waiting), counts: counts.clone() };
        let mut sender = BatchSpanProcessor::builder(counted).with_batch_config(config).build();
        sender.set_resource(resource);
        Self { sender, waiting, limit, counts }
    }
}

impl SpanProcessor for ExportQueue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        // Counted here, because the SDK's queue keeps its own count to itself.
        let room = |waiting: usize| (waiting < self.limit).then_some(waiting + 1);
        if self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_err() {
            self.counts.dropped(Drop::QueueFull, 1);
            return;
        }
        self.sender.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.sender.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.sender.shutdown_with_timeout(timeout)
    }

    /// It was given to the exporter at the start.
    fn set_resource(&mut self, _: &Resource) {}
}

/// An exporter that counts what the collector took and what was lost.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    waiting: Arc<AtomicUsize>,
    counts: SpanCounts,
}

impl<E: Exporter> Exporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.exporter.export(batch).await;
        self.waiting.fetch_sub(spans, Ordering::AcqRel);
        match &sent {
            Ok(()) => self.counts.exported(spans),
            Err(_) => self.counts.dropped(Drop::ExportFailed, spans),
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Drives a gRPC connection apart from the threads that serve; ends without waiting for it.
#[derive(Debug)]
pub(crate) struct Driver(Option<Runtime>);

impl std::ops::Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// An exporter to `endpoint`, and what has to live as long as it does.
///
/// # Errors
/// When the endpoint cannot be used, or the system gives no thread.
pub(crate) fn exporter(
    settings: &TelemetryOptions,
    endpoint: &str,
) -> Result<(SpanExporter, Driver), TelemetryError> {
    let timeout = Duration::from_millis(settings.export_timeout_ms);
    let ca_file = settings.otlp_ca_file.as_deref();
    match settings.otlp_protocol {
        OtlpProtocol::Http => {
            let client = CollectorClient::new(endpoint, ca_file, timeout)
                .map_err(TelemetryError::Authorities)?;
            let exporter = SpanExporter::builder()
                .with_http()
                .with_http_client(client)
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(traces_url(endpoint))
                .with_timeout(timeout)
                .build()?;
            Ok((exporter, Driver(None)))
        }
        OtlpProtocol::Grpc => {
            let runtime = Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("otlp-grpc")
                .enable_all()
                .build()
                .map_err(TelemetryError::Thread)?;
            let _inside = runtime.enter();
            let builder =
                SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(timeout);
            let tls =
                collector::grpc_tls(endpoint, ca_file).map_err(TelemetryError::Authorities)?;
            let exporter = match tls {
                Some(tls) => builder.with_tls_config(tls),
                None => builder,
            };
            let exporter = exporter.build()?;
            drop(_inside);
            Ok((exporter, Driver(Some(runtime))))
        }
    }
}

/// The address spans are posted to: an address without a path gets the usual one.
fn traces_url(endpoint: &str) -> String {
    let trimmed = endpoint.trim_end_matches('/');
    let host = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest);
    if host.contains('/') { trimmed.to_owned() } else { format!("{trimmed}/v1/traces") }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use parking_lot::Mutex;

    use super::*;
    use crate::telemetry::testing::span;

    /// A collector that takes a message and never answers.
    #[derive(Clone, Debug, Default)]
    struct Silent(Arc<Mutex<usize>>);

    impl Exporter for Silent {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            *self.0.lock() += batch.len();
            std::future::pending().await
        }
    }

    #[test]
    fn a_hanging_collector_costs_a_bounded_queue_and_no_time() {
        let (silent, counts) = (Silent::default(), SpanCounts::default());
        let resource = Resource::builder().build();
        let queue = ExportQueue::new(silent, 100, counts.clone(), &resource);
        let started = Instant::now();
        for id in 0..1000 {
            queue.on_end(span(1, id + 1, None, vec![]));
        }
        assert!(started.elapsed() < Duration::from_secs(1));
        assert_eq!(counts.lost(Drop::QueueFull), 900);
        let stopping = Instant::now();
        assert!(queue.shutdown_with_timeout(Duration::from_millis(50)).is_err());
        assert!(stopping.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn an_address_without_a_path_gets_the_default_path() {
        assert_eq!(traces_url("http://c:4318"), "http://c:4318/v1/traces");
        assert_eq!(traces_url("http://c:4318/"), "http://c:4318/v1/traces");
        assert_eq!(traces_url("http://c/otlp/v1/traces"), "http://c/otlp/v1/traces");
    }
}

//! Section `[telemetry]`.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::check::Checks;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtlpProtocol {
    /// Protobuf bodies over HTTP/1.1.
    Http,
    /// gRPC.
    Grpc,
}

/// Logs and traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Where spans go; nowhere when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// How they are sent there.
    pub otlp_protocol: OtlpProtocol,
    /// Share of the traces without a caller that are sampled.
    pub sample_share: f64,
    /// Name of the service in traces.
    pub service_name: String,
    /// Spans that may wait for export.
    pub queue_spans: usize,
    /// Maximum wait for the collector.
    pub export_timeout_ms: u64,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Level or filter of the log.
    pub log_level: String,
}

impl TelemetrySettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.http_url("telemetry.otlp_endpoint", self.otlp_endpoint.as_deref());
        checks.range("telemetry.sample_share", self.sample_share, 0.0..=1.0);
        let named = !self.service_name.trim().is_empty();
        checks.that(named, "telemetry.service_name", &self.service_name, "a name");
        checks.range("telemetry.queue_spans", self.queue_spans, 1..=1_000_000);
        checks.range("telemetry.export_timeout_ms", self.export_timeout_ms, 1..=60_000);
        let filter = !self.log_level.trim().is_empty()
            && EnvFilter::builder().parse(&self.log_level).is_ok();
        checks.that(
            filter,
            "telemetry.log_level",
            &self.log_level,
            "error, warn, info, debug, trace or a filter such as info,plugrank=debug",
        );
    }
}

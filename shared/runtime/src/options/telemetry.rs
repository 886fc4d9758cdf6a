//! Section `[telemetry]`.

use std::path::PathBuf;

use garde::Validate;
use plugrank_settings::rules::{finite, holds, optional_path, web_url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtlpProtocol {
    /// Protobuf bodies over HTTP/1.1; usual port 4318, and an address without a path gets /v1/traces.
    Http,
    /// Usual port 4317.
    Grpc,
}

/// Logs and traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryOptions {
    /// Where spans go, an OTLP receiver; https:// for TLS. Absent: no spans are exported.
    #[serde(serialize_with = "plugrank_settings::without_password")]
    #[garde(custom(web_url))]
    #[schemars(example = &"http://127.0.0.1:4318")]
    pub otlp_endpoint: Option<String>,
    /// File of certificates (PEM) to trust for https://, in place of the system's.
    #[garde(custom(optional_path))]
    #[schemars(example = &"collector-ca.pem")]
    pub otlp_ca_file: Option<PathBuf>,
    /// How they are sent there.
    #[garde(skip)]
    pub otlp_protocol: OtlpProtocol,
    /// Share of the traces without a caller that are sampled: they have all their spans, in every
    /// process. A caller's traceparent decides on its own traces. Other requests are measured alone;
    /// those that were degraded, over budget or in error get spans of the request and of its stages
    /// afterwards.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    pub sample_share: f64,
    /// Name of the service in traces; a process of one role adds it, as in plugrank-scoring.
    #[garde(custom(named))]
    pub service_name: String,
    /// Spans that may wait for export; more are dropped and counted.
    #[garde(range(min = 1, max = 1_000_000))]
    pub queue_spans: usize,
    /// Maximum wait for the collector, in milliseconds.
    #[garde(range(min = 1, max = 60_000))]
    pub export_timeout_ms: u64,
    /// How log lines look.
    #[garde(skip)]
    pub log_format: LogFormat,
    /// Level, or a filter such as info,plugrank=debug.
    #[garde(custom(filter))]
    pub log_level: String,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_ca_file: None,
            otlp_protocol: OtlpProtocol::Http,
            sample_share: 1.0,
            service_name: "plugrank".to_owned(),
            queue_spans: 4096,
            export_timeout_ms: 5_000,
            log_format: LogFormat::Text,
            log_level: "info,ort=warn".to_owned(),
        }
    }
}

fn named(name: &str, _: &()) -> garde::Result {
    holds(!name.trim().is_empty(), || "a name".to_owned())
}

fn filter(level: &str, _: &()) -> garde::Result {
    let known = !level.trim().is_empty() && EnvFilter::builder().parse(level).is_ok();
    holds(known, || {
        "error, warn, info, debug, trace or a filter such as info,plugrank=debug".to_owned()
    })
}

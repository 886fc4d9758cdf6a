//! What the services count, as metrics.

use std::fmt;

use plugrank_runtime::Metrics;
use plugrank_transport::Local;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
};

/// Registers an actor's calls in flight, refused calls and caught panics.
pub(super) fn actor<S>(metrics: &Metrics, role: &'static str, local: Local<S>)
where
    S: Send + Sync + Unpin + 'static,
{
    let read = move || {
        vec![
            Reading::gauge("in_flight", "Calls in flight", local.in_flight() as u64),
            Reading::counter("rejected", "Calls refused at the door", local.rejected()),
            Reading::counter("panics", "Panics caught", local.panics()),
        ]
    };
    readings(metrics, role, read);
}

/// Registers what the graphs really run on, `plugrank_scoring_provider_info{provider="cpu"} 1`.
pub(super) fn provider(metrics: &Metrics, provider: &'static str) {
    metrics.register(|registry| {
        registry.register(
            "scoring_provider",
            "What the graphs run on",
            Info::new([("provider", provider)]),
        );
    });
}

/// One value at the moment of a scrape.
pub(super) struct Reading {
    name: String,
    help: &'static str,
    value: Value,
}

enum Value {
    Counter(u64),
    Gauge(u64),
}

impl Reading {
    pub(super) fn counter(name: impl Into<String>, help: &'static str, value: u64) -> Self {
        Self { name: name.into(), help, value: Value::Counter(value) }
    }

    pub(super) fn gauge(name: impl Into<String>, help: &'static str, value: u64) -> Self {
        Self { name: name.into(), help, value: Value::Gauge(value) }
    }
}

/// Registers values that are read when scraped, as `plugrank_ROLE_NAME` (the registry adds the first part).
pub(super) fn readings(
    metrics: &Metrics,
    role: &'static str,
    read: impl Fn() -> Vec<Reading> + Send + Sync + 'static,
) {
    let collector = Readings { role, read: Box::new(read) };
    metrics.register(|registry| registry.register_collector(Box::new(collector)));
}

struct Readings {
    role: &'static str,
    read: Box<dyn Fn() -> Vec<Reading> + Send + Sync>,
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readings").field("role", &self.role).finish_non_exhaustive()
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Reading { name, help, value } in (self.read)() {
            let name = format!("{}_{name}", self.role);
            match value {
                Value::Counter(value) => {
                    let counter = ConstCounter::new(value);
                    let descriptor =
                        encoder.encode_descriptor(&name, help, None, counter.metric_type())?;
                    counter.encode(descriptor)?;
                }
                Value::Gauge(value) => {
                    let gauge = ConstGauge::new(value as i64);
                    let descriptor =
                        encoder.encode_descriptor(&name, help, None, gauge.metric_type())?;
                    gauge.encode(descriptor)?;
                }
            }
        }
        Ok(())
    }
}

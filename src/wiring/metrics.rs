//! What the services count, as metrics.

use std::fmt;

use plugrank_body::BodyMemory;
use plugrank_runtime::Metrics;
use plugrank_transport::{EndpointStatus, Local};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
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

/// Registers the memory that bodies of requests in flight take.
pub(super) fn bodies(metrics: &Metrics, bodies: BodyMemory) {
    let read = move || {
        let (used, limit) = (bodies.used() as u64, bodies.limit() as u64);
        vec![
            Reading::gauge("used_bytes", "Memory that bodies of requests in flight take", used),
            Reading::gauge("limit_bytes", "What they may take at most", limit),
        ]
    };
    readings(metrics, "body_memory", read);
}

/// Registers what is known of each endpoint of a role elsewhere, as
/// `plugrank_ROLE_peer_NAME{endpoint="10.0.0.3:8083"}`.
pub(super) fn endpoints(
    metrics: &Metrics,
    role: &'static str,
    endpoints: impl Fn() -> Vec<EndpointStatus> + Send + Sync + 'static,
) {
    type Count = (&'static str, &'static str, fn(&EndpointStatus) -> u64);
    const COUNTERS: [Count; 5] = [
        ("peer_requests", "Calls sent", |of| of.requests),
        ("peer_failures", "Calls that failed, or waited unusually long for nothing", |of| {
            of.failures
        }),
        ("peer_hedges", "Calls sent because another was slow to be answered", |of| of.hedges),
        ("peer_retries", "Calls sent because another failed", |of| of.retries),
        ("peer_ejections", "Times it was left out", |of| of.ejections),
    ];
    const GAUGES: [Count; 2] = [
        ("peer_in_flight", "Calls in flight", |of| of.in_flight as u64),
        ("peer_ejected", "1 while it is left out", |of| u64::from(of.ejected)),
    ];
    readings(metrics, role, move || {
        let endpoints = endpoints();
        let mut readings = Vec::with_capacity(endpoints.len() * (COUNTERS.len() + GAUGES.len()));
        for (name, help, value) in COUNTERS {
            let of =
                |one: &EndpointStatus| Reading::counter(name, help, value(one)).of(&one.address);
            readings.extend(endpoints.iter().map(of));
        }
        for (name, help, value) in GAUGES {
            let of = |one: &EndpointStatus| Reading::gauge(name, help, value(one)).of(&one.address);
            readings.extend(endpoints.iter().map(of));
        }
        readings
    });
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
    endpoint: Option<String>,
}

#[derive(Clone, Copy)]
enum Value {
    Counter(u64),
    Gauge(u64),
}

impl Reading {
    pub(super) fn counter(name: impl Into<String>, help: &'static str, value: u64) -> Self {
        Self { name: name.into(), help, value: Value::Counter(value), endpoint: None }
    }

    pub(super) fn gauge(name: impl Into<String>, help: &'static str, value: u64) -> Self {
        Self { name: name.into(), help, value: Value::Gauge(value), endpoint: None }
    }

    /// The same, of one endpoint. Readings of one name stand side by side.
    fn of(self, endpoint: &str) -> Self {
        Self { endpoint: Some(endpoint.to_owned()), ..self }
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
        for family in (self.read)().chunk_by(|a, b| a.name == b.name) {
            let Some(first) = family.first() else { continue };
            let (name, help) = (format!("{}_{}", self.role, first.name), first.help);
            let kind = match first.value {
                Value::Counter(_) => MetricType::Counter,
                Value::Gauge(_) => MetricType::Gauge,
            };
            let mut descriptor = encoder.encode_descriptor(&name, help, None, kind)?;
            if first.endpoint.is_none() {
                first.value.encode(descriptor)?;
                continue;
            }
            for Reading { value, endpoint, .. } in family {
                let labels = [("endpoint", endpoint.as_deref().unwrap_or_default())];
                value.encode(descriptor.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(self, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match self {
            Self::Counter(value) => ConstCounter::new(value).encode(encoder),
            Self::Gauge(value) => ConstGauge::new(value as i64).encode(encoder),
        }
    }
}

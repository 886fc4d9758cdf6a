//! What a process and its roles count, as metrics: one name for all roles, the role a label.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;
use plugrank_body::BodyMemory;
use plugrank_inference::batcher::{BatchObserver, BatchReport};
use plugrank_runtime::Metrics;
use plugrank_transport::{EndpointStatus, Local};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
};

/// Metrics of the roles in a process and of those it calls. Clones share them.
#[derive(Clone, Debug)]
pub struct RoleMetrics {
    registry: Metrics,
    readings: Readings,
    batches: Batches,
}

impl RoleMetrics {
    /// Registers them.
    #[must_use]
    pub fn register(registry: &Metrics) -> Self {
        let (readings, batches) = (Readings::default(), Batches::default());
        registry.register(|to| {
            to.register_collector(Box::new(readings.clone()));
            batches.register(to);
        });
        Self { registry: registry.clone(), readings, batches }
    }

    /// Values of a role that are read when scraped.
    pub(super) fn readings(
        &self,
        role: &'static str,
        read: impl Fn() -> Vec<Reading> + Send + Sync + 'static,
    ) {
        self.readings.0.lock().push((role, Box::new(read)));
    }

    /// An actor's calls in flight, refused calls and caught panics.
    pub(super) fn actor<S>(&self, role: &'static str, local: Local<S>)
    where
        S: Send + Sync + Unpin + 'static,
    {
        self.readings(role, move || {
            vec![
                Reading::gauge("calls_in_flight", "Calls in flight", local.in_flight() as u64),
                Reading::counter("calls_rejected", "Calls refused by admission", local.rejected()),
                Reading::counter("calls_panicked", "Panics caught", local.panics()),
            ]
        });
    }

    /// What is known about each endpoint of a role in other processes, as
    /// `plugrank_peer_NAME{role="scoring",endpoint="10.0.0.3:8083"}`.
    pub(super) fn endpoints(
        &self,
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
        self.readings(role, move || {
            let mut readings = Vec::new();
            for one in endpoints() {
                for (name, help, value) in COUNTERS {
                    readings.push(Reading::counter(name, help, value(&one)).at(&one.address));
                }
                for (name, help, value) in GAUGES {
                    readings.push(Reading::gauge(name, help, value(&one)).at(&one.address));
                }
            }
            readings
        });
    }

    /// What the graphs really run on, `plugrank_graph_provider_info{role="scoring",provider="cpu"} 1`.
    pub(super) fn provider(&self, role: &'static str, provider: &'static str) {
        let info = Info::new([("role", role), ("provider", provider)]);
        self.registry.register(|to| to.register("graph_provider", "What the graphs run on", info));
    }

    /// Told of the batches of a role.
    pub(super) fn batches(&self, role: &'static str) -> Arc<dyn BatchObserver> {
        Arc::new(self.batches.role(role))
    }
}

/// One value at the moment of a scrape.
pub(super) struct Reading {
    name: &'static str,
    help: &'static str,
    value: Value,
    /// Beside the role.
    labels: Vec<(&'static str, String)>,
}

#[derive(Clone, Copy)]
enum Value {
    Counter(u64),
    Gauge(u64),
    Real(f64),
}

impl Reading {
    pub(super) fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, value: Value::Counter(value), labels: Vec::new() }
    }

    pub(super) fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, value: Value::Gauge(value), labels: Vec::new() }
    }

    pub(super) fn real(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, value: Value::Real(value), labels: Vec::new() }
    }

    /// The same, with a label.
    pub(super) fn with(mut self, label: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((label, value.into()));
        self
    }

    /// The same, of one endpoint.
    fn at(self, endpoint: &str) -> Self {
        self.with("endpoint", endpoint)
    }
}

type Read = Box<dyn Fn() -> Vec<Reading> + Send + Sync>;

/// What is read when scraped, with whose it is.
#[derive(Clone, Default)]
struct Readings(Arc<Mutex<Vec<(&'static str, Read)>>>);

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<_> = self.0.lock().iter().map(|(role, _)| *role).collect();
        f.debug_tuple("Readings").field(&roles).finish()
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // A name is described once, and the values of all roles follow it.
        let mut families: BTreeMap<&'static str, Vec<(&'static str, Reading)>> = BTreeMap::new();
        for (role, read) in &*self.0.lock() {
            for reading in read() {
                families.entry(reading.name).or_default().push((role, reading));
            }
        }
        for (name, family) in families {
            let Some((_, first)) = family.first() else { continue };
            let kind = match first.value {
                Value::Counter(_) => MetricType::Counter,
                Value::Gauge(_) | Value::Real(_) => MetricType::Gauge,
            };
            let mut descriptor = encoder.encode_descriptor(name, first.help, None, kind)?;
            for (role, Reading { value, labels, .. }) in &family {
                let more = labels.iter().map(|(label, value)| (*label, value.as_str()));
                let labels: Vec<(&str, &str)> =
                    std::iter::once(("role", *role)).chain(more).collect();
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
            Self::Real(value) => ConstGauge::new(value).encode(encoder),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabel {
    role: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    role: &'static str,
    reason: &'static str,
}

type Histograms = Family<RoleLabel, Histogram, fn() -> Histogram>;

/// What the batchers of all roles report, `plugrank_batch_...{role="scoring"}`.
#[derive(Clone, Debug)]
struct Batches {
    closed: Family<ReasonLabels, Counter>,
    left: Family<ReasonLabels, Counter>,
    failed: Family<RoleLabel, Counter>,
    entries: Histograms,
    rows: Family<RoleLabel, Counter>,
    padded_rows: Family<RoleLabel, Counter>,
    oldest_seconds: Histograms,
    run_seconds: Histograms,
}

impl Default for Batches {
    fn default() -> Self {
        let seconds = || Histogram::new(exponential_buckets(50e-6, 2.0, 16));
        Self {
            closed: Family::default(),
            left: Family::default(),
            failed: Family::default(),
            entries: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(1.0, 2.0, 8))
            }),
            rows: Family::default(),
            padded_rows: Family::default(),
            oldest_seconds: Family::new_with_constructor(seconds),
            run_seconds: Family::new_with_constructor(seconds),
        }
    }
}

impl Batches {
    fn register(&self, to: &mut prometheus_client::registry::Registry) {
        to.register("batch_closed", "Batches, by why they closed", self.closed.clone());
        to.register("batch_left", "Entries that left before they ran", self.left.clone());
        to.register("batch_failed", "Batches without an answer", self.failed.clone());
        to.register("batch_entries", "Entries of a batch", self.entries.clone());
        to.register("batch_rows", "Rows asked for", self.rows.clone());
        to.register("batch_padded_rows", "Rows run, padding included", self.padded_rows.clone());
        to.register(
            "batch_oldest_seconds",
            "Age of a batch's oldest entry when it closed",
            self.oldest_seconds.clone(),
        );
        to.register("batch_run_seconds", "Time of a run", self.run_seconds.clone());
    }

    /// Those of one role; what every batch counts is looked up here once.
    fn role(&self, role: &'static str) -> RoleBatches {
        let label = RoleLabel { role };
        RoleBatches {
            role,
            closed: self.closed.clone(),
            left: self.left.clone(),
            failed: self.failed.get_or_create_owned(&label),
            entries: self.entries.get_or_create_owned(&label),
            rows: self.rows.get_or_create_owned(&label),
            padded_rows: self.padded_rows.get_or_create_owned(&label),
            oldest_seconds: self.oldest_seconds.get_or_create_owned(&label),
            run_seconds: self.run_seconds.get_or_create_owned(&label),
        }
    }
}

/// [`Batches`] of one role.
struct RoleBatches {
    role: &'static str,
    closed: Family<ReasonLabels, Counter>,
    left: Family<ReasonLabels, Counter>,
    failed: Counter,
    entries: Histogram,
    rows: Counter,
    padded_rows: Counter,
    oldest_seconds: Histogram,
    run_seconds: Histogram,
}

impl BatchObserver for RoleBatches {
    fn batch(&self, report: &BatchReport) {
        let labels = ReasonLabels { role: self.role, reason: report.reason.name() };
        self.closed.get_or_create(&labels).inc();
        if !report.succeeded {
            self.failed.inc();
        }
        self.entries.observe(report.entries as f64);
        self.rows.inc_by(report.rows as u64);
        self.padded_rows.inc_by(report.padded_rows as u64);
        self.oldest_seconds.observe(report.oldest.as_secs_f64());
        self.run_seconds.observe(report.run.as_secs_f64());
    }

    fn left(&self, expired: usize, cancelled: usize) {
        for (reason, entries) in [("expired", expired), ("cancelled", cancelled)] {
            if entries > 0 {
                let labels = ReasonLabels { role: self.role, reason };
                self.left.get_or_create(&labels).inc_by(entries as u64);
            }
        }
    }
}

/// Registers what the bodies of requests in flight take, read when scraped.
pub fn watch_bodies(metrics: &Metrics, bodies: BodyMemory) {
    metrics.register(|to| to.register_collector(Box::new(Bodies(bodies))));
}

struct Bodies(BodyMemory);

impl fmt::Debug for Bodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bodies").field(&self.0.used()).finish()
    }
}

impl Collector for Bodies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, bytes) in [
            (
                "body_memory_used_bytes",
                "Memory that bodies of requests in flight take",
                self.0.used(),
            ),
            ("body_memory_limit_bytes", "What they may take at most", self.0.limit()),
        ] {
            let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_described_once_with_a_value_per_role() {
        let metrics = Metrics::new();
        let roles = RoleMetrics::register(&metrics);
        for (role, waiting) in [("scoring", 3), ("embedding", 5)] {
            roles.readings(role, move || {
                vec![
                    Reading::gauge("waiting", "Entries", waiting),
                    Reading::counter("peer_requests", "Calls", 1).at("a:1"),
                    Reading::counter("peer_requests", "Calls", 2).at("b:1"),
                ]
            });
            roles.batches(role).left(2, 0);
        }
        let page = metrics.encode().unwrap();
        for line in [
            "plugrank_waiting{role=\"scoring\"} 3\n",
            "plugrank_waiting{role=\"embedding\"} 5\n",
            "plugrank_peer_requests_total{role=\"scoring\",endpoint=\"b:1\"} 2\n",
            "plugrank_batch_left_total{role=\"embedding\",reason=\"expired\"} 2\n",
        ] {
            assert!(page.contains(line), "{line} {page}");
        }
        assert_eq!(page.matches("# TYPE plugrank_waiting gauge\n").count(), 1, "{page}");
        assert_eq!(page.matches("# TYPE plugrank_peer_requests counter\n").count(), 1, "{page}");
    }
}

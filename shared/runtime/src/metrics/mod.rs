//! One registry of metrics, handed to all that measure, and its two text forms.

mod process;
mod text_format;

use std::{sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, text},
    metrics::{MetricType, TypedMetric, exemplar::HistogramWithExemplars, info::Info},
    registry::Registry,
};

use self::process::ProcessCollector;
use crate::build;

/// The metrics of a process, or of a part of it. Clones share one registry; nothing is global.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    /// Of the process, without the prefix; empty for a part.
    process: Arc<Registry>,
    part: Arc<Mutex<Option<Metrics>>>,
}

impl Metrics {
    /// Media type of [`Metrics::encode`].
    pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    /// Media type of [`Metrics::encode_text`].
    pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// An empty registry; every name that is registered in it begins with `plugrank_`. Beside them are those of
    /// the process (`process_*`).
    #[must_use]
    pub fn new() -> Self {
        let mut process = Registry::default();
        process.register_collector(Box::new(ProcessCollector));
        let metrics = Self { process: Arc::new(process), ..Self::of_part() };
        let build = Info::new(vec![("version", build::VERSION), ("commit", build::COMMIT)]);
        metrics.register(|registry| {
            registry.register("build", "What the program was built from", build)
        });
        metrics
    }

    /// An empty registry for a part of the process that may be replaced as a whole
    /// ([`Self::show`]).
    #[must_use]
    pub fn of_part() -> Self {
        let registry = Registry::with_prefix("plugrank");
        Self {
            registry: Arc::new(Mutex::new(registry)),
            process: Arc::default(),
            part: Arc::default(),
        }
    }

    /// From now on the metrics of `part` are shown with these, in place of those of the part that was
    /// shown before. No name may be in both.
    pub fn show(&self, part: &Self) {
        *self.part.lock() = Some(part.clone());
    }

    /// Registers metrics, or collectors that are asked on every scrape.
    pub fn register<T>(&self, with: impl FnOnce(&mut Registry) -> T) -> T {
        with(&mut self.registry.lock())
    }

    /// All metrics as OpenMetrics text 1.0, which has exemplars.
    ///
    /// # Errors
    /// When a metric cannot be written, a defect of its type.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::new();
        self.encode_into(&mut page)?;
        let part = self.part.lock().clone();
        if let Some(part) = part {
            part.encode_into(&mut page)?;
        }
        text::encode_eof(&mut page)?;
        Ok(page)
    }

    /// All metrics in Prometheus' text format 0.0.4.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_text(&self) -> Result<String, std::fmt::Error> {
        self.encode().map(|page| text_format::from_open_metrics(&page))
    }

    fn encode_into(&self, page: &mut String) -> Result<(), std::fmt::Error> {
        text::encode_registry(page, &self.registry.lock())?;
        text::encode_registry(page, &self.process)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TraceLabel {
    trace_id: String,
}

/// A histogram of seconds whose buckets each name a trace that fell into it lately (OpenMetrics
/// exemplars): the way from a slow bucket to a request that was slow.
#[derive(Clone, Debug)]
pub struct LatencyHistogram(HistogramWithExemplars<TraceLabel>);

impl LatencyHistogram {
    /// One with these upper bounds, in seconds, ascending.
    #[must_use]
    pub fn new(bounds: impl IntoIterator<Item = f64>) -> Self {
        Self(HistogramWithExemplars::new(bounds.into_iter()))
    }

    /// Counts a time. `trace`, an id of 32 hexadecimal digits, is named by the bucket until another
    /// takes its place; name only traces that can be looked up.
    pub fn observe(&self, seconds: f64, trace: Option<&str>) {
        let label = trace.map(|id| TraceLabel { trace_id: id.to_owned() });
        let now = label.is_some().then(SystemTime::now);
        self.0.observe(seconds, label, now);
    }
}

impl EncodeMetric for LatencyHistogram {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }
}

impl TypedMetric for LatencyHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::{LatencyHistogram, Metrics};

    #[test]
    fn buckets_have_the_latest_trace_as_exemplar() {
        let metrics = Metrics::new();
        let latency = LatencyHistogram::new([0.1, 1.0]);
        metrics.register(|to| to.register("latency_seconds", "Latency", latency.clone()));
        let id = |digit: char| String::from(digit).repeat(32);
        latency.observe(0.05, Some(&id('a')));
        latency.observe(0.5, Some(&id('b')));
        latency.observe(0.6, Some(&id('c')));
        latency.observe(0.7, None);
        let page = metrics.encode().unwrap();
        let line = |bound: &str| {
            let start = format!("plugrank_latency_seconds_bucket{{le=\"{bound}\"}} ");
            page.lines().find(|line| line.starts_with(&start)).unwrap().to_owned()
        };
        assert!(
            line("0.1").contains(&format!(" 1 # {{trace_id=\"{}\"}} 0.05 1", id('a'))),
            "{page}"
        );
        assert!(
            line("1.0").contains(&format!(" 4 # {{trace_id=\"{}\"}} 0.6 1", id('c'))),
            "{page}"
        );
        assert!(!line("+Inf").contains('#'), "{page}");
    }

    #[test]
    fn metrics_of_one_component_are_shown_at_a_time() {
        let metrics = Metrics::new();
        let part = |value| {
            let (part, counter) = (Metrics::of_part(), Counter::<u64>::default());
            part.register(|to| to.register("rows", "Rows", counter.clone()));
            counter.inc_by(value);
            part
        };
        metrics.show(&part(1));
        metrics.show(&part(2));
        let page = metrics.encode().unwrap();
        let rows: Vec<&str> = page.lines().filter(|line| line.contains("rows_total")).collect();
        assert_eq!(rows, ["plugrank_rows_total 2"], "{page}");
        assert!(page.contains("plugrank_build_info{version=\""), "{page}");
        assert_eq!(page.matches("# EOF\n").count(), 1, "{page}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn process_metrics_are_exported_once() {
        let metrics = Metrics::new();
        metrics.show(&Metrics::of_part());
        let page = metrics.encode_text().unwrap();
        let value = |name: &str| -> f64 {
            let lines: Vec<&str> = page.lines().filter(|line| line.starts_with(name)).collect();
            let [line] = lines[..] else { panic!("{name}: {lines:?}") };
            line[name.len()..].trim().parse().unwrap()
        };
        assert!(page.contains("# TYPE process_cpu_seconds_total counter\n"), "{page}");
        assert!(value("process_cpu_seconds_total ") >= 0.0);
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        let began = value("process_start_time_seconds ");
        assert!((now - 86_400.0..now + 2.0).contains(&began), "{began} at {now}");
        let (resident, all) =
            (value("process_resident_memory_bytes "), value("process_virtual_memory_bytes "));
        assert!(1e6 < resident && resident < all, "{resident} of {all}");
        let (open, most) = (value("process_open_fds "), value("process_max_fds "));
        assert!(3.0 <= open && open < most, "{open} of {most}");
        assert!(value("process_threads ") >= 1.0);
    }

    #[test]
    fn clones_share_one_registry() {
        let metrics = Metrics::new();
        let counter = Counter::<u64>::default();
        metrics.clone().register(|to| to.register("events", "Events", counter.clone()));
        counter.inc_by(3);
        let page = metrics.encode().unwrap();
        assert!(page.contains("plugrank_events_total 3\n"), "{page}");
        assert!(page.contains("plugrank_build_info{version=\""), "{page}");
        assert!(page.ends_with("# EOF\n"));
    }
}

//! What the gateway counts.

use std::{borrow::Cow, fmt, sync::atomic::AtomicU64};

use plugrank_budget::{Admission, Rung, Stage, StageOutcome, StageRecord, Step};
use plugrank_runtime::{LatencyHistogram, Metrics};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

use crate::{api::rank::Coverage, pipeline::Degraded};

/// Registers metrics of one type: name, what it counts, the metric.
pub(crate) fn register_all<'m, M: Metric + Clone + 'm>(
    to: &mut Registry,
    metrics: impl IntoIterator<Item = (&'static str, &'static str, &'m M)>,
) {
    for (name, help, metric) in metrics {
        to.register(name, help, metric.clone());
    }
}

type Histograms<L> = Family<L, LatencyHistogram, fn() -> LatencyHistogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) method: &'static str,
    pub(crate) route: Cow<'static, str>,
    pub(crate) status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: Cow<'static, str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DegradedLabels {
    stage: &'static str,
    rung: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RungLabels {
    rung: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SurfaceLabels {
    surface: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabels {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OriginLabels {
    origin: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoticeLabels {
    notice: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    result: &'static str,
}

/// Where a candidate's record comes from, in the order of [`Coverage`].
const ORIGINS: [&str; 4] = ["memory", "store", "encoded", "missing"];

/// Those of one stage.
#[derive(Debug)]
struct StageMetrics {
    /// By outcome.
    seconds: [LatencyHistogram; StageOutcome::ALL.len()],
    used: Histogram,
}

/// The gateway's metrics. Those whose labels are known beforehand are found once, at the start; what
/// every request counts costs no look-up.
#[derive(Debug)]
pub(crate) struct GatewayMetrics {
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histograms<RouteLabels>,
    stages: [StageMetrics; Stage::ALL.len()],
    answers: [Counter; Rung::ALL.len()],
    surfaces: Family<SurfaceLabels, Counter>,
    rejected: Family<CauseLabels, Counter>,
    degraded: Family<DegradedLabels, Counter>,
    rows: [Counter; ORIGINS.len()],
    unknown: Counter,
    unknown_event_items: Counter,
    events: Family<EventLabels, Counter>,
    failed_notices: Family<NoticeLabels, Counter>,
    arms_without_model: Counter,
    arms_without_surface: Counter,
}

/// Bounds in seconds, 0.25 ms to 5 s: dense where budgets of tens of milliseconds lie.
fn latency_histogram() -> LatencyHistogram {
    LatencyHistogram::new([
        0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05,
        0.075, 0.1, 0.25, 0.5, 1.0, 5.0,
    ])
}

/// Parts of an allotment, from a twentieth to just over all of it.
fn part_histogram() -> Histogram {
    Histogram::new([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1])
}

/// Rung and recent p99, as a part of its share, of a stage now.
pub(crate) type StageState = Box<dyn Fn(Stage) -> (Rung, Option<f64>) + Send + Sync>;

/// Registers what is read when scraped: where each stage stands, and how full the gateway is.
pub(crate) fn watch(metrics: &Metrics, stage_state: StageState, admission: &Admission) {
    let watched = Watched { stage_state, admission: admission.clone() };
    metrics.register(|registry| registry.register_collector(Box::new(watched)));
}

struct Watched {
    stage_state: StageState,
    admission: Admission,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (rungs, p99s) = (Family::<StageLabel, Gauge>::default(), FloatGauges::default());
        for stage in Stage::ALL {
            let labels = StageLabel { stage: stage.as_str() };
            let (rung, p99) = (self.stage_state)(stage);
            let level = stage.rungs().iter().position(|one| *one == rung).unwrap_or(0);
            rungs.get_or_create(&labels).set(level as i64);
            p99s.get_or_create(&labels).set(p99.unwrap_or(0.0));
        }
        let seconds = FloatGauge::default();
        seconds.set(self.admission.predicted().as_secs_f64());
        let in_flight = Gauge::<i64>::default();
        in_flight.set(self.admission.in_flight() as i64);
        let gauges: [(&str, &str, &dyn EncodeMetricGauge); 4] = [
            ("rung", "Place on the stage's ladder, 0 is the best", &rungs),
            ("stage_p99_share", "Recent p99 of a stage as a part of its share", &p99s),
            ("rank_in_flight", "Rank requests in flight", &in_flight),
            ("rank_predicted_seconds", "When a new rank request would be answered", &seconds),
        ];
        for (name, help, gauge) in gauges {
            gauge.encode_gauge(encoder.encode_descriptor(
                name,
                help,
                None,
                MetricType::Gauge,
            )?)?;
        }
        Ok(())
    }
}

type FloatGauge = Gauge<f64, AtomicU64>;
type FloatGauges = Family<StageLabel, FloatGauge>;

/// `EncodeMetric` behind a reference to any gauge.
trait EncodeMetricGauge {
    fn encode_gauge(&self, encoder: MetricEncoder<'_>) -> fmt::Result;
}

impl<M: EncodeMetric> EncodeMetricGauge for M {
    fn encode_gauge(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.encode(encoder)
    }
}

impl GatewayMetrics {
    pub(crate) fn register(metrics: &Metrics) -> (Self, LadderMetrics) {
        let stage_seconds: Histograms<StageLabels> =
            Family::new_with_constructor(latency_histogram);
        let stage_used = Family::<StageLabel, Histogram, fn() -> Histogram>::new_with_constructor(
            part_histogram,
        );
        let answers = Family::<RungLabels, Counter>::default();
        let rows = Family::<OriginLabels, Counter>::default();
        let ours = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(latency_histogram),
            stages: Stage::ALL.map(|stage| {
                let stage = stage.as_str();
                StageMetrics {
                    seconds: StageOutcome::ALL.map(|outcome| {
                        let labels = StageLabels { stage, outcome: outcome.as_str() };
                        stage_seconds.get_or_create_owned(&labels)
                    }),
                    used: stage_used.get_or_create_owned(&StageLabel { stage }),
                }
            }),
            answers: Rung::ALL
                .map(|rung| answers.get_or_create_owned(&RungLabels { rung: rung.as_str() })),
            surfaces: Family::default(),
            rejected: Family::default(),
            degraded: Family::default(),
            rows: ORIGINS.map(|origin| rows.get_or_create_owned(&OriginLabels { origin })),
            unknown: Counter::default(),
            unknown_event_items: Counter::default(),
            events: Family::default(),
            failed_notices: Family::default(),
            arms_without_model: Counter::default(),
            arms_without_surface: Counter::default(),
        };
        let ladder = LadderMetrics::default();
        metrics.register(|to| {
            to.register(
                "rung_steps",
                "Steps of the ladder, by stage and direction",
                ladder.steps.clone(),
            );
            to.register(
                "stage_budget_used_ratio",
                "Time a stage took as a part of what it was allotted",
                stage_used,
            );
            to.register("answers", "Rank answers, by their lowest rung", answers);
            to.register(
                "surface_answers",
                "Rank answers by surface of the settings; none: the request named none",
                ours.surfaces.clone(),
            );
            to.register("rejected", "Requests not let in, by cause", ours.rejected.clone());
            to.register("http_requests", "Answered requests", ours.requests.clone());
            to.register(
                "http_request_duration_seconds",
                "Time from a request's head to its answer",
                ours.request_seconds.clone(),
            );
            to.register("stage_duration_seconds", "Time a pipeline stage took", stage_seconds);
            to.register(
                "degraded",
                "Rank answers that fell to a lower rung",
                ours.degraded.clone(),
            );
            to.register("ranked_rows", "Scored candidates, by where their record came from", rows);
            to.register(
                "unknown_candidates",
                "Candidates callers named that the catalog does not have",
                ours.unknown.clone(),
            );
            to.register("events", "Events received, by what happened to them", ours.events.clone());
            to.register(
                "events_unknown_items",
                "Events whose item the catalog does not have",
                ours.unknown_event_items.clone(),
            );
            to.register(
                "failed_notices",
                "Changes that were stored but of which a service could not be told",
                ours.failed_notices.clone(),
            );
            to.register(
                "arms_without_model",
                "Requests whose arm names a model that is not ready here; the active one answered",
                ours.arms_without_model.clone(),
            );
            to.register(
                "arms_without_surface",
                "Requests whose arm names a surface that the settings do not have; the one asked for answered",
                ours.arms_without_surface.clone(),
            );
        });
        (ours, ladder)
    }

    /// `trace`: the request's trace, if it can be looked up.
    pub(crate) fn request(&self, labels: RequestLabels, seconds: f64, trace: Option<&str>) {
        self.requests.get_or_create(&labels).inc();
        let RequestLabels { method, route, .. } = labels;
        let labels = RouteLabels { method, route };
        self.request_seconds.get_or_create(&labels).observe(seconds, trace);
    }

    /// `trace`: the request's trace, if it can be looked up.
    pub(crate) fn stage(&self, record: &StageRecord, trace: Option<&str>) {
        let stage = &self.stages[record.stage as usize];
        stage.seconds[record.outcome as usize].observe(record.spent.as_secs_f64(), trace);
        let allotted = record.allotted.as_secs_f64();
        if allotted > 0.0 {
            stage.used.observe(record.spent.as_secs_f64() / allotted);
        }
    }

    pub(crate) fn answer(&self, rung: Rung) {
        self.answers[rung as usize].inc();
    }

    /// Counts the answers of a surface. Asked at the start, for each one there is.
    pub(crate) fn surface(&self, name: &str) -> Counter {
        let surface = if name.is_empty() { "none" } else { name }.to_owned();
        self.surfaces.get_or_create_owned(&SurfaceLabels { surface })
    }

    pub(crate) fn rejected(&self, cause: &'static str) {
        self.rejected.get_or_create(&CauseLabels { cause }).inc();
    }

    pub(crate) fn degraded(&self, degraded: &Degraded) {
        let labels = DegradedLabels {
            stage: degraded.stage.as_str(),
            rung: degraded.fallback.as_str(),
            cause: degraded.cause.as_str(),
        };
        self.degraded.get_or_create(&labels).inc();
    }

    pub(crate) fn coverage(&self, coverage: &Coverage) {
        let Coverage { memory, store, encoded, missing, .. } = *coverage;
        for (rows, counter) in [memory, store, encoded, missing].into_iter().zip(&self.rows) {
            counter.inc_by(u64::from(rows));
        }
        self.unknown.inc_by(u64::from(coverage.unknown));
    }

    pub(crate) fn events(&self, accepted: usize, repeats: usize, refused: usize) {
        for (result, count) in [("accepted", accepted), ("repeat", repeats), ("refused", refused)] {
            self.events.get_or_create(&EventLabels { result }).inc_by(count as u64);
        }
    }

    pub(crate) fn events_of_unknown_items(&self, count: usize) {
        self.unknown_event_items.inc_by(count as u64);
    }

    /// Counts a request whose arm names a model that is not ready here.
    pub(crate) fn arm_without_model(&self) {
        self.arms_without_model.inc();
    }

    /// Counts a request whose arm names a surface that the settings do not have.
    pub(crate) fn arm_without_surface(&self) {
        self.arms_without_surface.inc();
    }

    pub(crate) fn failed_notice(&self, notice: &'static str) {
        self.failed_notices.get_or_create(&NoticeLabels { notice }).inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    stage: &'static str,
    direction: &'static str,
    to: &'static str,
}

/// What the ladder does.
#[derive(Debug, Default)]
pub(crate) struct LadderMetrics {
    /// Steps, by stage and direction.
    steps: Family<StepLabels, Counter>,
}

impl LadderMetrics {
    pub(crate) fn step(&self, step: &Step) {
        let direction = if step.is_down() { "down" } else { "up" };
        let labels = StepLabels { stage: step.stage.as_str(), direction, to: step.to.as_str() };
        self.steps.get_or_create(&labels).inc();
    }
}

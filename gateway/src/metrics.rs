//! What the gateway counts.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use plugrank_budget::{Admission, Rung, Stage, StageRecord, Step};
use plugrank_runtime::{LatencyHistogram, Metrics};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

use crate::{api::rank::Coverage, controller::Controller, pipeline::Degraded};

type Histograms<L> = Family<L, LatencyHistogram, fn() -> LatencyHistogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
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
struct StepLabels {
    stage: &'static str,
    direction: &'static str,
    to: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RungLabels {
    rung: &'static str,
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

/// The gateway's metrics.
#[derive(Debug)]
pub(crate) struct GatewayMetrics {
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histograms<RouteLabels>,
    stage_seconds: Histograms<StageLabels>,
    stage_used: Family<StageLabel, Histogram, fn() -> Histogram>,
    answers: Family<RungLabels, Counter>,
    rejected: Family<CauseLabels, Counter>,
    degraded: Family<DegradedLabels, Counter>,
    rows: Family<OriginLabels, Counter>,
    unknown: Counter,
    events: Family<EventLabels, Counter>,
    failed_notices: Family<NoticeLabels, Counter>,
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

/// What the ladder does.
#[derive(Debug, Default)]
pub(crate) struct LadderMetrics {
    steps: Family<StepLabels, Counter>,
}

impl LadderMetrics {
    pub(crate) fn step(&self, step: &Step) {
        let direction = if step.is_down() { "down" } else { "up" };
        let labels = StepLabels { stage: step.stage.as_str(), direction, to: step.to.as_str() };
        self.steps.get_or_create(&labels).inc();
    }
}

/// Registers what is read when scraped: where each stage stands, and how full the gateway is.
pub(crate) fn watch(metrics: &Metrics, controller: &Arc<Controller>, admission: &Admission) {
    let watched = Watched { controller: Arc::clone(controller), admission: admission.clone() };
    metrics.register(|registry| registry.register_collector(Box::new(watched)));
}

struct Watched {
    controller: Arc<Controller>,
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
            let (rung, p99) = self.controller.stage_state(stage);
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
        let ours = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(latency_histogram),
            stage_seconds: Family::new_with_constructor(latency_histogram),
            stage_used: Family::new_with_constructor(part_histogram),
            answers: Family::default(),
            rejected: Family::default(),
            degraded: Family::default(),
            rows: Family::default(),
            unknown: Counter::default(),
            events: Family::default(),
            failed_notices: Family::default(),
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
                ours.stage_used.clone(),
            );
            to.register("answers", "Rank answers, by their lowest rung", ours.answers.clone());
            to.register("rejected", "Requests not let in, by cause", ours.rejected.clone());
            to.register("http_requests", "Answered requests", ours.requests.clone());
            to.register(
                "http_request_duration_seconds",
                "Time from a request's head to its answer",
                ours.request_seconds.clone(),
            );
            to.register(
                "stage_duration_seconds",
                "Time a pipeline stage took",
                ours.stage_seconds.clone(),
            );
            to.register(
                "degraded",
                "Rank answers that fell to a lower rung",
                ours.degraded.clone(),
            );
            to.register(
                "ranked_rows",
                "Scored candidates, by where their record came from",
                ours.rows.clone(),
            );
            to.register(
                "unknown_candidates",
                "Candidates callers named that the catalog does not have",
                ours.unknown.clone(),
            );
            to.register("events", "Events received", ours.events.clone());
            to.register(
                "failed_notices",
                "Changes that were stored but of which a service could not be told",
                ours.failed_notices.clone(),
            );
        });
        (ours, ladder)
    }

    /// `trace`: the request's trace, if it can be looked up.
    pub(crate) fn request(
        &self,
        method: &str,
        route: &str,
        status: u16,
        seconds: f64,
        trace: Option<&str>,
    ) {
        let (method, route) = (method.to_owned(), route.to_owned());
        let labels = RouteLabels { method: method.clone(), route: route.clone() };
        self.request_seconds.get_or_create(&labels).observe(seconds, trace);
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    /// `trace`: the request's trace, if it can be looked up.
    pub(crate) fn stage(&self, record: &StageRecord, trace: Option<&str>) {
        let labels = StageLabels { stage: record.stage.as_str(), outcome: record.outcome.as_str() };
        self.stage_seconds.get_or_create(&labels).observe(record.spent.as_secs_f64(), trace);
        let allotted = record.allotted.as_secs_f64();
        if allotted > 0.0 {
            let used = record.spent.as_secs_f64() / allotted;
            self.stage_used.get_or_create(&StageLabel { stage: labels.stage }).observe(used);
        }
    }

    pub(crate) fn answer(&self, rung: Rung) {
        self.answers.get_or_create(&RungLabels { rung: rung.as_str() }).inc();
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
        for (origin, rows) in [
            ("memory", coverage.memory),
            ("store", coverage.store),
            ("encoded", coverage.encoded),
            ("missing", coverage.missing),
        ] {
            self.rows.get_or_create(&OriginLabels { origin }).inc_by(u64::from(rows));
        }
        self.unknown.inc_by(u64::from(coverage.unknown));
    }

    pub(crate) fn events(&self, accepted: u64, duplicates: u64) {
        self.events.get_or_create(&EventLabels { result: "accepted" }).inc_by(accepted);
        self.events.get_or_create(&EventLabels { result: "duplicate" }).inc_by(duplicates);
    }

    pub(crate) fn failed_notice(&self, notice: &'static str) {
        self.failed_notices.get_or_create(&NoticeLabels { notice }).inc();
    }
}

//! What the gateway counts.

use plugrank_budget::StageRecord;
use plugrank_runtime::{LatencyHistogram, Metrics};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use crate::{api::rank::Coverage, pipeline::Degraded};

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

impl GatewayMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let ours = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(latency_histogram),
            stage_seconds: Family::new_with_constructor(latency_histogram),
            degraded: Family::default(),
            rows: Family::default(),
            unknown: Counter::default(),
            events: Family::default(),
            failed_notices: Family::default(),
        };
        metrics.register(|to| {
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
        ours
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
    }

    pub(crate) fn degraded(&self, degraded: &Degraded) {
        let labels =
            DegradedLabels { stage: degraded.stage.as_str(), cause: degraded.cause.as_str() };
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

//! The requests an operator asks about: recent ones that were slow, degraded, late or failed.

use std::{
    cmp::Reverse,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use opentelemetry::{TraceId, trace::SpanKind};
use opentelemetry_sdk::trace::SpanData;
use parking_lot::{Mutex, MutexGuard};

use plugrank_runtime::{
    options::AdminOptions,
    telemetry::{ALLOTTED_MS, Cause, TOTAL_MS, span_data::number},
};

use crate::{
    pending::EndedTrace,
    waterfall::{self, RequestTrace},
};

/// Spans kept of one request.
const SPANS: usize = 512;

/// The slowest recent requests that have a budget, and the latest that were degraded, late or
/// failed. Fed with whole traces as they end. Clones share them.
#[derive(Clone, Debug)]
pub struct RecentRequests {
    keep: usize,
    recent: Duration,
    lists: Arc<Mutex<Lists>>,
}

#[derive(Debug, Default)]
struct Lists {
    /// Slowest first.
    slowest: Vec<Arc<Remembered>>,
    /// Latest last.
    noted: std::collections::VecDeque<Arc<Remembered>>,
}

#[derive(Clone, Debug)]
struct Remembered {
    trace: TraceId,
    at: Instant,
    duration: Duration,
    request: RequestTrace,
}

impl RecentRequests {
    /// None yet.
    #[must_use]
    pub fn new(settings: &AdminOptions) -> Self {
        let lists = Arc::default();
        Self { keep: settings.requests, recent: settings.recent(), lists }
    }

    /// The slowest requests, slowest first.
    #[must_use]
    pub fn slowest(&self) -> Vec<RequestTrace> {
        let mut lists = self.lists();
        lists.forget(Instant::now(), self.recent);
        lists.slowest.iter().map(|one| one.request.clone()).collect()
    }

    /// Requests that were degraded, over budget or in error, latest first.
    #[must_use]
    pub fn noted(&self) -> Vec<RequestTrace> {
        let mut lists = self.lists();
        lists.forget(Instant::now(), self.recent);
        lists.noted.iter().rev().map(|one| one.request.clone()).collect()
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock()
    }

    /// Whether a request that ends now would be remembered.
    pub(crate) fn wants(&self, cause: Option<Cause>, spent: Duration, budgeted: bool) -> bool {
        if cause.is_some() || !budgeted {
            return cause.is_some();
        }
        let mut lists = self.lists();
        lists.forget(Instant::now(), self.recent);
        lists.is_slow(spent, self.keep)
    }

    /// A trace ended.
    pub(crate) fn ended(&self, ended: &EndedTrace) {
        self.ended_at(ended, Instant::now());
    }

    fn ended_at(&self, ended: &EndedTrace, now: Instant) {
        let is_root = |span: &&Arc<SpanData>| span.span_context.span_id() == ended.root;
        let Some(root) = ended.spans.iter().find(is_root) else { return };
        if root.span_kind != SpanKind::Server {
            return;
        }
        let duration = length(root.start_time, root.end_time);
        let budgeted = number(root, TOTAL_MS).or_else(|| number(root, ALLOTTED_MS)).is_some();
        let mut lists = self.lists();
        lists.forget(now, self.recent);
        let slow = budgeted && lists.is_slow(duration, self.keep);
        let noted = ended.cause.is_some();
        if !slow && !noted {
            return;
        }
        let spans = ended.spans.iter().map(|span| &**span).take(SPANS);
        let request = waterfall::trace(root, spans, ended.cause, ended.exported);
        let trace = root.span_context.trace_id();
        let remembered = Arc::new(Remembered { trace, at: now, duration, request });
        if slow {
            lists.slowest.push(Arc::clone(&remembered));
            lists.slowest.sort_by_key(|one| Reverse(one.duration));
            lists.slowest.truncate(self.keep);
        }
        if noted {
            lists.noted.push_back(remembered);
            if lists.noted.len() > self.keep {
                lists.noted.pop_front();
            }
        }
    }

    /// A span ended after its request.
    pub(crate) fn late(&self, span: &SpanData) {
        let trace = span.span_context.trace_id();
        let linked: Vec<TraceId> =
            span.links.iter().map(|link| link.span_context.trace_id()).collect();
        let mut lists = self.lists();
        let Lists { slowest, noted } = &mut *lists;
        for one in slowest.iter_mut().chain(noted) {
            let concerned = one.trace == trace || linked.contains(&one.trace);
            if concerned && one.request.spans.len() < SPANS {
                Arc::make_mut(one).request.add(span);
            }
        }
    }
}

impl Lists {
    fn forget(&mut self, now: Instant, recent: Duration) {
        let fresh = |one: &Arc<Remembered>| now.saturating_duration_since(one.at) < recent;
        self.slowest.retain(fresh);
        self.noted.retain(fresh);
    }

    fn is_slow(&self, duration: Duration, keep: usize) -> bool {
        self.slowest.len() < keep
            || self.slowest.last().is_some_and(|slowest| slowest.duration < duration)
    }
}

fn length(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::*;
    use plugrank_runtime::telemetry::testing::{linked, span};

    fn recent(keep: usize) -> RecentRequests {
        let settings = AdminOptions {
            bind: None,
            requests: keep,
            recent_ms: 60_000,
            ..AdminOptions::default()
        };
        RecentRequests::new(&settings)
    }

    fn request(trace: u128, ms: u64, cause: Option<Cause>) -> EndedTrace {
        let mut root = span(trace, 1, None, vec![KeyValue::new(TOTAL_MS, 50.0)]);
        root.end_time = root.start_time + Duration::from_millis(ms);
        let exported = false;
        EndedTrace { cause, exported, root: root.span_context.span_id(), spans: vec![root.into()] }
    }

    fn durations(requests: &[RequestTrace]) -> Vec<f64> {
        requests.iter().map(|request| request.duration_ms).collect()
    }

    #[test]
    fn the_slowest_and_the_latest_degraded_requests_are_kept() {
        let recent = recent(2);
        let ms = Duration::from_millis;
        assert!(recent.wants(None, ms(1), true) && !recent.wants(None, ms(1), false));
        for (trace, ms) in [(1, 10), (2, 30), (3, 20), (4, 5)] {
            recent.ended(&request(trace, ms, None));
        }
        assert_eq!(durations(&recent.slowest()), [30.0, 20.0]);
        assert!(recent.noted().is_empty());
        assert!(recent.wants(None, ms(25), true) && !recent.wants(None, ms(15), true));
        assert!(recent.wants(Some(Cause::Degraded), ms(1), false));
        for (trace, ms) in [(5, 1), (6, 2), (7, 3)] {
            recent.ended(&request(trace, ms, Some(Cause::Degraded)));
        }
        assert_eq!(durations(&recent.noted()), [3.0, 2.0], "latest first");
        assert_eq!(durations(&recent.slowest()), [30.0, 20.0]);
    }

    #[test]
    fn spans_without_a_request_or_budget_are_not_among_the_slowest() {
        let recent = recent(2);
        let mut ended = request(1, 10, None);
        Arc::make_mut(&mut ended.spans[0]).span_kind = SpanKind::Internal;
        recent.ended(&ended);
        let root = span(2, 1, None, vec![]);
        let id = root.span_context.span_id();
        let spans = vec![root.into()];
        recent.ended(&EndedTrace { cause: None, exported: true, root: id, spans });
        assert!(recent.slowest().is_empty());
    }

    #[test]
    fn requests_expire() {
        let recent = recent(2);
        let now = Instant::now();
        let Some(before) = now.checked_sub(Duration::from_secs(61)) else { return };
        recent.ended_at(&request(1, 10, Some(Cause::Error)), before);
        recent.ended_at(&request(2, 5, Some(Cause::Error)), now);
        assert_eq!(durations(&recent.slowest()), [5.0]);
        assert_eq!(durations(&recent.noted()), [5.0]);
    }

    #[test]
    fn late_spans_are_added() {
        let recent = recent(2);
        recent.ended(&request(1, 10, Some(Cause::OverBudget)));
        recent.late(&span(1, 7, Some(1), vec![]));
        recent.late(&span(2, 7, Some(1), vec![]));
        recent.late(&linked(span(3, 9, None, vec![]), &[(1, 7)]));
        assert_eq!(recent.noted()[0].spans.len(), 3);
        assert_eq!(recent.slowest()[0].spans.len(), 3);
    }
}

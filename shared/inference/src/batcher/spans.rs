//! Spans of calls that wait for a batch, and of batches, which link to the calls in them.

use std::{collections::HashSet, time::Duration};

use plugrank_contract::context::{TRACE_ROOT_TARGET, TRACE_TARGET};
use tracing::{Level, Span, field::Empty};

use super::{report::CloseReason, shape::Shape};

/// Span of a call's entries, from their arrival to their answers; none outside a trace.
pub(super) fn of_call(name: &str, entries: usize) -> Span {
    let recorded = tracing::span_enabled!(target: TRACE_TARGET, Level::INFO);
    if !recorded || Span::current().is_none() {
        return Span::none();
    }
    tracing::info_span!(
        target: TRACE_TARGET,
        "batch.call",
        otel.name = format!("{name} wait and run"),
        otel.kind = "internal",
        batch.entries = entries as i64,
        batch.padded_rows = Empty,
    )
}

/// What a batch tells its span.
pub(super) struct Facts<'a> {
    pub(super) name: &'a str,
    pub(super) reason: CloseReason,
    pub(super) shape: Shape,
    pub(super) rows: usize,
    pub(super) padded_rows: usize,
    pub(super) oldest: Duration,
    pub(super) entries: usize,
}

/// Span of a batch, a trace of its own with a link to each call that has entries in it; none when
/// none of the calls is traced.
pub(super) fn of_batch(facts: &Facts<'_>, calls: Vec<Span>) -> Span {
    if calls.iter().all(Span::is_disabled) {
        return Span::none();
    }
    let span = tracing::info_span!(
        target: TRACE_ROOT_TARGET,
        parent: None,
        "batch",
        otel.name = format!("{} batch", facts.name),
        otel.kind = "internal",
        otel.status_code = Empty,
        otel.status_description = Empty,
        batch.close_reason = facts.reason.name(),
        batch.shape = %facts.shape,
        batch.entries = facts.entries as i64,
        batch.rows = facts.rows as i64,
        batch.padded_rows = facts.padded_rows as i64,
        batch.oldest_ms = facts.oldest.as_micros() as f64 / 1000.0,
    );
    let mut linked = HashSet::new();
    for call in &calls {
        if let Some(id) = call.id().filter(|id| linked.insert(id.clone())) {
            span.follows_from(id);
        }
    }
    span
}

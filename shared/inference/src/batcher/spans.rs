//! Spans of calls that wait for a batch, and of batches, which link to the calls in them.

use std::collections::HashSet;

use plugrank_contract::context::{TRACE_ROOT_TARGET, TRACE_TARGET};
use tracing::{Level, Span, field::Empty};

use super::{runner::Batch, shared::Shared};

/// Span of a call's entries, from their arrival to their answers; none outside a trace.
pub(super) fn call(name: &str, entries: usize) -> Span {
    let recorded = tracing::span_enabled!(target: TRACE_TARGET, Level::INFO);
    if !recorded || Span::current().is_none() {
        return Span::none();
    }
    tracing::info_span!(
        target: TRACE_TARGET,
        "batch.call",
        otel.name = format!("{name} wait and run"),
        otel.kind = "internal",
        plugrank.batch.entries = entries as i64,
        plugrank.batch.padded_rows = Empty,
    )
}

/// Span of a batch, a trace of its own with a link to each call that has entries in it; none when
/// none of the calls is traced.
pub(super) fn batch<'a>(
    shared: &Shared,
    batch: &Batch,
    entries: usize,
    calls: impl Iterator<Item = &'a Span> + Clone,
) -> Span {
    if calls.clone().all(Span::is_disabled) {
        return Span::none();
    }
    let padded_rows = shared.policy.buckets.row_axis().padded_rows(batch.shape);
    let span = tracing::info_span!(
        target: TRACE_ROOT_TARGET,
        parent: None,
        "batch",
        otel.name = format!("{} batch", shared.name),
        otel.kind = "internal",
        otel.status_code = Empty,
        otel.status_description = Empty,
        plugrank.batch.close_reason = batch.reason.name(),
        plugrank.batch.shape = %batch.shape,
        plugrank.batch.entries = entries as i64,
        plugrank.batch.rows = batch.rows as i64,
        plugrank.batch.padded_rows = padded_rows as i64,
        plugrank.batch.oldest_ms = batch.oldest.as_micros() as f64 / 1000.0,
    );
    let mut linked = HashSet::new();
    for call in calls {
        if let Some(id) = call.id().filter(|id| linked.insert(id.clone())) {
            span.follows_from(id);
        }
    }
    span
}

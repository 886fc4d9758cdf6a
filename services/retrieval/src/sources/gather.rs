//! Asks the sources.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use plugrank_contract::{Deadline, inner_span, panic_text, retrieval::Name};
use tokio::time::Instant;
use tracing::{Instrument, Span, field::Empty};

use super::{Active, Found, SourceRequest};
use crate::{answer::Answer, merge::RankedLists, options::Quota};

/// What the sources gave, and which failed and why.
pub(crate) struct Gathered {
    pub(crate) lists: RankedLists,
    pub(crate) failed: Vec<(Name, String)>,
}

/// Asks all sources; those that wait for something wait side by side. One that fails, panics or is
/// not done by `until` is reported; the others still answer.
pub(crate) async fn gather<'s>(
    sources: impl ExactSizeIterator<Item = (&'s Active, Quota)> + Clone,
    request: SourceRequest<'s>,
    until: Deadline,
) -> Gathered {
    let begun = Instant::now();
    let mut found: Vec<Option<Found>> = Vec::with_capacity(sources.len());
    let mut waiting: Vec<(usize, &Active, Span, BoxFuture<'_, Found>)> = Vec::new();
    for (source, quota) in sources.clone() {
        let span = span(source.name);
        match span.in_scope(|| ask(source, quota, request)) {
            Answer::Now(answer) => {
                record(&span, &answer);
                found.push(Some(answer));
            }
            Answer::Later(answer) => {
                waiting.push((found.len(), source, span, answer));
                found.push(None);
            }
        }
    }
    if !waiting.is_empty() {
        let waits = waiting.into_iter().map(|(at, source, span, answer)| {
            let answer = in_time(source, answer, begun, until);
            async move {
                let answer = answer.instrument(span.clone()).await;
                record(&span, &answer);
                (at, answer)
            }
        });
        for (at, answer) in join_all(waits).await {
            found[at] = Some(answer);
        }
    }
    let named = found.iter().flatten().flatten().map(Vec::len).sum();
    let lists = RankedLists::with_room(sources.len(), named);
    let mut gathered = Gathered { lists, failed: Vec::new() };
    for ((source, quota), found) in sources.zip(found) {
        match found {
            Some(Ok(items)) => {
                gathered.lists.add(source.set, quota.weight, items);
            }
            Some(Err(reason)) => gathered.failed.push((Name::Borrowed(source.name), reason)),
            None => {}
        }
    }
    gathered
}

fn ask<'a>(source: &'a Active, quota: Quota, request: SourceRequest<'a>) -> Answer<'a, Found> {
    let enough = quota.count(request.query.limit);
    catch_unwind(AssertUnwindSafe(|| source.source.retrieve(request, enough)))
        .unwrap_or_else(|panic| Answer::Now(Err(panicked(source.name, &*panic))))
}

async fn in_time(
    source: &Active,
    answer: BoxFuture<'_, Found>,
    begun: Instant,
    until: Deadline,
) -> Found {
    let answer = AssertUnwindSafe(answer).catch_unwind();
    let late = || {
        let until = until.moment().unwrap_or(begun);
        let allowed = until.saturating_duration_since(begun);
        Ok(Err(format!("did not answer within {} ms", allowed.as_millis())))
    };
    let answer = until.limit(answer).await.unwrap_or_else(late);
    answer.unwrap_or_else(|panic| Err(panicked(source.name, &*panic)))
}

fn panicked(source: &str, panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic_text(panic);
    tracing::error!(source, panic = text, "a source panicked");
    format!("panicked: {text}")
}

fn span(source: &str) -> Span {
    inner_span!(
        "source",
        otel.name = format!("source {source}"),
        otel.status_code = Empty,
        otel.status_description = Empty,
        plugrank.retrieval.candidates = Empty,
    )
}

fn record(span: &Span, found: &Found) {
    match found {
        Ok(named) => {
            span.record("plugrank.retrieval.candidates", named.len() as i64);
        }
        Err(reason) => {
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", reason.as_str());
        }
    }
}

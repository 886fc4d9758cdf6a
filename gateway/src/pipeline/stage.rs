//! One stage: a call under a deadline, inside a span, measured once.

use plugrank_budget::{Budget, Stage, StageResult};
use plugrank_contract::{Call, CallError, Context};
use plugrank_runtime::trace_context;
use plugrank_transport::Client;
use tracing::{Instrument, field::Empty};

use crate::observe::RequestInfo;

/// Calls a service for a stage. `check` looks over the reply; one it refuses has failed.
///
/// The measurement that decides whether the stage is cut is the one its span reports.
pub(super) async fn run<C: Call>(
    budget: &mut Budget,
    stage: Stage,
    info: &RequestInfo,
    client: &Client<C>,
    call: C,
    check: impl FnOnce(&C::Reply) -> Result<(), CallError>,
) -> StageResult<C::Reply> {
    let span = tracing::info_span!(
        "stage",
        otel.name = format!("rank.{stage}"),
        otel.kind = "internal",
        otel.status_code = Empty,
        rpc.method = C::PATH,
        error.message = Empty,
        budget.allotted_ms = Empty,
        budget.spent_ms = Empty,
        budget.outcome = Empty,
    );
    let traceparent = trace_context::traceparent(&span);
    let result = budget
        .run(stage, |deadline| {
            let context =
                Context { request_id: info.request_id, deadline: Some(deadline), traceparent };
            let answer = client.call(context, call);
            async move {
                let reply = answer.await?;
                check(&reply)?;
                Ok(reply)
            }
            .instrument(span.clone())
        })
        .await;
    span.record("budget.allotted_ms", crate::api::millis(result.record.allotted));
    span.record("budget.spent_ms", crate::api::millis(result.record.spent));
    span.record("budget.outcome", result.record.outcome.as_str());
    if let Err(error) = &result.value {
        span.record("otel.status_code", "ERROR");
        span.record("error.message", error.message.as_str());
    }
    result
}

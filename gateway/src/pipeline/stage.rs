//! One stage: a call under a deadline, measured once.

use plugrank_budget::{Stage, StageResult};
use plugrank_contract::{Call, CallError, Context};
use plugrank_transport::Client;
use tracing::Instrument;

use super::RankRun;
use crate::request_spans::StageSpan;

/// Calls a service for a stage. `check` looks over the reply; one it refuses has failed.
///
/// The measurement that decides whether the stage is cut is the one that its record, its span (where
/// the request is sampled) and the controller have.
pub(super) async fn stage<C: Call>(
    run: &mut RankRun<'_>,
    stage: Stage,
    client: &Client<C>,
    call: C,
    check: impl FnOnce(&C::Reply) -> Result<(), CallError>,
) -> Result<C::Reply, CallError> {
    let rung = run.plan.rung(stage);
    let span = StageSpan::begin::<C>(run.info, stage, rung);
    let traceparent = span.traceparent(run.info);
    let tracestate = run.info.tracestate.clone();
    let request_id = run.info.request_id;
    let StageResult { value, record } = run
        .budget
        .run(stage, rung, |deadline| {
            let context = Context { request_id, deadline, model: None, traceparent, tracestate };
            let answer = client.call(context, call);
            async move {
                let reply = answer.await?;
                check(&reply)?;
                Ok(reply)
            }
            .instrument(span.span().clone())
        })
        .await;
    span.end(&record);
    value
}

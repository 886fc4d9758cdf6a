//! One stage: a call under a deadline, inside a span, measured once.

use plugrank_budget::{Stage, StageResult};
use plugrank_contract::{Call, CallError, Context};
use plugrank_runtime::trace_context;
use plugrank_transport::Client;
use tracing::{Instrument, field::Empty};

use super::Run;

impl Run<'_> {
    /// Calls a service for a stage. `check` looks over the reply; one it refuses has failed.
    ///
    /// The measurement that decides whether the stage is cut is the one its record, its span and
    /// the controller have.
    pub(super) async fn stage<C: Call>(
        &mut self,
        stage: Stage,
        client: &Client<C>,
        call: C,
        check: impl FnOnce(&C::Reply) -> Result<(), CallError>,
    ) -> Result<C::Reply, CallError> {
        let span = tracing::info_span!(
            "stage",
            otel.name = format!("rank.{stage}"),
            otel.kind = "internal",
            otel.status_code = Empty,
            rpc.method = C::PATH,
            plugrank.rung = self.plan.rung(stage).as_str(),
            error.message = Empty,
            budget.allotted_ms = Empty,
            budget.spent_ms = Empty,
            budget.outcome = Empty,
        );
        let traceparent = trace_context::traceparent(&span);
        let tracestate = self.info.tracestate.clone();
        let request_id = self.info.request_id;
        let StageResult { value, record } = self
            .budget
            .run(stage, self.plan.rung(stage), |deadline| {
                let context =
                    Context { request_id, deadline: Some(deadline), traceparent, tracestate };
                let answer = client.call(context, call);
                async move {
                    let reply = answer.await?;
                    check(&reply)?;
                    Ok(reply)
                }
                .instrument(span.clone())
            })
            .await;
        span.record("budget.allotted_ms", crate::api::millis(record.allotted));
        span.record("budget.spent_ms", crate::api::millis(record.spent));
        span.record("budget.outcome", record.outcome.as_str());
        if let Err(error) = &value {
            span.record("otel.status_code", "ERROR");
            span.record("error.message", error.message.as_str());
        }
        value
    }
}

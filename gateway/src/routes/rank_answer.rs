//! How a rank request is answered, by itself or in a batch.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix_web::web::{Bytes, Data};
use plugrank_access::Scope;
use plugrank_budget::{AdmissionRefusal, Admitted, Budget, OnOverload, Stage};
use plugrank_contract::{CallError, ErrorCode, UserId};
use plugrank_runtime::trace_context::HexText;
use plugrank_transport::{expected_wait, in_turns};

use super::{
    rank_query::{check, query_of, read},
    rank_reply::{budget_report, respond, server_timing},
    shadow,
};
use crate::{
    Gateway, ServingModel,
    api::rank::{RankRequest, RankResponse},
    body,
    experiments::{Arms, Who},
    exposures::Served,
    observe::{RankOutcome, RequestInfo},
    pipeline::{self, DegradedCause, RankQuery, Ranked},
    problem::{FieldError, Problem},
    validate,
};

/// How long a request waits for the profile that an experiment asks for.
const PROFILE_TIME: Duration = Duration::from_millis(5);

/// An answer: what was written of the reply, and its `Server-Timing`.
pub(super) struct Answered<T> {
    pub(super) reply: T,
    pub(super) timing: String,
}

/// Ranks for the request of a body; `write` makes of the reply what is sent.
pub(super) async fn answer<T>(
    gateway: &Data<Gateway>,
    info: &RequestInfo,
    body: &Bytes,
    write: impl FnOnce(&RankResponse<'_>) -> serde_json::Result<T>,
) -> Result<Answered<T>, Problem> {
    let request: RankRequest<'_> = body::parse(body)?;
    // A request that names its arm, model or rung compares them; it is no part of results.
    let forced_arms = request.arms.is_some() || request.model.is_some() || request.rung.is_some();
    let budget = Budget::start(check(gateway, &request)?, gateway.shares());
    let admitted = gateway.admission.enter().map_err(|refusal| refused(gateway, refusal))?;
    let arms = arms(gateway, info, &request, &budget).await?;
    let mut model = match &request.model {
        Some(version) => named_model(gateway, version)?,
        None => gateway.model_of(&arms),
    };
    let arm_surface = arms.change.surface.as_deref();
    let mut query = query_of(gateway, &model, request, arm_surface);
    let mut plan = gateway.controller.plan();
    if let Some(rung) = arms.change.rung {
        plan = plan.at_most(rung, DegradedCause::Experiment);
    }
    if let Some(rung) = query.rung {
        plan = plan.at_most(rung, DegradedCause::Asked);
    }
    if let Err(refusal) = in_time(gateway, &admitted, &query) {
        match gateway.live.load().budget.on_overload {
            OnOverload::Refuse => return Err(refused(gateway, refusal)),
            OnOverload::Degrade => {
                plan = plan.without_scores();
            }
        }
    }
    // Requests that came meanwhile are read, admitted or refused before the next ranking goes on.
    let ranking = pipeline::rank(gateway, &model, info, &query, plan, budget);
    let mut ranked = in_turns(ranking).await;
    if let Some(substitute) = gateway.models.substitute(&model)
        && let Some(broken) = ranked.broken_model()
    {
        let asked = std::mem::replace(&mut model, substitute);
        query = read(gateway, &model, body, arm_surface)?;
        let budget = Budget::start(ranked.total.saturating_sub(ranked.spent), gateway.shares());
        let ranking = pipeline::rank(gateway, &model, info, &query, plan, budget);
        ranked = in_turns(ranking).await;
        // Where the other one cannot answer either, it is not the model's fault.
        if broken.is_here && ranked.broken_model().is_none() {
            gateway.models.broken(&asked, &broken.reason);
        }
    }
    admitted.answered();
    let budget = budget_report(&ranked);
    let timing = server_timing(&budget);
    record(gateway, info, &mut ranked, &query, &arms);
    let set = match &ranked.ranking {
        Ok(set) => set,
        Err(error) => {
            let (problem, ours) = (unranked(error), error.code != ErrorCode::InvalidArgument);
            if ours {
                log_exposure(gateway, info, &query, &ranked, &arms, forced_arms);
            }
            return Err(problem);
        }
    };
    shadow::consider(gateway, &model, info, body, set);
    let trace_id = info.trace_id();
    let trace_id = trace_id.as_ref().map(HexText::as_str);
    let reply = respond(set, &ranked, &query, &arms, budget, (info.request_id, trace_id));
    let written = write(&reply)
        .map_err(|error| Problem::internal(format!("the reply cannot be written: {error}")))?;
    log_exposure(gateway, info, &query, &ranked, &arms, forced_arms);
    Ok(Answered { reply: written, timing })
}

/// The model that a request names.
fn named_model(gateway: &Gateway, version: &str) -> Result<Arc<ServingModel>, Problem> {
    gateway.models.ready(version).ok_or_else(|| {
        let (active, others) = gateway.models.all_ready();
        let ready: Vec<&str> =
            [&active].into_iter().chain(&others).map(|model| &*model.version).collect();
        let detail = format!("{version:?} is not ready here; ready: {}", ready.join(", "));
        Problem::invalid_field("model", detail)
    })
}

/// Hands a served list to the log.
fn log_exposure(
    gateway: &Gateway,
    info: &RequestInfo,
    query: &RankQuery,
    ranked: &Ranked,
    arms: &Arms,
    forced_arms: bool,
) {
    if gateway.exposures.is_on() {
        let (request_id, at) = (info.request_id, validate::now_ms());
        gateway.exposures.log(&Served { request_id, at, query, ranked, arms, forced_arms });
    }
}

/// The arms of a request. Without experiments this asks nothing and allocates nothing. A profile that one
/// asks for is read within the request's budget. A request that names its model or rung compares them, so that no arm
/// is to change what it gets.
async fn arms(
    gateway: &Gateway,
    info: &RequestInfo,
    request: &RankRequest<'_>,
    budget: &Budget,
) -> Result<Arms, Problem> {
    let named = request.arms.as_ref();
    let experiments = &gateway.experiments;
    let compares = request.model.is_some() || request.rung.is_some();
    if named.is_none() && (compares || experiments.none()) {
        return Ok(Arms::default());
    }
    if named.is_some() && !experiments.options().forced_arms {
        let detail = "arms are dealt; to name them, for tests, set experiments.forced_arms";
        return Err(Problem::invalid_field("arms", detail));
    }
    if named.is_some() {
        info.needs(&[Scope::Admin])?;
    }
    let running = experiments.running();
    let mut profile = None;
    if running.asks_for_features() {
        // Without the profile no condition holds: the user gets what everybody gets.
        let user_id = UserId::from(&*request.user_id);
        let read = gateway.store.user(&user_id);
        // Retrieval, which reads the user too, has at least half of its time left.
        let half = gateway.shares().end_of(Stage::Retrieval, budget.total()) / 2;
        let read = tokio::time::timeout(PROFILE_TIME.min(half), read).await;
        profile = read.ok().and_then(Result::ok).flatten();
    }
    let request_id = info.request_id.to_string();
    let surface = request.surface.as_deref().unwrap_or_default();
    let who = Who { user_id: &request.user_id, request_id: &request_id, surface, profile };
    let nothing = BTreeMap::new();
    running
        .arms(&who, named.unwrap_or(&nothing))
        .map_err(|error| Problem::invalid_field("arms", error.to_string()))
}

/// Why there is no ranking: what the request says does not suit the model, a filter asks what the items have
/// no answer to, or nothing was retrieved.
fn unranked(error: &CallError) -> Problem {
    let CallError { code, message, pointer, .. } = error;
    if let (ErrorCode::InvalidArgument, Some(pointer)) = (code, pointer) {
        let own = pointer.strip_prefix("/filters/0").map(|within| format!("/filter{within}"));
        let pointer = own.unwrap_or_else(|| pointer.clone());
        return Problem::invalid(vec![FieldError::at_pointer(pointer, message)]);
    }
    match (code, message.split_once(": ")) {
        (ErrorCode::InvalidArgument, Some((field, detail))) => {
            Problem::invalid_field(field, detail)
        }
        _ => Problem::unavailable(format!("no candidates could be retrieved: {message}")),
    }
}

/// Writes what happened to a request into metrics and the controller, and hands its stages to whoever
/// makes spans of them.
fn record(
    gateway: &Gateway,
    info: &RequestInfo,
    ranked: &mut Ranked,
    query: &RankQuery,
    arms: &Arms,
) {
    gateway.controller.observe(&ranked.stages, ranked.total);
    let degraded = ranked.is_degraded();
    let exemplar = info.exemplar(degraded);
    for stage in &ranked.stages {
        gateway.metrics.stage(stage, exemplar.as_ref().map(HexText::as_str));
    }
    let rung = ranked.ranking.is_ok().then(|| ranked.rung().as_str());
    let cause = ranked.degraded.first().map(|degraded| degraded.cause.as_str());
    let stages = std::mem::take(&mut ranked.stages);
    let (total, spent, arms) = (ranked.total, ranked.spent, arms.to_text());
    let surface = Arc::clone(&query.shown_on.name);
    info.record(RankOutcome { total, spent, degraded, rung, cause, surface, arms, stages });
    let Ok(set) = &ranked.ranking else { return };
    gateway.metrics.answer(ranked.rung());
    query.shown_on.answers.inc();
    gateway.metrics.coverage(&set.coverage);
    for degraded in &ranked.degraded {
        gateway.metrics.degraded(degraded);
    }
}

/// Whether the answer can be there in time, and its turn come before retrieval's part of the budget is
/// used up.
fn in_time(
    gateway: &Gateway,
    admitted: &Admitted,
    query: &RankQuery,
) -> Result<(), AdmissionRefusal> {
    admitted.in_time(query.budget)?;
    let predicted = expected_wait();
    match predicted < gateway.shares().end_of(Stage::Retrieval, query.budget) {
        true => Ok(()),
        false => Err(AdmissionRefusal::TooLate { predicted }),
    }
}

/// A request that is not let in.
fn refused(gateway: &Gateway, refusal: AdmissionRefusal) -> Problem {
    match refusal {
        AdmissionRefusal::TooMany { limit } => {
            gateway.metrics.rejected("in_flight");
            Problem::too_many(format!("{limit} rankings are in flight, as many as may be"))
                .because("in_flight")
        }
        AdmissionRefusal::TooLate { predicted } => {
            gateway.metrics.rejected("backlog");
            let detail = format!(
                "at the present backlog the answer would come in {:.0} ms, after its budget",
                predicted.as_secs_f64() * 1e3
            );
            Problem::unavailable(detail).retry_after(predicted).because("backlog")
        }
    }
}

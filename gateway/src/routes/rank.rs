//! `POST /v1/rank`.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    web::{self, Data, ReqData, ServiceConfig},
};
use plugrank_budget::{Refusal, Rung};
use plugrank_contract::{ItemId, UserId};
use plugrank_runtime::{
    settings::{OverloadChoice, ServerSettings},
    trace_context::HexText,
};

use crate::{
    Gateway,
    api::{
        millis,
        rank::{
            BudgetReport, DegradedReport, DroppedItem, Explanation, PlacedItem, RankRequest,
            RankResponse, RankedItem, StageReport,
        },
    },
    body::{BodyLimit, JsonBody},
    controller::Plan,
    endpoint::Endpoint,
    observe::{RankOutcome, RequestInfo},
    pipeline::{self, Cause, Degraded, Query, Ranked, Ranking},
    problem::{Problem, ProblemDocument},
    validate::{self, Errors},
};

pub(crate) fn configure(config: &mut ServiceConfig, settings: &ServerSettings) {
    let resource =
        Endpoint::Rank.resource().app_data(BodyLimit::new(settings.max_body_bytes, settings));
    config.service(resource.route(web::post().to(rank)));
}

/// Rank items for a user
///
/// Retrieves candidates (or takes the caller's), scores them and orders them within the latency
/// budget. A stage that does not make it in time, or fails, is replaced by the next rung, and
/// `degraded` says so.
#[utoipa::path(
    post,
    path = "/v1/rank",
    tag = "ranking",
    operation_id = "rank",
    params(
        ("traceparent" = Option<String>, Header, description = "W3C trace context of the caller"),
        ("x-request-id" = Option<Uuid>, Header, description = "The caller's id for the request, a UUID"),
    ),
    request_body = RankRequest,
    responses(
        (status = 200, body = RankResponse, description = "The ranking", headers(
            ("server-timing" = String, description = "Time of each stage"),
            ("traceparent" = String, description = "W3C trace context of this request"),
            ("x-request-id" = Uuid, description = "Id of this request"),
        )),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "A field is wrong; `field` names it"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "The body is too large"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json", description = "The body is not JSON"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json", description = "Too many rankings or connections at a time; try again after `Retry-After`"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The answer would come too late, or no candidates could be retrieved; try again after `Retry-After`"),
    ),
)]
pub(crate) async fn rank(
    gateway: Data<Gateway>,
    info: ReqData<RequestInfo>,
    JsonBody(request): JsonBody<RankRequest>,
) -> Result<HttpResponse, Problem> {
    let explain = request.explain;
    let query = check(&gateway, request)?;
    let admitted = gateway.admission.enter().map_err(|refusal| refused(&gateway, refusal))?;
    let mut plan = gateway.controller.plan();
    if let Err(refusal) = admitted.in_time(query.budget) {
        match gateway.on_overload {
            OverloadChoice::Refuse => return Err(refused(&gateway, refusal)),
            OverloadChoice::Degrade => {
                plan = Plan { scoring: Rung::RetrievalOrder, cause: Cause::Backlog, ..plan };
            }
        }
    }
    let ranked = pipeline::rank(&gateway, &info, &query, plan).await;
    admitted.answered();
    gateway.controller.observe(&ranked.stages, ranked.total);
    let budget = budget_report(&ranked);
    let Ranked { ranking, stages, total, spent, .. } = ranked;
    let degraded = ranking.as_ref().map_or(true, |ranking| !ranking.degraded.is_empty());
    let exemplar = info.exemplar(degraded);
    for stage in &stages {
        gateway.metrics.stage(stage, exemplar.as_ref().map(HexText::as_str));
    }
    info.record(RankOutcome { total, spent, degraded, stages });
    let timing = server_timing(&budget);
    let ranking = ranking.map_err(|error| {
        Problem::unavailable(format!("no candidates could be retrieved: {}", error.message))
    })?;
    gateway.metrics.answer(ranking.rung());
    gateway.metrics.coverage(&ranking.coverage);
    for degraded in &ranking.degraded {
        gateway.metrics.degraded(degraded);
    }
    let reply = respond(ranking, budget, &info, explain);
    Ok(HttpResponse::Ok().insert_header(("server-timing", timing)).json(reply))
}

/// A request that is not let in.
fn refused(gateway: &Gateway, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::TooMany { limit } => {
            gateway.metrics.rejected("in_flight");
            Problem::too_many(format!("{limit} rankings are in flight, as many as may be"))
        }
        Refusal::TooLate { predicted } => {
            gateway.metrics.rejected("backlog");
            let detail = format!(
                "at the present backlog the answer would come in {:.0} ms, after its budget",
                predicted.as_secs_f64() * 1e3
            );
            Problem::unavailable(detail).retry_after(predicted)
        }
    }
}

fn check(gateway: &Gateway, request: RankRequest) -> Result<Query, Problem> {
    let limits = &gateway.server;
    let mut errors = Errors::default();
    errors.text("user_id", &request.user_id, UserId::MAX_BYTES);
    let k = request.k.unwrap_or(i64::from(limits.k_default));
    errors.range("k", k, 1..=i64::from(limits.k_max));
    let candidates = request.candidates.map(|ids| {
        if ids.is_empty() {
            errors.add("candidates", "is empty; leave it out to have candidates retrieved");
        }
        errors.item_ids("candidates", ids, limits.max_candidates)
    });
    let exclude: Vec<ItemId> =
        errors.item_ids("exclude", request.exclude.unwrap_or_default(), limits.max_exclude);
    let ceiling_ms = i64::try_from(gateway.budget_ceiling_ms).unwrap_or(i64::MAX);
    if let Some(budget_ms) = request.budget_ms {
        errors.range("budget_ms", budget_ms, 1..=ceiling_ms);
    }
    let as_of = request.context.unwrap_or_default().timestamp;
    if let Some(timestamp) = as_of {
        errors.range("context.timestamp", timestamp, 0..=i64::MAX);
    }
    let budget = request.budget_ms.and_then(|ms| u64::try_from(ms).ok());
    errors.none_or(Query {
        user_id: UserId::from(request.user_id),
        k: u32::try_from(k).unwrap_or(limits.k_default),
        candidates,
        exclude,
        as_of: as_of.unwrap_or_else(validate::now_ms),
        budget: budget.map_or(gateway.default_budget, Duration::from_millis),
    })
}

fn respond(
    ranking: Ranking,
    budget: BudgetReport,
    info: &RequestInfo,
    explain: bool,
) -> RankResponse {
    let explain = explain.then(|| explanation(&ranking));
    let rung = ranking.rung();
    let items = ranking.items.into_iter().zip(1..).map(|(item, rank)| RankedItem {
        item_id: item.item_id.to_string(),
        rank,
        score: item.score,
        ctr: item.ctr,
        sources: item.sources.into_iter().map(|s| pipeline::source_name(s).to_owned()).collect(),
    });
    RankResponse {
        request_id: info.request_id,
        model: ranking.model,
        experiment: None,
        items: items.collect(),
        budget,
        rung: rung.as_str().to_owned(),
        degraded: ranking.degraded.into_iter().map(degraded_report).collect(),
        coverage: ranking.coverage,
        trace_id: info.trace_id().map(|id| id.to_string()),
        explain,
    }
}

fn explanation(ranking: &Ranking) -> Explanation {
    let dropped = ranking.dropped.iter().map(|dropped| DroppedItem {
        item_id: dropped.item_id.to_string(),
        reason: pipeline::reason_name(dropped.reason).to_owned(),
    });
    let placements = ranking.items.iter().map(|item| PlacedItem {
        item_id: item.item_id.to_string(),
        placement: item.placement.to_owned(),
    });
    Explanation {
        dropped: dropped.collect(),
        placements: placements.collect(),
        batch_rows: ranking.batch_rows,
    }
}

fn degraded_report(degraded: Degraded) -> DegradedReport {
    DegradedReport {
        stage: degraded.stage.as_str().to_owned(),
        rung: degraded.fallback.as_str().to_owned(),
        cause: degraded.cause.as_str().to_owned(),
        detail: degraded.detail,
    }
}

fn budget_report(ranked: &Ranked) -> BudgetReport {
    let ran = ranked.stages.iter().map(|record| StageReport {
        stage: record.stage.as_str().to_owned(),
        allotted_ms: millis(record.allotted),
        spent_ms: millis(record.spent),
        outcome: record.outcome.as_str().to_owned(),
    });
    let skipped = ranked.skipped.iter().map(|stage| StageReport {
        stage: stage.as_str().to_owned(),
        allotted_ms: 0.0,
        spent_ms: 0.0,
        outcome: "skipped".to_owned(),
    });
    BudgetReport {
        total_ms: millis(ranked.total),
        spent_ms: millis(ranked.spent),
        stages: ran.chain(skipped).collect(),
    }
}

/// `Server-Timing` (W3C): one entry a stage, then the whole.
fn server_timing(budget: &BudgetReport) -> String {
    let mut entries: Vec<String> = budget
        .stages
        .iter()
        .map(|stage| format!("{};dur={};desc=\"{}\"", stage.stage, stage.spent_ms, stage.outcome))
        .collect();
    entries.push(format!("total;dur={}", budget.spent_ms));
    entries.join(", ")
}

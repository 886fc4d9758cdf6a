//! `POST /v1/rank`.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use actix_web::{
    HttpResponse,
    http::header::ContentType,
    web::{self, Data, ReqData, ServiceConfig},
};
use plugrank_budget::{Admitted, Budget, OnOverload, Refusal, Rung, Stage};
use plugrank_contract::{CallError, ErrorCode, ItemId, ItemList, UNKNOWN_ITEM, UserId};
use plugrank_runtime::trace_context::HexText;
use plugrank_transport::{expected_wait, in_turns};
use uuid::Uuid;

use crate::{
    Gateway, ServerOptions,
    api::{
        millis,
        rank::{
            BudgetReport, DegradedReport, DroppedItem, Explanation, IdText, NamedSources,
            PlacedItem, RankRequest, RankResponse, RankedItem, StageReport,
        },
    },
    body::{self, BodyLimit, RawJson},
    controller::Plan,
    endpoint::Endpoint,
    observe::{RankOutcome, RequestInfo},
    pipeline::{self, CandidateSet, Cause, Degraded, Query, Ranked},
    problem::{FieldError, Problem, ProblemDocument},
    validate::{self, Errors},
};

/// Room for most replies, so that it is made once.
const REPLY_BYTES: usize = 4096;

pub(crate) fn configure(config: &mut ServiceConfig, settings: &ServerOptions) {
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
    RawJson(body): RawJson,
) -> Result<HttpResponse, Problem> {
    let query = check(&gateway, body::parse(&body)?)?;
    let budget = Budget::start(query.budget, gateway.shares);
    let admitted = gateway.admission.enter().map_err(|refusal| refused(&gateway, refusal))?;
    let mut plan = gateway.controller.plan();
    if let Err(refusal) = in_time(&gateway, &admitted, &query) {
        match gateway.on_overload {
            OnOverload::Refuse => return Err(refused(&gateway, refusal)),
            OnOverload::Degrade => {
                plan = Plan { scoring: Rung::RetrievalOrder, cause: Cause::Backlog, ..plan };
            }
        }
    }
    // Whoever comes meanwhile is read, admitted or refused before the next ranking goes on.
    let mut ranked = in_turns(pipeline::rank(&gateway, &info, &query, plan, budget)).await;
    admitted.answered();
    let budget = budget_report(&ranked);
    let timing = server_timing(&budget);
    record(&gateway, &info, &mut ranked);
    let set = ranked.ranking.as_ref().map_err(nothing_retrieved)?;
    let trace_id = info.trace_id();
    let trace_id = trace_id.as_ref().map(HexText::as_str);
    let reply = respond(set, &ranked, budget, (info.request_id, trace_id), query.explain);
    let mut json = Vec::with_capacity(REPLY_BYTES);
    serde_json::to_writer(&mut json, &reply)
        .map_err(|error| Problem::internal(format!("the reply cannot be written: {error}")))?;
    let mut response = HttpResponse::Ok();
    response.content_type(ContentType::json()).insert_header(("server-timing", timing));
    Ok(response.body(json))
}

/// Why there is nothing to rank: a filter that the items have no answer to, or retrieval's failure.
fn nothing_retrieved(error: &CallError) -> Problem {
    match (error.code, &error.pointer) {
        (ErrorCode::InvalidArgument, Some(pointer)) => {
            let own = pointer.strip_prefix("/filters/0").map(|within| format!("/filter{within}"));
            let pointer = own.unwrap_or_else(|| pointer.clone());
            Problem::invalid(vec![FieldError::at_pointer(pointer, &error.message)])
        }
        _ => Problem::unavailable(format!("no candidates could be retrieved: {}", error.message)),
    }
}

/// Writes what became of a request into metrics and the controller, and hands its stages to whoever
/// makes spans of them.
fn record(gateway: &Gateway, info: &RequestInfo, ranked: &mut Ranked) {
    gateway.controller.observe(&ranked.stages, ranked.total);
    let degraded = ranked.ranking.is_err() || !ranked.degraded.is_empty();
    let exemplar = info.exemplar(degraded);
    for stage in &ranked.stages {
        gateway.metrics.stage(stage, exemplar.as_ref().map(HexText::as_str));
    }
    let stages = std::mem::take(&mut ranked.stages);
    info.record(RankOutcome { total: ranked.total, spent: ranked.spent, degraded, stages });
    let Ok(set) = &ranked.ranking else { return };
    gateway.metrics.answer(ranked.rung());
    gateway.metrics.coverage(&set.coverage);
    for degraded in &ranked.degraded {
        gateway.metrics.degraded(degraded);
    }
}

/// Whether the answer can be there in time, and its turn come before retrieval's part of the budget is
/// used up.
fn in_time(gateway: &Gateway, admitted: &Admitted, query: &Query) -> Result<(), Refusal> {
    admitted.in_time(query.budget)?;
    let predicted = expected_wait();
    match predicted < gateway.shares.end_of(Stage::Retrieval, query.budget) {
        true => Ok(()),
        false => Err(Refusal::TooLate { predicted }),
    }
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

fn check(gateway: &Gateway, request: RankRequest<'_>) -> Result<Query, Problem> {
    let limits = &gateway.server;
    let mut errors = Errors::default();
    errors.text("user_id", &request.user_id, UserId::MAX_BYTES);
    let k = request.k.unwrap_or(i64::from(limits.k_default));
    errors.range("k", k, 1..=i64::from(limits.k_max));
    if request.candidates.as_ref().is_some_and(Vec::is_empty) {
        errors.add("candidates", "is empty; leave it out to have candidates retrieved");
    }
    let lists = [
        ("candidates", &request.candidates, limits.max_candidates),
        ("exclude", &request.exclude, limits.max_exclude),
    ];
    for (field, ids, most) in lists {
        errors.item_ids(field, ids.as_deref().unwrap_or_default(), most);
    }
    let ceiling_ms = i64::try_from(gateway.budget_ceiling_ms).unwrap_or(i64::MAX);
    if let Some(budget_ms) = request.budget_ms {
        errors.range("budget_ms", budget_ms, 1..=ceiling_ms);
    }
    let as_of = request.context.unwrap_or_default().timestamp;
    if let Some(timestamp) = as_of {
        errors.range("context.timestamp", timestamp, 0..=i64::MAX);
    }
    request.filter.iter().for_each(|filter| errors.filter("/filter", filter));
    errors.none_or(())?;
    let budget = request.budget_ms.and_then(|ms| u64::try_from(ms).ok());
    Ok(Query {
        user_id: UserId::from(&*request.user_id),
        k: u32::try_from(k).unwrap_or(limits.k_default),
        candidates: request.candidates.map(|ids| resolve(gateway, &ids)),
        exclude: resolve(gateway, &request.exclude.unwrap_or_default()),
        filters: request.filter.into_iter().collect(),
        as_of: as_of.unwrap_or_else(validate::now_ms),
        budget: budget.map_or(gateway.default_budget, Duration::from_millis),
        explain: request.explain,
    })
}

/// Hashes each id once, where this process has the item table. From here on items are indices.
fn resolve(gateway: &Gateway, ids: &[IdText<'_>]) -> ItemList {
    let Some(table) = gateway.items.as_ref().filter(|_| !ids.is_empty()) else {
        return ids.iter().map(|id| ItemId::from(&*id.0)).collect();
    };
    let mut indices = Vec::with_capacity(ids.len());
    table.indices(&mut ids.iter().map(|id| &*id.0), &mut indices);
    let unknown = ids.iter().zip(&indices).filter(|(_, index)| **index == UNKNOWN_ITEM);
    let unknown = unknown.map(|(id, _)| ItemId::from(&*id.0)).collect();
    ItemList::resolved(Arc::clone(table), indices, unknown)
}

fn respond<'a>(
    set: &'a CandidateSet,
    ranked: &'a Ranked,
    budget: BudgetReport,
    (request_id, trace_id): (Uuid, Option<&'a str>),
    explain: bool,
) -> RankResponse<'a> {
    let items = set.places.iter().zip(1..).map(|(placed, rank)| RankedItem {
        item_id: set.id(placed).map_or("", ItemId::as_str),
        rank,
        score: placed.score,
        ctr: set.ctr_of(placed),
        sources: NamedSources {
            names: &set.source_names,
            set: set.sources.get(placed.candidate as usize).copied().unwrap_or_default(),
        },
    });
    RankResponse {
        request_id,
        model: set.model.as_deref(),
        experiment: None,
        items: items.collect(),
        budget,
        rung: ranked.rung().as_str(),
        degraded: ranked.degraded.iter().map(degraded_report).collect(),
        coverage: set.coverage,
        trace_id,
        explain: explain.then(|| explanation(set)),
    }
}

fn explanation(set: &CandidateSet) -> Explanation<'_> {
    let dropped = set
        .dropped
        .iter()
        .map(|dropped| DroppedItem { item_id: dropped.item_id.as_str(), reason: &dropped.reason });
    let placements = set.places.iter().map(|placed| PlacedItem {
        item_id: set.id(placed).map_or("", ItemId::as_str),
        placement: &placed.rule,
    });
    Explanation {
        dropped: dropped.collect(),
        placements: placements.collect(),
        batch_rows: set.batch_rows,
    }
}

fn degraded_report(degraded: &Degraded) -> DegradedReport<'_> {
    DegradedReport {
        stage: degraded.stage.as_str(),
        rung: degraded.fallback.as_str(),
        cause: degraded.cause.as_str(),
        detail: &degraded.detail,
    }
}

fn budget_report(ranked: &Ranked) -> BudgetReport {
    let ran = ranked.stages.iter().map(|record| StageReport {
        stage: record.stage.as_str(),
        allotted_ms: millis(record.allotted),
        spent_ms: millis(record.spent),
        outcome: record.outcome.as_str(),
    });
    let skipped = ranked.skipped().map(|stage| StageReport {
        stage: stage.as_str(),
        allotted_ms: 0.0,
        spent_ms: 0.0,
        outcome: "skipped",
    });
    let mut stages = Vec::with_capacity(Stage::ALL.len());
    stages.extend(ran.chain(skipped));
    BudgetReport { total_ms: millis(ranked.total), spent_ms: millis(ranked.spent), stages }
}

/// `Server-Timing` (W3C): one entry a stage, then the whole.
fn server_timing(budget: &BudgetReport) -> String {
    let mut timing = String::with_capacity(160);
    for StageReport { stage, spent_ms, outcome, .. } in &budget.stages {
        // Writing to a string cannot fail.
        let _ = write!(timing, "{stage};dur={spent_ms};desc=\"{outcome}\", ");
    }
    let _ = write!(timing, "total;dur={}", budget.spent_ms);
    timing
}

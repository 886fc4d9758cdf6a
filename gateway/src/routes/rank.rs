//! `POST /v1/rank`.

use std::{collections::BTreeMap, fmt::Write as _, str::FromStr, sync::Arc, time::Duration};

use actix_web::{
    HttpResponse,
    http::header::ContentType,
    web::{self, Data, ReqData, ServiceConfig},
};
use plugrank_access::Scope;
use plugrank_budget::{AdmissionRefusal, Admitted, Budget, OnOverload, Rung, Stage};
use plugrank_contract::{
    CallError, ErrorCode, ItemId, ItemList, UNKNOWN_ITEM, UserId, reranking::MAX_DIVERSITY,
};
use plugrank_runtime::trace_context::HexText;
use plugrank_transport::{expected_wait, in_turns};
use uuid::Uuid;

use crate::{
    Gateway, ServerOptions, ServingModel,
    api::{
        millis,
        rank::{
            BudgetReport, Candidate, Coverage, DegradedReport, DroppedItem, Explanation, IdText,
            ItemScores, NamedSources, PlacedItem, RankContext, RankRequest, RankResponse,
            RankedItem, StageReport, ValueNumbers,
        },
    },
    body::{self, BodyLimit, RawJson},
    endpoint::Endpoint,
    experiments::{Arms, Who},
    exposures::Served,
    observe::{RankOutcome, RequestInfo},
    pipeline::{self, CandidateSet, Degraded, DegradedCause, Given, RankQuery, Ranked},
    problem::{FieldError, Problem, ProblemDocument},
    validate::{self, Errors},
};

/// How long a request waits for the profile that an experiment asks for.
const PROFILE_TIME: Duration = Duration::from_millis(5);
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
    request_body(content = RankRequest, examples(
        ("1-user" = (summary = "For a user", value = json!({"user_id": "u1"}))),
        ("2-candidates" = (
            summary = "Candidates of your own",
            value = json!({"user_id": "u1", "candidates": ["i1", "i2", "i3", "i4"], "k": 3}),
        )),
        ("3-explain" = (
            summary = "With a budget, and why",
            value = json!({"user_id": "u1", "k": 5, "exclude": ["i805"], "budget_ms": 100, "explain": true}),
        )),
    )),
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
    let request: RankRequest<'_> = body::parse(&body)?;
    // What a caller compares is nobody's experience.
    let forced_arms = request.arms.is_some() || request.model.is_some() || request.rung.is_some();
    let budget = Budget::start(check(&gateway, &request)?, gateway.shares());
    let admitted = gateway.admission.enter().map_err(|refusal| refused(&gateway, refusal))?;
    let arms = arms(&gateway, &info, &request, &budget).await?;
    let mut model = match &request.model {
        Some(version) => named_model(&gateway, version)?,
        None => gateway.model_of(&arms),
    };
    let mut query = query_of(&gateway, &model, request);
    let mut plan = gateway.controller.plan();
    if let Some(rung) = arms.change.rung {
        plan = plan.at_most(rung, DegradedCause::Experiment);
    }
    if let Some(rung) = query.rung {
        plan = plan.at_most(rung, DegradedCause::Asked);
    }
    if let Err(refusal) = in_time(&gateway, &admitted, &query) {
        match gateway.live.load().budget.on_overload {
            OnOverload::Refuse => return Err(refused(&gateway, refusal)),
            OnOverload::Degrade => {
                plan = plan.without_scores();
            }
        }
    }
    // Whoever comes meanwhile is read, admitted or refused before the next ranking goes on.
    let ranking = pipeline::rank(&gateway, &model, &info, &query, plan, budget);
    let mut ranked = in_turns(ranking).await;
    if let Some(substitute) = gateway.models.substitute(&model)
        && let Some(reason) = ranked.broken_model()
    {
        gateway.models.broken(&model, &reason);
        model = substitute;
        query = read(&gateway, &model, &body)?;
        let budget = Budget::start(ranked.total.saturating_sub(ranked.spent), gateway.shares());
        let ranking = pipeline::rank(&gateway, &model, &info, &query, plan, budget);
        ranked = in_turns(ranking).await;
    }
    admitted.answered();
    let budget = budget_report(&ranked);
    let timing = server_timing(&budget);
    record(&gateway, &info, &mut ranked, &arms);
    let set = match &ranked.ranking {
        Ok(set) => set,
        Err(error) => {
            let (problem, ours) = (unranked(error), error.code != ErrorCode::InvalidArgument);
            if ours {
                log_exposure(&gateway, &info, query, ranked, arms, forced_arms);
            }
            return Err(problem);
        }
    };
    super::shadow::consider(&gateway, &model, &info, &body, set);
    let trace_id = info.trace_id();
    let trace_id = trace_id.as_ref().map(HexText::as_str);
    let reply = respond(set, &ranked, &arms, budget, (info.request_id, trace_id), query.explain);
    let mut json = Vec::with_capacity(REPLY_BYTES);
    serde_json::to_writer(&mut json, &reply)
        .map_err(|error| Problem::internal(format!("the reply cannot be written: {error}")))?;
    drop(reply);
    log_exposure(&gateway, &info, query, ranked, arms, forced_arms);
    let mut response = HttpResponse::Ok();
    response.content_type(ContentType::json()).insert_header(("server-timing", timing));
    Ok(response.body(json))
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
    query: RankQuery,
    ranked: Ranked,
    arms: Arms,
    forced_arms: bool,
) {
    if gateway.exposures.is_on() {
        let (request_id, at) = (info.request_id, validate::now_ms());
        gateway.exposures.log(Served { request_id, at, query, ranked, arms, forced_arms });
    }
}

/// The arms of a request. Without experiments this asks nothing and allocates nothing. A profile that one
/// asks for is read within the request's budget.
async fn arms(
    gateway: &Gateway,
    info: &RequestInfo,
    request: &RankRequest<'_>,
    budget: &Budget,
) -> Result<Arms, Problem> {
    let named = request.arms.as_ref();
    let experiments = &gateway.experiments;
    if named.is_none() && experiments.none() {
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
    let who = Who { user_id: &request.user_id, request_id: &request_id, surface: "", profile };
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

/// Writes what became of a request into metrics and the controller, and hands its stages to whoever
/// makes spans of them.
fn record(gateway: &Gateway, info: &RequestInfo, ranked: &mut Ranked, arms: &Arms) {
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
    info.record(RankOutcome { total, spent, degraded, rung, cause, arms, stages });
    let Ok(set) = &ranked.ranking else { return };
    gateway.metrics.answer(ranked.rung());
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

/// The request of a body, its items resolved for a model.
pub(super) fn read(
    gateway: &Gateway,
    model: &ServingModel,
    body: &[u8],
) -> Result<RankQuery, Problem> {
    let request = body::parse(body)?;
    check(gateway, &request)?;
    Ok(query_of(gateway, model, request))
}

/// Checks a request; its budget.
fn check(gateway: &Gateway, request: &RankRequest<'_>) -> Result<Duration, Problem> {
    let limits = &gateway.server;
    let mut errors = Errors::default();
    errors.text("user_id", &request.user_id, UserId::MAX_BYTES);
    let k = request.k.unwrap_or(i64::from(limits.k_default));
    errors.range("k", k, 1..=i64::from(limits.k_max));
    if request.candidates.as_ref().is_some_and(Vec::is_empty) {
        errors.add("candidates", "is empty; leave it out to have candidates retrieved");
    }
    let candidates = request.candidates.as_deref().unwrap_or_default();
    errors.item_ids("candidates", candidates.iter().map(Candidate::id), limits.max_candidates);
    let exclude = request.exclude.as_deref().unwrap_or_default();
    errors.item_ids("exclude", exclude.iter(), limits.max_exclude);
    let ceiling_ms = i64::try_from(gateway.live.load().budget.ceiling_ms).unwrap_or(i64::MAX);
    if let Some(budget_ms) = request.budget_ms {
        errors.range("budget_ms", budget_ms, 1..=ceiling_ms);
    }
    if let Some(RankContext { timestamp, features }) = &request.context {
        errors.features("context.features", features);
        if let Some(timestamp) = timestamp {
            errors.range("context.timestamp", *timestamp, 0..=i64::MAX);
        }
    }
    request.user.iter().for_each(|user| errors.features("user.features", &user.features));
    for (at, candidate) in candidates.iter().enumerate() {
        if let Candidate::Given(given) = candidate
            && !errors.full()
        {
            errors.features(&format!("candidates[{at}].features"), &given.features);
        }
    }
    if let Some(diversity) = request.diversity {
        errors.range("diversity", diversity, 0.0..=MAX_DIVERSITY);
    }
    if let Some(Err(error)) = request.rung.as_deref().map(Rung::from_str) {
        errors.add("rung", error.to_string());
    }
    request.filter.iter().for_each(|filter| errors.filter("/filter", filter));
    errors.none_or(budget_of(gateway, request))
}

fn budget_of(gateway: &Gateway, request: &RankRequest<'_>) -> Duration {
    let budget = request.budget_ms.and_then(|ms| u64::try_from(ms).ok());
    budget.map_or_else(|| gateway.live.load().budget.default_budget(), Duration::from_millis)
}

/// The query of a checked request, its items resolved for a model.
fn query_of(gateway: &Gateway, model: &ServingModel, request: RankRequest<'_>) -> RankQuery {
    let budget = budget_of(gateway, &request);
    let exclude = request.exclude.as_deref().unwrap_or_default();
    let RankContext { timestamp: as_of, features } = request.context.unwrap_or_default();
    let user = request.user.unwrap_or_default().features;
    let k_default = gateway.server.k_default;
    RankQuery {
        user_id: UserId::from(&*request.user_id),
        k: request.k.and_then(|k| u32::try_from(k).ok()).unwrap_or(k_default),
        candidates: request
            .candidates
            .as_ref()
            .map(|candidates| resolve(model, candidates.iter().map(Candidate::id))),
        exclude: resolve(model, exclude.iter()),
        filters: request.filter.into_iter().collect(),
        given: Given::from_request(features, user, request.candidates),
        as_of: as_of.unwrap_or_else(validate::now_ms),
        budget,
        diversity: request.diversity,
        rung: request.rung.as_deref().and_then(|rung| Rung::from_str(rung).ok()),
        explain: request.explain,
    }
}

/// Hashes each id once, where this process has the item table. From here on items are indices.
fn resolve<'i>(
    model: &ServingModel,
    ids: impl ExactSizeIterator<Item = &'i IdText<'i>> + Clone,
) -> ItemList {
    let Some(table) = model.items.as_ref().filter(|_| ids.len() > 0) else {
        return ids.map(|id| ItemId::from(&*id.0)).collect();
    };
    let mut indices = Vec::with_capacity(ids.len());
    table.indices(&mut ids.clone().map(|id| &*id.0), &mut indices);
    let unknown = ids.zip(&indices).filter(|(_, index)| **index == UNKNOWN_ITEM);
    let unknown = unknown.map(|(id, _)| ItemId::from(&*id.0)).collect();
    ItemList::resolved(Arc::clone(table), indices, unknown)
}

fn respond<'a>(
    set: &'a CandidateSet,
    ranked: &'a Ranked,
    arms: &'a Arms,
    budget: BudgetReport,
    (request_id, trace_id): (Uuid, Option<&'a str>),
    explain: bool,
) -> RankResponse<'a> {
    let items = set.places.iter().zip(1..).map(|(placed, rank)| RankedItem {
        item_id: set.id(placed).map_or("", ItemId::as_str),
        rank,
        score: placed.score,
        ctr: set.ctr_of(placed),
        scores: (!set.scores.is_empty())
            .then(|| ItemScores { tasks: &set.scores, candidate: placed.candidate as usize }),
        sources: NamedSources {
            names: &set.source_names,
            set: set.sources.get(placed.candidate as usize).copied().unwrap_or_default(),
        },
    });
    RankResponse {
        request_id,
        model: set.model.as_deref(),
        experiments: arms.list.iter().map(|arm| (&*arm.layer, &*arm.arm)).collect(),
        items: items.collect(),
        budget,
        rung: ranked.rung().as_str(),
        note: set.places.is_empty().then(|| note(&set.coverage)),
        degraded: ranked.degraded.iter().map(degraded_report).collect(),
        coverage: set.coverage,
        trace_id,
        explain: explain.then(|| explanation(set)),
    }
}

/// Why a ranking has no items.
fn note(coverage: &Coverage) -> String {
    let Coverage { candidates, unknown, dropped, .. } = *coverage;
    match (candidates, unknown, dropped) {
        (0, 1.., _) if unknown == dropped => {
            format!(
                "none of the {unknown} candidates is in the catalog; `/v1/items/{{id}}` adds an item"
            )
        }
        (0, _, 1..) => {
            format!("all {dropped} candidates were left out; `explain` says why")
        }
        (0, _, _) => "no source has a candidate: the catalog has no item to show".to_owned(),
        _ => format!("none of the {candidates} candidates could be placed"),
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
        value: set.value.as_ref().filter(|value| !value.names.is_empty()).map(|value| {
            let numbers = value.numbers_of(placed.candidate as usize);
            ValueNumbers { names: &value.names, numbers }
        }),
    });
    Explanation {
        dropped: dropped.collect(),
        placements: placements.collect(),
        batch_rows: set.batch_rows,
        value: set.value.as_ref().map(|value| &*value.formula),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_ranking_says_why() {
        let note = |candidates, unknown, dropped| {
            note(&Coverage { candidates, unknown, dropped, ..Coverage::default() })
        };
        assert!(note(0, 3, 3).starts_with("none of the 3 candidates is in the catalog"));
        assert_eq!(note(0, 1, 4), "all 4 candidates were left out; `explain` says why");
        assert!(note(0, 0, 0).starts_with("no source has a candidate"));
        assert!(note(5, 0, 0).contains("none of the 5"));
    }
}

//! `POST /v1/rank/batch`.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpResponse,
    web::{self, Bytes, Data, ReqData, ServiceConfig},
};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::{
    ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, SchemaType},
    },
};

use super::rank_answer::answer;
use crate::{
    Gateway, ServerOptions, access,
    api::rank::{RankRequest, RankResponse},
    body::{self, BodyLimit, RawJson},
    endpoint::Endpoint,
    observe::{RankOutcome, RequestInfo},
    problem::{Problem, ProblemDocument},
};

/// Most requests of a batch.
const MOST: usize = 100;
/// Requests of a batch that are ranked at a time: their rows share batches of the model, and others
/// get their turn.
const AT_A_TIME: usize = 4;

pub(crate) fn configure(config: &mut ServiceConfig, settings: &ServerOptions) {
    let limit = BodyLimit::new(settings.max_body_bytes, settings);
    let resource = Endpoint::RankBatch.resource().app_data(limit);
    config.service(resource.route(web::post().to(rank_batch)));
}

/// Several rank requests.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RankBatchRequest<'a> {
    /// The requests, each as for `POST /v1/rank`; at most 100.
    #[serde(borrow)]
    #[schema(schema_with = requests_schema)]
    requests: Vec<&'a RawValue>,
}

/// Each is refused by itself, so that nothing in the list is refused with the batch.
fn requests_schema() -> RefOr<Schema> {
    let entry = AnyOfBuilder::new().item(Ref::from_schema_name(RankRequest::name())).item(
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some("Anything else is answered 400 in its place.")),
    );
    let list = ArrayBuilder::new().items(entry).min_items(Some(1)).max_items(Some(MOST));
    RefOr::T(Schema::Array(list.build()))
}

/// Their answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RankBatchResponse {
    /// An answer for each request, in their order.
    results: Vec<BatchResult>,
}

/// The answer to a request: a ranking, or a problem.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchResult {
    /// The status that the request would have had by itself.
    status: u16,
    /// Where it is 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RankResponse<'static>>)]
    ranking: Option<Box<RawValue>>,
    /// Where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemDocument>)]
    problem: Option<Problem>,
}

/// Rank for several users at once
///
/// Each request has its own answer or problem, its own id and its own budget, which begins when its
/// turn comes; the batch is answered when all of them are. It counts as many towards the limits of a key
/// as it has requests.
#[utoipa::path(
    post,
    path = "/v1/rank/batch",
    tag = "ranking",
    operation_id = "rankBatch",
    request_body(content = RankBatchRequest, examples(
        ("1-users" = (
            summary = "For two users",
            value = json!({"requests": [{"user_id": "u1", "k": 5}, {"user_id": "u2", "k": 5}]}),
        )),
    )),
    responses(
        (status = 200, body = RankBatchResponse, description = "An answer for each request"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "The batch itself is wrong, or has more than 100 requests"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "The body is too large"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json", description = "The body is not JSON"),
    ),
)]
pub(crate) async fn rank_batch(
    gateway: Data<Gateway>,
    info: ReqData<RequestInfo>,
    RawJson(body): RawJson,
) -> Result<HttpResponse, Problem> {
    let RankBatchRequest { requests } = body::parse(&body)?;
    if requests.is_empty() || requests.len() > MOST {
        let detail = format!("has {} entries; it must have 1 to {MOST}", requests.len());
        return Err(Problem::invalid_field("requests", detail));
    }
    let counted = u32::try_from(requests.len()).unwrap_or(u32::MAX);
    info.count_batch(counted).map_err(|denied| access::refused(&gateway, denied))?;
    let parts = (0..).zip(requests).map(|(number, request)| {
        let request = body.slice_ref(request.get().as_bytes());
        one(&gateway, info.part(number), request)
    });
    let answers: Vec<(BatchResult, Option<RankOutcome>)> =
        stream::iter(parts).buffered(AT_A_TIME).collect().await;
    let (results, outcomes): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
    note(&info, outcomes.into_iter().flatten());
    Ok(HttpResponse::Ok().json(RankBatchResponse { results }))
}

async fn one(
    gateway: &Data<Gateway>,
    info: RequestInfo,
    request: Bytes,
) -> (BatchResult, Option<RankOutcome>) {
    let answered = answer(gateway, &info, &request, |reply| to_raw_value(reply)).await;
    let (status, ranking, problem) = match answered {
        Ok(answered) => (200, Some(answered.reply), None),
        Err(problem) => (problem.status, None, Some(problem.with_request_id(info.request_id))),
    };
    (BatchResult { status, ranking, problem }, info.take_outcome())
}

/// Notes of the batch what happened to its parts together.
fn note(info: &RequestInfo, outcomes: impl Iterator<Item = RankOutcome>) {
    let nothing = RankOutcome {
        total: Duration::ZERO,
        spent: Duration::ZERO,
        degraded: false,
        rung: None,
        cause: None,
        surface: Arc::default(),
        arms: String::new(),
        stages: Vec::new(),
    };
    let together = outcomes.fold(nothing, |mut all, mut one| {
        all.total += one.total;
        all.spent += one.spent;
        all.degraded |= one.degraded;
        all.stages.append(&mut one.stages);
        all
    });
    info.record(together);
}

//! `GET /v1/items/{id}/similar`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ReqData, ServiceConfig},
};
use plugrank_contract::{CallError, Context, Deadline, ErrorCode, Filter, retrieval::Similar};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Gateway,
    endpoint::{Endpoint, get_or_head},
    observe::RequestInfo,
    problem::{FieldError, Problem, ProblemDocument},
    validate::{self, Errors},
};

pub(crate) fn configure(config: &mut ServiceConfig) {
    let route = web::route().guard(get_or_head()).to(similar);
    config.service(Endpoint::ItemSimilar.resource().route(route));
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimilarQuery {
    k: Option<i64>,
    /// A filter as JSON.
    filter: Option<String>,
}

/// Items similar to an item.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimilarResponse<'a> {
    /// The item asked for.
    item_id: &'a str,
    /// Version of the model bundle that made the vectors.
    model: &'a str,
    /// Available items, the most similar first.
    items: Vec<SimilarItem<'a>>,
}

/// An item similar to another.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimilarItem<'a> {
    /// Which item.
    item_id: &'a str,
    /// Its place, from 1.
    rank: u32,
    /// Cosine of the two items' vectors, -1 to 1.
    similarity: f32,
}

/// Items similar to an item
///
/// By the item vectors of the model, for everybody the same. The item itself need not be available.
#[utoipa::path(
    get,
    path = "/v1/items/{id}/similar",
    tag = "ranking",
    operation_id = "similarItems",
    params(
        ("id" = String, Path, min_length = 1, max_length = 256, description = "The item's id", example = "i1"),
        ("k" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many items; 20 when left out, unless configured otherwise", example = 5),
        ("filter" = Option<String>, Query, description = "Only items that meet this filter, as JSON", example = json!("{\"must_not\": [{\"field\": \"categories\", \"any\": [\"c1\"]}]}")),
    ),
    responses(
        (status = 200, body = SimilarResponse, description = "The items"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "A parameter is wrong"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "The catalog has no such item"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "There is no vector to compare: of the item, or of any"),
    ),
)]
pub(crate) async fn similar(
    gateway: Data<Gateway>,
    info: ReqData<RequestInfo>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let item_id = validate::item_id(id.into_inner())?;
    let query = web::Query::<SimilarQuery>::from_query(request.query_string());
    let SimilarQuery { k, filter } =
        query.map_err(|error| Problem::invalid_field("query", error.to_string()))?.into_inner();
    let (k, filter) = check(&gateway, k, filter.as_deref())?;
    let model = gateway.models.active();
    let context = Context {
        model: None,
        request_id: info.request_id,
        deadline: Deadline::after(gateway.live.load().budget.default_budget()),
        traceparent: info.traceparent(),
        tracestate: info.tracestate.clone(),
    };
    let call = Similar { item_id: item_id.clone(), k, filters: filter.into_iter().collect() };
    let found = model.clients.similar.call(context, call).await.map_err(refused)?;
    let items = (1..).zip(found.items.ids()).zip(&found.similarity);
    let items = items.map(|((rank, id), similarity)| SimilarItem {
        item_id: id.as_str(),
        rank,
        similarity: *similarity,
    });
    let reply =
        SimilarResponse { item_id: item_id.as_str(), model: &found.bundle, items: items.collect() };
    Ok(HttpResponse::Ok().json(reply))
}

fn check(
    gateway: &Gateway,
    k: Option<i64>,
    filter: Option<&str>,
) -> Result<(u32, Option<Filter>), Problem> {
    let limits = &gateway.server;
    let mut errors = Errors::default();
    let k = k.unwrap_or(i64::from(limits.k_default));
    errors.range("k", k, 1..=i64::from(limits.k_max));
    let filter = filter.and_then(|text| match serde_json::from_str::<Filter>(text) {
        Ok(filter) => Some(filter),
        Err(error) => {
            errors.add("filter", format!("is not a filter as JSON: {error}"));
            None
        }
    });
    filter.iter().for_each(|filter| errors.filter("/filter", filter));
    errors.none_or((u32::try_from(k).unwrap_or(limits.k_default), filter))
}

fn refused(error: CallError) -> Problem {
    let CallError { code, message, pointer, .. } = error;
    match (code, pointer) {
        (ErrorCode::NotFound, _) => Problem::not_found(message),
        (ErrorCode::InvalidArgument, Some(pointer)) => {
            let within = pointer.strip_prefix("/filters/0").unwrap_or(&pointer);
            Problem::invalid(vec![FieldError::at_pointer(format!("/filter{within}"), message)])
        }
        _ => Problem::unavailable(message),
    }
}

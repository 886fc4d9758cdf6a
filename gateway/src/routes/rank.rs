//! `POST /v1/rank`.

use actix_web::{
    HttpResponse,
    http::header::ContentType,
    web::{self, Data, ReqData, ServiceConfig},
};

use super::rank_answer::{Answered, answer};
use crate::{
    Gateway, ServerOptions,
    api::rank::{RankRequest, RankResponse},
    body::{BodyLimit, RawJson},
    endpoint::Endpoint,
    observe::RequestInfo,
    problem::{Problem, ProblemDocument},
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
        ("x-request-id" = Option<String>, Header, description = "The caller's id for the request where it is a UUID; any other is passed over"),
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
        ("4-stranger" = (
            summary = "A user who is not stored, and items that go with an item",
            value = json!({"user_id": "visitor-7", "k": 5, "context": {"items": ["i1"]}, "user": {"recent": [{"item_id": "i2"}, {"item_id": "i5", "type": "impression"}]}}),
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
    let write = |reply: &RankResponse<'_>| {
        let mut json = Vec::with_capacity(REPLY_BYTES);
        serde_json::to_writer(&mut json, reply).map(|()| json)
    };
    let Answered { reply, timing } = answer(&gateway, &info, &body, write).await?;
    let mut response = HttpResponse::Ok();
    response.content_type(ContentType::json()).insert_header(("server-timing", timing));
    Ok(response.body(reply))
}

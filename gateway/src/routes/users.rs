//! `/v1/users/{id}`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, Query, ReqData, ServiceConfig},
};
use plugrank_contract::{TimestampMs, User, UserId, scoring::FeatureOwner};

use crate::{
    Gateway, ServerOptions,
    api::{
        features,
        users::{UserChanges, UserContent, UserView, history_view},
    },
    body::{BodyLimit, JsonBody},
    endpoint::{Endpoint, get_or_head},
    observe::RequestInfo,
    problem::{Problem, ProblemDocument},
    routes::feature_check,
    validate::{self, Errors},
};

/// Most history entries of a kind in one answer.
const MAX_ENTRIES: i64 = 1000;
const DEFAULT_ENTRIES: i64 = 50;

pub(crate) fn configure(config: &mut ServiceConfig, settings: &ServerOptions) {
    let resource =
        Endpoint::User.resource().app_data(BodyLimit::new(settings.max_body_bytes, settings));
    config.service(
        resource
            .route(web::route().guard(get_or_head()).to(get))
            .route(web::put().to(put))
            .route(web::patch().to(patch))
            .route(web::delete().to(delete)),
    );
}

/// See what is known about a user
///
/// The profile, and the labelled history the models read. For debugging.
#[utoipa::path(
    get,
    path = "/v1/users/{id}",
    tag = "behaviour",
    operation_id = "getUser",
    params(
        ("id" = String, Path, min_length = 1, max_length = 256, description = "The user's id", example = "u1"),
        ("clicks" = Option<u32>, Query, maximum = 1000, description = "Clicked entries, newest first, 0 to 1000; 50 when left out"),
        ("impressions" = Option<u32>, Query, maximum = 1000, description = "Entries not clicked, 0 to 1000; 50 when left out"),
        ("before" = Option<i64>, Query, minimum = 0, description = "Only what came strictly before this moment, milliseconds since 1970"),
    ),
    responses(
        (status = 200, body = UserView, description = "What is known"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "A parameter is wrong"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "Nothing is known about this user; it can be ranked for all the same"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be reached"),
    ),
)]
pub(crate) async fn get(
    gateway: Data<Gateway>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let user_id = validate::user_id(id.into_inner())?;
    let window = Window::read(request.query_string())?;
    let user = gateway.store.user(&user_id).await?;
    let history =
        gateway.store.history(&user_id, window.before, window.clicks, window.impressions).await?;
    if user.is_none() && history.entries.is_empty() {
        let detail = format!("nothing is known about user {user_id}");
        return Err(Problem::not_found(detail));
    }
    Ok(HttpResponse::Ok().json(UserView {
        user_id: user_id.to_string(),
        features: user.map(|user| user.features.clone()).unwrap_or_default(),
        history: history_view(&history),
    }))
}

/// Write a user's profile
///
/// Replaces the profile as a whole; what the user did stays. It counts from the user's next request on.
#[utoipa::path(
    put,
    path = "/v1/users/{id}",
    tag = "behaviour",
    operation_id = "putUser",
    params(("id" = String, Path, min_length = 1, max_length = 256, description = "The user's id", example = "u1")),
    request_body(content = UserContent, examples(
        ("1-features" = (summary = "What a model may read of them", value = json!({"features": {"age": "25", "country": "nl"}}))),
    )),
    responses(
        (status = 204, description = "The profile is written"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "A field is wrong; nothing was written"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "The body is too large"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json", description = "The body is not JSON"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be reached"),
    ),
)]
pub(crate) async fn put(
    gateway: Data<Gateway>,
    info: ReqData<RequestInfo>,
    id: Path<String>,
    JsonBody(content): JsonBody<UserContent>,
) -> Result<HttpResponse, Problem> {
    let user_id = validate::user_id(id.into_inner())?;
    feature_check::check(&gateway, &info, FeatureOwner::User, &content.features).await?;
    let _turn = gateway.changes.turn(user_id.as_str()).await;
    write(&gateway, User { user_id, features: content.features }).await
}

/// Change a user's profile
///
/// Features that are left out stay; one that is null is taken away. A user of whom only a history is known
/// gets a profile; one of whom nothing is known, or nothing any more, is not there to be changed.
#[utoipa::path(
    patch,
    path = "/v1/users/{id}",
    tag = "behaviour",
    operation_id = "patchUser",
    params(("id" = String, Path, min_length = 1, max_length = 256, description = "The user's id", example = "u1")),
    request_body(content = UserChanges, examples(
        ("1-one" = (summary = "One feature", value = json!({"features": {"country": "be"}}))),
    )),
    responses(
        (status = 204, description = "The profile is changed"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "A field is wrong; nothing was written"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "Nothing is known about this user; `PUT` writes a profile"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "The body is too large"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json", description = "The body is not JSON"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be reached"),
    ),
)]
pub(crate) async fn patch(
    gateway: Data<Gateway>,
    info: ReqData<RequestInfo>,
    id: Path<String>,
    JsonBody(changes): JsonBody<UserChanges>,
) -> Result<HttpResponse, Problem> {
    let user_id = validate::user_id(id.into_inner())?;
    let written = features::written(&changes.features);
    feature_check::check(&gateway, &info, FeatureOwner::User, &written).await?;
    // Two changes at a time would otherwise undo one another.
    let _turn = gateway.changes.turn(user_id.as_str()).await;
    let before = gateway.store.user(&user_id).await?;
    // A change that comes late does not bring a user back who was forgotten.
    if before.is_none() && gateway.store.history(&user_id, i64::MAX, 1, 1).await?.entries.is_empty()
    {
        let detail = format!("nothing is known about user {user_id}; PUT writes a profile");
        return Err(Problem::not_found(detail));
    }
    let features = before.map(|user| user.features.clone()).unwrap_or_default();
    let features = features::changed(&features, changes.features);
    write(&gateway, User { user_id, features }).await
}

async fn write(gateway: &Gateway, user: User) -> Result<HttpResponse, Problem> {
    let mut errors = Errors::default();
    errors.features("features", &user.features);
    errors.none_or(())?;
    gateway.store.put_users(vec![user]).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Forget a user
///
/// Removes the profile, the history, the events and the lists that were served. What the events counted in
/// statistics of items stays. An unknown user is no error.
#[utoipa::path(
    delete,
    path = "/v1/users/{id}",
    tag = "behaviour",
    operation_id = "deleteUser",
    params(("id" = String, Path, min_length = 1, max_length = 256, description = "The user's id", example = "nobody")),
    responses(
        (status = 204, description = "Nothing is known of the user any more"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "The id is not one"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be reached; send it again"),
    ),
)]
pub(crate) async fn delete(
    gateway: Data<Gateway>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let user_id: UserId = validate::user_id(id.into_inner())?;
    let _turn = gateway.changes.turn(user_id.as_str()).await;
    // Lists that were served before are written first, so that none comes after.
    gateway.exposures.flush().await;
    gateway.store.delete_user(&user_id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Which part of the history to show.
#[derive(Debug, PartialEq, Eq)]
struct Window {
    clicks: usize,
    impressions: usize,
    before: TimestampMs,
}

impl Window {
    fn read(query: &str) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|error| Problem::invalid_field("query", error.to_string()))?;
        let mut errors = Errors::default();
        let (mut clicks, mut impressions, mut before) =
            (DEFAULT_ENTRIES, DEFAULT_ENTRIES, i64::MAX);
        for (name, value) in pairs.into_inner() {
            let (target, allowed) = match name.as_str() {
                "clicks" => (&mut clicks, 0..=MAX_ENTRIES),
                "impressions" => (&mut impressions, 0..=MAX_ENTRIES),
                "before" => (&mut before, 0..=i64::MAX),
                _ => {
                    errors.add(name, "is no parameter here; clicks, impressions and before are");
                    continue;
                }
            };
            match value.parse() {
                Ok(number) => {
                    errors.range(&name, number, allowed);
                    *target = number;
                }
                Err(_) => errors.add(name, format!("is {value:?}; it must be a whole number")),
            }
        }
        let count = |number: i64| usize::try_from(number).unwrap_or(0);
        errors.none_or(Self { clicks: count(clicks), impressions: count(impressions), before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_parameters_are_parsed_and_errors_name_them() {
        let window = Window::read("clicks=3&before=77").unwrap();
        assert_eq!(window, Window { clicks: 3, impressions: 50, before: 77 });
        for (query, field) in [
            ("clicks=-1", "clicks"),
            ("impressions=1001", "impressions"),
            ("before=soon", "before"),
            ("click=1", "click"),
        ] {
            let problem = Window::read(query).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(field), "{query}");
        }
    }
}

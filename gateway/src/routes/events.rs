//! `POST /v1/events`.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpResponse,
    web::{self, Data, ReqData, ServiceConfig},
};
use futures::future::join_all;
use plugrank_contract::{Context, Deadline, Event, ItemId, UNKNOWN_ITEM, retrieval::ObserveEvents};

use crate::{
    Gateway, ServerOptions, ServingModel,
    api::events::{EventBody, EventResult, EventStatus, EventsRequest, EventsResponse},
    body::{self, BodyLimit, RawJson},
    endpoint::Endpoint,
    events::UnknownItems,
    observe::RequestInfo,
    problem::{FieldError, Problem, ProblemDocument},
    validate,
};

/// How long telling retrieval may hold up the answer; the events are safe already.
const NOTICE_BUDGET: Duration = Duration::from_secs(1);

pub(crate) fn configure(config: &mut ServiceConfig, settings: &ServerOptions) {
    let resource =
        Endpoint::Events.resource().app_data(BodyLimit::new(settings.max_body_bytes, settings));
    config.service(resource.route(web::post().to(append)));
}

/// Record what users saw and did
///
/// Answered once the events are durable. They count from the user's next request on. An event id
/// that was sent before changes nothing, so a batch may be sent again. A wrong event is refused and
/// named, and the others are kept.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "behaviour",
    operation_id = "appendEvents",
    request_body(content = EventsRequest, examples(
        ("1-click" = (summary = "A click", value = json!({"events": [
            {"event_id": "click-1", "type": "click", "user_id": "u1", "item_id": "i1"},
        ]}))),
        ("2-impressions" = (summary = "What was shown", value = json!({"events": [
            {"event_id": "shown-1", "type": "impression", "user_id": "u1", "item_id": "i1", "position": 1, "surface": "home"},
            {"event_id": "shown-2", "type": "impression", "user_id": "u1", "item_id": "i2", "position": 2, "surface": "home"},
        ]}))),
    )),
    responses(
        (status = 202, body = EventsResponse, description = "At least one event is durable, or was before; `results` says it of each"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "No event is valid; nothing was recorded"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "The body is too large"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json", description = "The body is not JSON"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be reached; send the batch again"),
    ),
)]
pub(crate) async fn append(
    gateway: Data<Gateway>,
    info: ReqData<RequestInfo>,
    RawJson(body): RawJson,
) -> Result<HttpResponse, Problem> {
    let mut checked = check(&gateway, &body)?;
    refuse_unknown_items(&gateway, &mut checked).await?;
    let good: Vec<Event> =
        checked.iter().filter_map(|one| one.event.as_ref().ok()).cloned().collect();
    if good.is_empty() {
        gateway.metrics.events(0, 0, checked.len());
        return Err(none_valid(checked));
    }
    let new = gateway.store.append_events(good.clone()).await?;
    let (good_count, total) = (good.len(), checked.len());
    let response = respond(checked, &new);
    let fresh: Vec<Event> =
        good.into_iter().zip(&new).filter_map(|(event, new)| new.then_some(event)).collect();
    gateway.metrics.events(fresh.len(), good_count - fresh.len(), total - good_count);
    if !fresh.is_empty() {
        tell_retrieval(&gateway, &info, fresh).await;
    }
    Ok(HttpResponse::Accepted().json(response))
}

/// An event of a body, or what is wrong with it.
struct Checked {
    event_id: Option<String>,
    event: Result<Event, Vec<FieldError>>,
}

fn check(gateway: &Gateway, body: &[u8]) -> Result<Vec<Checked>, Problem> {
    let now = validate::now_ms();
    let one = |(at, event): (usize, EventBody<'_>)| Checked {
        event_id: Some(event.event_id.to_string()),
        event: gateway.event_checks.event(at, event, now),
    };
    let checked: Vec<Checked> = match body::parse::<EventsRequest<'_>>(body) {
        Ok(request) => request.events.into_iter().enumerate().map(one).collect(),
        // Some event is not of the form; which one is worth the time only then.
        Err(whole) => {
            let Ok(Untyped { events }) = body::parse::<Untyped>(body) else { return Err(whole) };
            let typed = |(at, event): (usize, serde_json::Value)| match body::parse_value(&event) {
                Ok(body) => one((at, body)),
                Err((path, detail)) => Checked {
                    event_id: event["event_id"].as_str().map(str::to_owned),
                    event: Err(vec![FieldError::at_pointer(format!("/events/{at}{path}"), detail)]),
                },
            };
            events.into_iter().enumerate().map(typed).collect()
        }
    };
    let (count, most) = (checked.len(), gateway.server.max_events);
    if count == 0 || count > most {
        let detail = format!("has {count} entries; it must have 1 to {most}");
        return Err(Problem::invalid_field("events", detail));
    }
    Ok(checked)
}

/// A batch whose events need not be of the form.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Untyped {
    events: Vec<serde_json::Value>,
}

/// Counts the events whose item the catalog does not have, and refuses them where the settings say so.
async fn refuse_unknown_items(gateway: &Gateway, checked: &mut [Checked]) -> Result<(), Problem> {
    let places: Vec<usize> = (0..checked.len()).filter(|at| checked[*at].event.is_ok()).collect();
    let ids: Vec<ItemId> = checked
        .iter()
        .filter_map(|one| one.event.as_ref().ok())
        .map(|event| event.item_id.clone())
        .collect();
    let refuse = gateway.unknown_items == UnknownItems::Refuse;
    let known: Vec<bool> = match &gateway.models.active().items {
        // The catalog itself decides what is refused.
        _ if refuse => gateway.store.has_items(&ids).await?,
        Some(table) => {
            let mut indices = Vec::with_capacity(ids.len());
            table.indices(&mut ids.iter().map(ItemId::as_str), &mut indices);
            indices.into_iter().map(|index| index != UNKNOWN_ITEM).collect()
        }
        None => return Ok(()),
    };
    gateway.metrics.events_of_unknown_items(known.iter().filter(|known| !**known).count());
    if !refuse {
        return Ok(());
    }
    for (at, id) in
        places.into_iter().zip(ids).zip(known).filter_map(|(one, known)| (!known).then_some(one))
    {
        let detail = format!(
            "{:?} is not in the catalog; add it first (PUT /v1/items/{{id}}), or keep such events \
             (events.unknown_items)",
            validate::shortened(id.as_str())
        );
        let pointer = format!("/events/{at}/item_id");
        checked[at].event = Err(vec![FieldError::at_pointer(pointer, detail)]);
    }
    Ok(())
}

/// Results in the order of the events; `new` says of each good one whether it was.
fn respond(checked: Vec<Checked>, new: &[bool]) -> EventsResponse {
    let mut new = new.iter();
    let result = |Checked { event_id, event }: Checked| match event {
        Ok(_) => {
            let fresh = new.next().copied().unwrap_or_default();
            let status = if fresh { EventStatus::Accepted } else { EventStatus::Repeat };
            EventResult { event_id, status, problem: None }
        }
        Err(errors) => refused(event_id, errors),
    };
    EventsResponse { results: checked.into_iter().map(result).collect() }
}

fn refused(event_id: Option<String>, errors: Vec<FieldError>) -> EventResult {
    let problem = Problem::invalid(errors).document().clone();
    EventResult { event_id, status: EventStatus::Refused, problem: Some(problem) }
}

/// The problem of a batch without a valid event: the first errors of all, and the result of each.
fn none_valid(checked: Vec<Checked>) -> Problem {
    let errors = checked.iter().flat_map(|one| one.event.as_ref().err().into_iter().flatten());
    let problem = Problem::invalid(errors.take(validate::MAX_ERRORS).cloned().collect());
    let response = respond(checked, &[]);
    match serde_json::to_value(response.results) {
        Ok(results) => problem.with("results", results),
        Err(_) => problem,
    }
}

/// Popularity and co-visitation may lag behind; the stored history does not. So a failure here is
/// counted, and not the caller's.
async fn tell_retrieval(gateway: &Gateway, info: &RequestInfo, events: Vec<Event>) {
    let context = Context {
        model: None,
        request_id: info.request_id,
        deadline: Deadline::after(NOTICE_BUDGET),
        traceparent: info.traceparent(),
        tracestate: info.tracestate.clone(),
    };
    let deadline = context.deadline;
    let (active, beside) = gateway.models.all_ready();
    let tell = |model: &Arc<ServingModel>| {
        let client = Arc::clone(&model.clients.observe_events);
        let (context, notice) = (context.clone(), ObserveEvents { events: events.clone() });
        async move { deadline.limit(client.call(context, notice)).await }
    };
    for told in join_all(std::iter::once(&active).chain(&beside).map(tell)).await {
        let error = match told {
            Some(Ok(())) => continue,
            Some(Err(error)) => error.to_string(),
            None => format!("no answer within {NOTICE_BUDGET:?}"),
        };
        tracing::warn!(error, "retrieval could not be told about stored events");
        gateway.metrics.failed_notice("observe_events");
    }
}

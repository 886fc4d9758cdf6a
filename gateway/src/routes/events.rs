//! `POST /v1/events`.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpResponse,
    web::{self, Data, ReqData, ServiceConfig},
};
use futures::future::join_all;
use plugrank_contract::{
    Context, Deadline, Event, ItemId, TimestampMs, UserId, retrieval::ObserveEvents,
};

use crate::{
    Gateway, ServerOptions, ServingModel,
    api::events::{EventBody, EventsRequest, EventsResponse},
    body::{BodyLimit, JsonBody},
    endpoint::Endpoint,
    observe::RequestInfo,
    problem::{Problem, ProblemDocument},
    validate::{self, Errors},
};

/// Longest id of an event or a request, in bytes.
const MAX_ID_BYTES: usize = 256;
/// How far a caller's clock may be ahead of ours.
const MAX_AHEAD_MS: TimestampMs = 24 * 3600 * 1000;
/// How long telling retrieval may hold up the answer; the events are safe already.
const NOTICE_BUDGET: Duration = Duration::from_secs(1);

pub(crate) fn configure(config: &mut ServiceConfig, settings: &ServerOptions) {
    let resource =
        Endpoint::Events.resource().app_data(BodyLimit::new(settings.max_body_bytes, settings));
    config.service(resource.route(web::post().to(append)));
}

/// Record what users saw and clicked
///
/// Answered once the events are durable. They count from the user's next request on. An event id
/// that was sent before changes nothing, so a batch may be sent again.
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
            {"event_id": "shown-1", "type": "impression", "user_id": "u1", "item_id": "i1"},
            {"event_id": "shown-2", "type": "impression", "user_id": "u1", "item_id": "i2"},
        ]}))),
    )),
    responses(
        (status = 202, body = EventsResponse, description = "The events are durable"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "A field is wrong; nothing was recorded"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "The body is too large"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json", description = "The body is not JSON"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be reached; send the batch again"),
    ),
)]
pub(crate) async fn append(
    gateway: Data<Gateway>,
    info: ReqData<RequestInfo>,
    JsonBody(request): JsonBody<EventsRequest>,
) -> Result<HttpResponse, Problem> {
    let events = check(request, gateway.server.max_events, validate::now_ms())?;
    let new = gateway.store.append_events(events.clone()).await?;
    let total = events.len() as u64;
    let fresh: Vec<Event> =
        events.into_iter().zip(new).filter_map(|(event, new)| new.then_some(event)).collect();
    let accepted = fresh.len() as u64;
    gateway.metrics.events(accepted, total - accepted);
    if !fresh.is_empty() {
        tell_retrieval(&gateway, &info, fresh).await;
    }
    Ok(HttpResponse::Accepted().json(EventsResponse { accepted, duplicates: total - accepted }))
}

/// Popularity and co-visitation may lag behind; the stored history does not. So a failure here is
/// counted, and not the caller's.
async fn tell_retrieval(gateway: &Gateway, info: &RequestInfo, events: Vec<Event>) {
    let context = Context {
        request_id: info.request_id,
        deadline: Deadline::after(NOTICE_BUDGET),
        traceparent: info.traceparent().map(|parent| parent.to_string()),
        tracestate: info.tracestate.clone(),
    };
    let deadline = context.deadline;
    let models = gateway.models.all_ready();
    let tell = |model: &Arc<ServingModel>| {
        let client = Arc::clone(&model.clients.observe_events);
        let (context, notice) = (context.clone(), ObserveEvents { events: events.clone() });
        async move { deadline.limit(client.call(context, notice)).await }
    };
    for told in join_all(models.iter().map(tell)).await {
        let error = match told {
            Some(Ok(())) => continue,
            Some(Err(error)) => error.to_string(),
            None => format!("no answer within {NOTICE_BUDGET:?}"),
        };
        tracing::warn!(error, "retrieval could not be told about stored events");
        gateway.metrics.failed_notice("observe_events");
    }
}

fn check(
    request: EventsRequest,
    max_events: usize,
    now: TimestampMs,
) -> Result<Vec<Event>, Problem> {
    let mut errors = Errors::default();
    let count = request.events.len();
    if count == 0 || count > max_events {
        errors.add("events", format!("has {count} entries; it must have 1 to {max_events}"));
        return errors.none_or(Vec::new());
    }
    let mut events = Vec::with_capacity(count);
    for (at, event) in request.events.into_iter().enumerate() {
        if errors.full() {
            break;
        }
        check_event(&mut errors, at, &event, now);
        events.push(Event {
            event_id: event.event_id,
            event_type: event.kind.into(),
            user_id: UserId::from(event.user_id),
            item_id: ItemId::from(event.item_id),
            request_id: event.request_id,
            position: event.position,
            timestamp: event.timestamp.unwrap_or(now),
        });
    }
    errors.none_or(events)
}

fn check_event(errors: &mut Errors, at: usize, event: &EventBody, now: TimestampMs) {
    let field = |name: &str| format!("events[{at}].{name}");
    errors.text(&field("event_id"), &event.event_id, MAX_ID_BYTES);
    errors.text(&field("user_id"), &event.user_id, UserId::MAX_BYTES);
    errors.text(&field("item_id"), &event.item_id, ItemId::MAX_BYTES);
    if let Some(request_id) = &event.request_id {
        errors.text(&field("request_id"), request_id, MAX_ID_BYTES);
    }
    match event.timestamp {
        Some(timestamp) if timestamp < 0 => {
            errors.add(field("timestamp"), format!("is {timestamp}; it must be 0 or later"));
        }
        Some(timestamp) if timestamp > now.saturating_add(MAX_AHEAD_MS) => errors.add(
            field("timestamp"),
            format!("is {timestamp}, more than a day ahead; send milliseconds since 1970"),
        ),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = 1_800_000_000_000;

    fn field(events: &str) -> Option<String> {
        let request = serde_json::from_str(&format!("{{\"events\": {events}}}")).unwrap();
        check(request, 2, NOW).err().and_then(|problem| problem.field.clone())
    }

    #[test]
    fn each_wrong_field_is_named() {
        let event = |extra: &str| {
            format!(
                "[{{\"event_id\":\"e\",\"type\":\"click\",\"user_id\":\"u\",\"item_id\":\"i\"{extra}}}]"
            )
        };
        assert_eq!(field(&event("")), None);
        assert_eq!(field("[]").as_deref(), Some("events"));
        assert_eq!(field(&event(&format!(",\"timestamp\":{}", NOW + MAX_AHEAD_MS))), None);
        let ahead = event(&format!(",\"timestamp\":{}", NOW + MAX_AHEAD_MS + 1));
        assert_eq!(field(&ahead).as_deref(), Some("events[0].timestamp"));
        assert_eq!(field(&event(",\"timestamp\":-1")).as_deref(), Some("events[0].timestamp"));
        assert_eq!(field(&event(",\"request_id\":\"\"")).as_deref(), Some("events[0].request_id"));
        let three = event("").trim_matches(['[', ']']).to_owned();
        assert_eq!(field(&format!("[{three},{three},{three}]")).as_deref(), Some("events"));
    }
}

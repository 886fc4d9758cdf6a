//! `POST /v1/items`: many items, one a line.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Bytes, BytesMut, Data, Payload, ReqData, ServiceConfig},
};
use futures::{StreamExt, stream};
use plugrank_contract::{ItemId, scoring::FeatureOwner};
use plugrank_store::StoredItem;
use serde_json::Value;
use tokio::{sync::SemaphorePermit, time::timeout};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{AnyOfBuilder, ObjectBuilder, SchemaType, Type},
    },
};

use crate::{
    Gateway,
    api::items::{BulkResult, ItemContent},
    body,
    endpoint::Endpoint,
    observe::RequestInfo,
    problem::{FieldError, Problem, ProblemDocument},
    routes::{
        feature_check,
        item_content::{self, Checked},
        items::announce,
    },
    validate,
};

/// The media type of lines of JSON.
const NDJSON: &str = "application/x-ndjson";
/// Bulk writes at a time; one more is answered 429.
pub(crate) const AT_A_TIME: usize = 2;
/// Lines that are written at a time.
const LINES: usize = 256;
/// Bytes after which a write takes no further line.
const BYTES: usize = 8 << 20;

pub(crate) fn configure(config: &mut ServiceConfig) {
    config.service(Endpoint::Items.resource().route(web::post().to(write)));
}

/// A line of the body, in the API's documents.
#[derive(Debug)]
pub(crate) enum ItemLine {}

impl PartialSchema for ItemLine {
    fn schema() -> RefOr<Schema> {
        let id = ObjectBuilder::new().schema_type(Type::String);
        let id = id.min_length(Some(1)).max_length(Some(256)).description(Some("Which item."));
        // Beside the item's content, which has no further fields where it stands alone.
        let mut item = match ItemContent::schema() {
            RefOr::T(Schema::Object(item)) => item,
            _ => return RefOr::T(Schema::default()),
        };
        item.properties.insert("item_id".to_owned(), id.into());
        item.required.push("item_id".to_owned());
        let other = ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some("Anything else is refused in its place."));
        RefOr::T(Schema::AnyOf(AnyOfBuilder::new().item(item).item(other).build()))
    }
}

impl ToSchema for ItemLine {
    fn name() -> std::borrow::Cow<'static, str> {
        "ItemLine".into()
    }
}

/// Write many items
///
/// One item a line (NDJSON), each replaced as a whole. The answer has a line for each, in order, and comes
/// while the rest is still read: an item whose result is there is stored and retrievable. A wrong line is
/// refused and named, and the others are written.
#[utoipa::path(
    post,
    path = "/v1/items",
    tag = "catalog",
    operation_id = "writeItems",
    request_body(content = ItemLine, content_type = "application/x-ndjson", description = "One item a line: its `item_id` beside its content", example = json!({"item_id": "mug-1", "title": "Blue mug"})),
    responses(
        (status = 200, body = BulkResult, content_type = "application/x-ndjson", description = "What happened to each line"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json", description = "The body is not NDJSON"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json", description = "Too many bulk writes at a time; try again after `Retry-After`"),
    ),
)]
pub(crate) async fn write(
    gateway: Data<Gateway>,
    info: ReqData<RequestInfo>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let found = actix_web::HttpMessage::content_type(&request);
    if !found.eq_ignore_ascii_case(NDJSON) {
        return Err(Problem::unsupported_media_type("content-type", found, NDJSON));
    }
    if gateway.bulk_loads.available_permits() == 0 {
        return Err(Problem::too_many(format!("{AT_A_TIME} bulk writes are under way")));
    }
    let (info, buffer) = (info.into_inner(), BytesMut::new());
    let lines =
        Lines { payload, buffer, line: 0, ended: false, most: gateway.server.max_item_bytes };
    let results = stream::unfold(Some((gateway.into_inner(), info, lines)), |state| async {
        let (gateway, info, mut lines) = state?;
        let wait = gateway.server.client_timeout();
        let (batch, end) = lines.batch(wait).await;
        let mut results = write_batch(&gateway, &info, batch).await;
        results.extend(end.as_ref().map(|problem| refused(lines.line + 1, None, problem)));
        let mut text = Vec::new();
        for result in &results {
            // A result has no map with keys that are no text, so it can be written.
            if serde_json::to_writer(&mut text, result).is_ok() {
                text.push(b'\n');
            }
        }
        let more = !lines.ended && end.is_none();
        let next = more.then_some((gateway, info, lines));
        Some((Ok::<_, actix_web::Error>(Bytes::from(text)), next))
    });
    Ok(HttpResponse::Ok().content_type(NDJSON).streaming(results))
}

/// The lines of a body, as they come.
struct Lines {
    payload: Payload,
    buffer: BytesMut,
    /// Lines taken so far.
    line: u64,
    ended: bool,
    /// Longest line, in bytes.
    most: usize,
}

/// A line and its number.
type Line = (u64, Bytes);

impl Lines {
    /// The next lines; and what is wrong with the body, where it cannot go on.
    async fn batch(&mut self, wait: std::time::Duration) -> (Vec<Line>, Option<Problem>) {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1).freeze();
                bytes += line.len();
                self.take(line, &mut lines);
                if lines.len() >= LINES || bytes >= BYTES {
                    return (lines, None);
                }
            }
            if self.buffer.len() > self.most {
                return (lines, Some(Problem::too_large(self.most)));
            }
            match timeout(wait, self.payload.next()).await {
                Err(_) => return (lines, Some(Problem::body_too_slow(wait))),
                Ok(Some(Ok(chunk))) => self.buffer.extend_from_slice(&chunk),
                Ok(Some(Err(_))) => {
                    let detail = "the body ended before it was complete";
                    return (lines, Some(Problem::invalid_field("body", detail)));
                }
                Ok(None) => {
                    self.ended = true;
                    let rest = self.buffer.split().freeze();
                    self.take(rest, &mut lines);
                    return (lines, None);
                }
            }
        }
    }

    fn take(&mut self, line: Bytes, lines: &mut Vec<Line>) {
        let text = line.trim_ascii();
        if text.is_empty() {
            self.line += u64::from(!line.is_empty());
            return;
        }
        self.line += 1;
        lines.push((self.line, line.slice_ref(text)));
    }
}

fn refused(line: u64, item_id: Option<String>, problem: &Problem) -> BulkResult {
    let problem = Some(problem.document().clone());
    BulkResult { line, item_id, status: "refused", problem }
}

async fn write_batch(
    gateway: &Arc<Gateway>,
    info: &RequestInfo,
    lines: Vec<Line>,
) -> Vec<BulkResult> {
    let _permit: Option<SemaphorePermit<'_>> = gateway.bulk_loads.acquire().await.ok();
    let mut results = Vec::with_capacity(lines.len());
    let mut given: Vec<Given> = Vec::with_capacity(lines.len());
    for (line, text) in lines {
        let (item_id, parsed) = parse(&text);
        let checked = match parsed {
            Ok((id, content)) => item_content::check(content).await.map(|checked| (id, checked)),
            Err(problem) => Err(problem),
        };
        match checked {
            Ok((id, content)) => given.push(Given { line, id, content }),
            Err(problem) => results.push(refused(line, item_id, &problem)),
        }
    }
    let features = given.iter().map(|one| one.content.features.clone()).collect();
    match feature_check::wrong_features(gateway, info, FeatureOwner::Item, features).await {
        Ok(wrong) => {
            let (mut readable, mut wrong) = (Vec::with_capacity(given.len()), wrong.into_iter());
            for one in given {
                match wrong.next().flatten() {
                    None => readable.push(one),
                    Some(wrong) => results.push(one.refused(&feature_check::problem(wrong))),
                }
            }
            results.extend(write_items(gateway, info, readable).await);
        }
        Err(problem) => results.extend(given.iter().map(|one| one.refused(&problem))),
    }
    results.sort_by_key(|result| result.line);
    results
}

/// A line that can be written.
struct Given {
    line: u64,
    id: ItemId,
    content: Checked,
}

impl Given {
    fn refused(&self, problem: &Problem) -> BulkResult {
        refused(self.line, Some(self.id.to_string()), problem)
    }
}

/// The id and content of a line; the id also where the rest is wrong.
fn parse(text: &[u8]) -> (Option<String>, Result<(ItemId, ItemContent), Problem>) {
    let mut line: serde_json::Map<String, Value> = match body::parse(text) {
        Ok(line) => line,
        Err(problem) => return (None, Err(problem)),
    };
    let Some(Value::String(item_id)) = line.remove("item_id") else {
        return (None, Err(Problem::invalid_field("item_id", "is missing, or no text")));
    };
    let content = body::parse_value(&Value::Object(line)).map_err(|(pointer, detail)| {
        Problem::invalid(vec![FieldError::at_pointer(pointer, detail)])
    });
    let parsed = validate::item_id(item_id.clone()).and_then(|id| Ok((id, content?)));
    (Some(item_id), parsed)
}

async fn write_items(
    gateway: &Arc<Gateway>,
    info: &RequestInfo,
    items: Vec<Given>,
) -> Vec<BulkResult> {
    if items.is_empty() {
        return Vec::new();
    }
    let ids: Vec<ItemId> = items.iter().map(|one| one.id.clone()).collect();
    let known = match gateway.store.items(&ids).await {
        Ok(known) => known,
        Err(error) => {
            let problem = Problem::from(error);
            return items.iter().map(|one| one.refused(&problem)).collect();
        }
    };
    let lines: Vec<u64> = items.iter().map(|one| one.line).collect();
    // As with one item: when it came into the catalog stays, where nothing is said of it.
    let new = |(one, known): (Given, &Option<Arc<StoredItem>>)| {
        one.content.into_item(one.id, known.as_deref())
    };
    let written = gateway.store.put_items(items.into_iter().zip(&known).map(new).collect()).await;
    let outcome = match written {
        Ok(()) => announce(gateway, info, &ids).await.map_err(|problem| (true, problem)),
        Err(error) => Err((false, Problem::from(error))),
    };
    let result = |((line, id), known): ((u64, ItemId), Option<_>)| {
        let status = if known.is_some() { "replaced" } else { "created" };
        let id = Some(id.to_string());
        match &outcome {
            Ok(()) => BulkResult { line, item_id: id, status, problem: None },
            Err((true, problem)) => {
                let problem: Option<ProblemDocument> = Some(problem.document().clone());
                BulkResult { line, item_id: id, status, problem }
            }
            Err((false, problem)) => refused(line, id, problem),
        }
    };
    lines.into_iter().zip(ids).zip(known).map(result).collect()
}

//! Reads JSON bodies; an error names the field.

use std::time::Duration;

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev, web};
use futures::future::LocalBoxFuture;
use plugrank_body::{BodyError, BodyReader, Encodings};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Gateway, ServerOptions, problem::Problem};

/// Bytes of memory for a byte of JSON: what lists of short strings take once they are parsed.
const WEIGHT: usize = 4;

/// How much of a body a resource waits for, and how long; part of its `app_data`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit {
    bytes: usize,
    time: Duration,
}

impl BodyLimit {
    pub(crate) fn new(bytes: usize, settings: &ServerOptions) -> Self {
        Self { bytes, time: settings.client_timeout() }
    }
}

/// A JSON body that has been read and not parsed yet, for what is parsed where it lies.
pub(crate) struct RawJson(pub(crate) web::Bytes);

/// A JSON body. A wrong one is answered with a problem that names the field.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let raw = RawJson::from_request(request, payload);
        Box::pin(async move { parse(&raw.await?.0).map(Self) })
    }
}

impl FromRequest for RawJson {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let reader = reader(request);
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let body =
                reader?.read(&request, payload).await.map_err(|error| unread(&request, error))?;
            // It holds its memory for as long as the request is worked on.
            request.extensions_mut().insert(body.held);
            Ok(Self(body.bytes))
        })
    }
}

/// How the bodies of a request's path are read.
fn reader(request: &HttpRequest) -> Result<BodyReader, Problem> {
    let (limit, gateway) =
        (request.app_data::<BodyLimit>(), request.app_data::<web::Data<Gateway>>());
    let (Some(limit), Some(gateway)) = (limit, gateway) else {
        return Err(Problem::internal("this path takes no body"));
    };
    let found = request.content_type();
    if !is_json(found) {
        return Err(Problem::unsupported_media_type("content-type", found, "application/json"));
    }
    Ok(BodyReader {
        max_bytes: limit.bytes,
        time: limit.time,
        weight: WEIGHT,
        encodings: Encodings::Identity,
        memory: gateway.bodies.clone(),
    })
}

fn unread(request: &HttpRequest, error: BodyError) -> Problem {
    match error {
        BodyError::Encoding(found) => {
            Problem::unsupported_media_type("content-encoding", &found, "identity")
        }
        BodyError::TooLarge { limit } => Problem::too_large(limit),
        BodyError::TooSlow(time) => Problem::body_too_slow(time),
        BodyError::NoRoom(full) => {
            if let Some(gateway) = request.app_data::<web::Data<Gateway>>() {
                gateway.metrics.rejected("body_memory");
            }
            Problem::too_many(full.to_string()).because("body_memory")
        }
        BodyError::Broken(_) => {
            Problem::invalid_field("body", "the body ended before it was complete")
        }
    }
}

fn is_json(media_type: &str) -> bool {
    let Some((kind, form)) = media_type.split_once('/') else { return false };
    let suffix = form.rsplit_once('+').map_or(form, |(_, suffix)| suffix);
    kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
}

/// Parses a body. What it borrows lies in `bytes`.
pub(crate) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    // serde would take a list as an object's fields by position, which no caller means.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::invalid_field("body", "is a list; it must be a JSON object"));
    }
    // Nearly every body is right; which field of one is wrong is looked for afterwards, since to
    // keep track of the place in the document costs memory for each key.
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        let field =
            if error.is_data() { field_of(&path, &error.to_string()) } else { "body".into() };
        let detail = if error.is_data() { error.to_string() } else { format!("not JSON: {error}") };
        Problem::invalid_field(field, detail)
    })?;
    json.end().map_err(|error| {
        Problem::invalid_field("body", format!("something follows the JSON value: {error}"))
    })?;
    Ok(value)
}

/// Parses a part of a body; an error says where in it as a JSON pointer, and what is wrong.
pub(crate) fn parse_value<'a, T: Deserialize<'a>>(
    value: &'a serde_json::Value,
) -> Result<T, (String, String)> {
    if value.is_array() {
        return Err((String::new(), "is a list; it must be a JSON object".to_owned()));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let detail = error.into_inner().to_string();
        let field = field_of(&path, &detail);
        let pointer = if field == "body" { String::new() } else { format!("/{field}") };
        (pointer, detail)
    })
}

/// The field an error is about. A missing or repeated field is known from serde's message alone,
/// since the path ends at the object it should be in.
fn field_of(path: &str, message: &str) -> String {
    let named = ["missing field `", "duplicate field `"].iter().find_map(|start| {
        let (name, _) = message.strip_prefix(start)?.split_once('`')?;
        Some(name)
    });
    match (path, named) {
        (".", Some(name)) => name.to_owned(),
        (path, Some(name)) => format!("{path}.{name}"),
        (".", None) => "body".to_owned(),
        (path, None) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(rename = "list")]
        _list: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(rename = "id")]
        _id: String,
    }

    #[test]
    fn json_is_recognised_by_its_media_type() {
        for (media_type, json) in [
            ("application/json", true),
            ("Application/JSON", true),
            ("application/vnd.x+json", true),
            ("application/x+y+JSON", true),
            ("application/jsonl", false),
            ("application/x-json", false),
            ("text/json", false),
            ("json", false),
            ("", false),
        ] {
            assert_eq!(is_json(media_type), json, "{media_type}");
        }
    }

    #[test]
    fn errors_name_the_field() {
        for (body, field) in [
            ("", "body"),
            ("{\"list\": [", "body"),
            ("[1]", "body"),
            ("{} x", "list"),
            ("{\"list\": []} x", "body"),
            ("{\"list\": 1}", "list"),
            ("{\"list\": [{\"id\": \"a\"}, {}]}", "list[1].id"),
            ("{\"list\": [{\"id\": 7}]}", "list[0].id"),
            ("{\"list\": [{\"id\": \"a\", \"id\": \"b\"}]}", "list[0].id"),
            ("{\"list\": [{\"idd\": \"a\"}]}", "list[0].idd"),
            ("{\"lists\": []}", "lists"),
        ] {
            let problem = parse::<Outer>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(field), "{body}: {problem}");
            assert_eq!(problem.status, 400);
        }
        assert!(parse::<Outer>(b"{\"list\": [{\"id\": \"a\"}]}\n").is_ok());
    }
}

//! Errors as people and programs read them: RFC 9457 problem documents.

use std::{ops::Deref, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{Method, StatusCode, header},
};
use plugrank_access::Denied;
use plugrank_contract::CallError;
use plugrank_store::StoreError;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// Media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One error of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Which field, e.g. `k` or `candidates[3]`; `body` when it is the body as a whole.
    #[schema(example = "candidates[3]")]
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub detail: String,
    /// The same place as a JSON pointer into the body (RFC 6901), where it lies deep in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/filter/must/0/field")]
    pub pointer: Option<String>,
}

impl FieldError {
    /// A field that is wrong, and what is wrong with it.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), detail: detail.into(), pointer: None }
    }

    /// A place in the body that is wrong, by its JSON pointer.
    pub fn at_pointer(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let pointer = pointer.into();
        let mut field = String::with_capacity(pointer.len() + 2);
        for part in pointer.split('/').skip(1) {
            match part.parse::<usize>() {
                Ok(at) => field.push_str(&format!("[{at}]")),
                Err(_) if field.is_empty() => field.push_str(part),
                Err(_) => {
                    field.push('.');
                    field.push_str(part);
                }
            }
        }
        Self { field, detail: detail.into(), pointer: Some(pointer) }
    }
}

/// Why a request was not answered as asked (RFC 9457).
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Names the kind of problem; does not change.
    #[serde(rename = "type")]
    #[schema(example = "urn:problem-type:plugrank:invalid-request")]
    pub kind: String,
    /// The kind of problem, for people.
    pub title: String,
    /// The HTTP status.
    #[schema(example = 400)]
    pub status: u16,
    /// What happened this time, and what would fix it.
    pub detail: String,
    /// Names this occurrence: the request id, as in the header `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The first field that is wrong, when it is a field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Every field that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Members of this kind of problem alone, e.g. the checks of `/readyz`.
    #[serde(flatten)]
    #[schema(ignore)]
    pub more: Map<String, Value>,
    /// When trying again makes sense, in seconds, for a 429 or 503.
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<u64>,
    /// Methods the path takes, for a 405.
    #[serde(skip)]
    #[schema(ignore)]
    allow: Option<&'static str>,
    /// Which limit refused the request, for logs.
    #[serde(skip)]
    #[schema(ignore)]
    cause: Option<&'static str>,
    /// How to show who is asking, for a 401 or 403.
    #[serde(skip)]
    #[schema(ignore)]
    challenge: Option<String>,
}

/// A [`ProblemDocument`] as the error of a route. Boxed, so that results stay small.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<ProblemDocument>);

impl Deref for Problem {
    type Target = ProblemDocument;

    fn deref(&self) -> &ProblemDocument {
        &self.0
    }
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(ProblemDocument {
            kind: format!("urn:problem-type:plugrank:{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            instance: None,
            field: None,
            errors: Vec::new(),
            more: Map::new(),
            retry_after: None,
            allow: None,
            cause: None,
            challenge: None,
        }))
    }

    /// 400: fields that are wrong. `errors` names at least one.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        const SHOWN: usize = 3;
        let mut detail: Vec<String> = errors
            .iter()
            .take(SHOWN)
            .map(|error| format!("{}: {}", error.field, error.detail))
            .collect();
        if errors.len() > SHOWN {
            detail.push(format!("and {} more", errors.len() - SHOWN));
        }
        let mut problem = Self::new(
            StatusCode::BAD_REQUEST,
            "invalid-request",
            "The request is not valid",
            detail.join("; "),
        );
        problem.0.field = errors.first().map(|error| error.field.clone());
        problem.0.errors = errors;
        problem
    }

    /// 400: one field that is wrong.
    #[must_use]
    pub fn invalid_field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, detail)])
    }

    /// 404: what the request names does not exist.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// 404: a path the API does not have.
    #[must_use]
    pub fn no_such_path(path: &str) -> Self {
        let detail = format!("there is nothing at {path}; /openapi.json lists what there is");
        Self::new(StatusCode::NOT_FOUND, "no-such-path", "There is no such path", detail)
    }

    /// 405: a method the path does not take.
    #[must_use]
    pub fn method_not_allowed(method: &Method, allow: &'static str) -> Self {
        let mut problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "The path does not take this method",
            format!("{method} is not taken here; use {allow}"),
        );
        problem.0.allow = Some(allow);
        problem
    }

    /// 421: a request for another host.
    #[must_use]
    pub fn misdirected(host: &str) -> Self {
        let title = "The request is for another host";
        let detail = format!("{host:?} is not served here (access.hosts)");
        Self::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", title, detail).at("host")
    }

    /// 409: the request conflicts with the present state.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Conflict with the present state", detail)
    }

    /// 413: a body over the limit.
    #[must_use]
    pub fn too_large(limit_bytes: usize) -> Self {
        let detail =
            format!("the body may be {limit_bytes} bytes long at most; send less at a time");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large", detail)
            .at("body")
    }

    /// 415: a body that is no plain JSON, by the header that says so.
    #[must_use]
    pub fn unsupported_media_type(header: &str, found: &str, expected: &str) -> Self {
        let detail = match found {
            "" => format!("{header} is missing; send `{header}: {expected}`"),
            found => format!("{header} is {found:?}; send `{header}: {expected}`"),
        };
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body is of a kind that is not read here",
            detail,
        )
        .at(header)
    }

    /// 408: a body that did not come in time.
    #[must_use]
    pub fn body_too_slow(time: Duration) -> Self {
        let detail = format!("the body was not complete within {time:?}; send it at once");
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-too-slow",
            "The body did not come in time",
            detail,
        )
        .at("body")
    }

    /// 408: the head of a request that did not come in time.
    #[must_use]
    pub fn head_too_slow(time: Duration) -> Self {
        let detail = format!("the head of the request was not complete within {time:?}");
        let title = "The request did not come in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "head-too-slow", title, detail)
    }

    /// 400: a head whose lines do not end as HTTP has it.
    #[must_use]
    pub fn bare_lf() -> Self {
        let detail = "a line of the request's head ends in LF alone; end each in CR LF";
        let title = "The request is not HTTP";
        Self::new(StatusCode::BAD_REQUEST, "not-http", title, detail)
    }

    /// 400: a request without TLS at a port that speaks it.
    #[must_use]
    pub fn no_tls() -> Self {
        let detail = "this port speaks TLS; use https:// in the address";
        let title = "The request is not encrypted";
        Self::new(StatusCode::BAD_REQUEST, "no-tls", title, detail)
    }

    /// 429: more at a time than is taken on.
    #[must_use]
    pub fn too_many(detail: impl Into<String>) -> Self {
        let title = "Too much is asked at a time";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", title, detail)
            .retry_after(Duration::ZERO)
    }

    /// The same problem, with the time after which trying again makes sense (at least a second, as
    /// the header counts in seconds).
    #[must_use]
    pub fn retry_after(mut self, time: Duration) -> Self {
        self.0.retry_after = Some(time.as_secs_f64().ceil().max(1.0) as u64);
        self
    }

    /// 503: what the answer depends on is not there right now.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The request cannot be answered right now",
            detail,
        )
        .retry_after(Duration::ZERO)
    }

    /// 500: a defect.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong on the server",
            detail,
        )
    }

    /// By `status`, for answers that come from below the routes.
    #[must_use]
    pub fn from_status(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("The request was not answered");
        let mut problem = Self::new(status, "", title, title);
        problem.0.kind = "about:blank".to_owned();
        problem
    }

    /// The same problem, with the limit that refused the request, in one word for logs.
    #[must_use]
    pub fn because(mut self, cause: &'static str) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// Which limit refused the request.
    #[must_use]
    pub fn cause(&self) -> Option<&'static str> {
        self.0.cause
    }

    /// The document, as a part of another answer.
    #[must_use]
    pub fn document(&self) -> &ProblemDocument {
        &self.0
    }

    /// The same problem, with a further member.
    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.0.more.insert(member.to_owned(), value);
        self
    }

    /// The same problem, as what happened to one request.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Uuid) -> Self {
        self.0.instance = Some(format!("urn:uuid:{request_id}"));
        self
    }

    fn at(mut self, field: &str) -> Self {
        self.0.errors = vec![FieldError::new(field, &self.detail)];
        self.0.field = Some(field.to_owned());
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The response carries the problem along, so that the edge can add the request's id.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(allow) = self.allow {
            response.insert_header((header::ALLOW, allow));
        }
        if let Some(challenge) = &self.challenge {
            response.insert_header((header::WWW_AUTHENTICATE, challenge.as_str()));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        let mut response = response.json(&*self.0);
        let media_type = header::HeaderValue::from_static(MEDIA_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let detail = denied.to_string();
        let mut problem = match denied {
            Denied::Missing
            | Denied::Scheme
            | Denied::Unknown
            | Denied::Expired
            | Denied::Token(_) => {
                let title = "The request does not show who is asking";
                Self::new(StatusCode::UNAUTHORIZED, "unauthorized", title, detail)
            }
            Denied::NoCertificate => {
                let title = "The caller shows no certificate";
                Self::new(StatusCode::FORBIDDEN, "forbidden", title, detail)
            }
            Denied::Scope { .. } => {
                let title = "The caller may not do this";
                Self::new(StatusCode::FORBIDDEN, "forbidden", title, detail)
            }
            Denied::AtOnce { .. } => {
                let title = "Too much is asked at a time";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", title, detail)
            }
            Denied::Rate { after, .. } => Self::too_many(detail).retry_after(after),
            Denied::Quota { after, .. } => {
                let title = "The caller has used up its quota";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "quota-used-up", title, detail)
                    .retry_after(after)
            }
        };
        problem.0.challenge = denied.challenge();
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::unavailable(error.to_string()),
            StoreError::Corrupt(_) => {
                tracing::error!(%error, "the store cannot be read");
                Self::internal(error.to_string())
            }
        }
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let after = Duration::from_millis(error.retry_after_ms.unwrap_or(0).into());
        Self::unavailable(error.message).retry_after(after)
    }
}

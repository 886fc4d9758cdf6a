//! Errors in the protocol's form: `{"error": "..."}`.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ALLOW, RETRY_AFTER},
    },
};
use plugrank_body::BodyError;
use plugrank_contract::CallError;
use plugrank_transport::wire;
use serde_json::json;

/// Why a request is not answered.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    retry_after_s: Option<u32>,
    /// Methods the path takes, for a 405.
    allow: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after_s: None, allow: None }
    }

    pub(super) fn method_not_allowed(takes: &'static str) -> Self {
        let message = format!("this path takes {takes}");
        Self { allow: Some(takes), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, message) }
    }

    pub(super) fn wrong(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        let status = StatusCode::from_u16(wire::status(error.code));
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after_s = error.retry_after_ms.map(|ms| ms.div_ceil(1000).max(1));
        Self { status, message: error.message, retry_after_s, allow: None }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let status = match &error {
            BodyError::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            BodyError::NoRoom(_) => StatusCode::TOO_MANY_REQUESTS,
            BodyError::Broken(_) => StatusCode::BAD_REQUEST,
        };
        let message = match &error {
            BodyError::Encoding(found) => {
                format!("content-encoding is {found:?}; send gzip, deflate or identity")
            }
            other => other.to_string(),
        };
        let retry_after_s = matches!(error, BodyError::NoRoom(_)).then_some(1);
        Self { retry_after_s, ..Self::new(status, message) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if let Some(takes) = self.allow {
            response.insert_header((ALLOW, takes));
        }
        response.json(json!({ "error": self.message }))
    }
}

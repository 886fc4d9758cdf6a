//! The short list of ways a call fails. Each protocol maps it once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a call failed, for machines.
///
/// ```
/// use plugrank_contract::ErrorCode;
///
/// assert_eq!(serde_json::to_string(&ErrorCode::DeadlineExceeded).unwrap(), "\"deadline_exceeded\"");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The caller sent something that can never succeed.
    InvalidArgument,
    /// What the call names does not exist.
    NotFound,
    /// The service holds as much work as it admits; try again later.
    Overloaded,
    /// The deadline passed before the answer was there.
    DeadlineExceeded,
    /// The service, or what it depends on, cannot be reached or is not ready.
    Unavailable,
    /// A defect or a panic in the service.
    Internal,
    /// The model gives what are no finite numbers.
    NotFinite,
    /// The process does not have the model that the call names.
    NoModel,
}

/// A failed call.
///
/// ```
/// use std::time::Duration;
///
/// use plugrank_contract::{CallError, ErrorCode};
///
/// let busy = CallError::overloaded("512 rankings are running").retry_after(Duration::from_secs(1));
/// assert_eq!((busy.code, busy.retry_after_ms), (ErrorCode::Overloaded, Some(1_000)));
/// let wrong = CallError::invalid("must name a column").at("/filters/0/must/0/field");
/// assert_eq!(wrong.to_string(), "InvalidArgument: must name a column");
/// assert_eq!(wrong.pointer.as_deref(), Some("/filters/0/must/0/field"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct CallError {
    /// Why, for machines.
    pub code: ErrorCode,
    /// Why, for people: what happened and what would fix it.
    pub message: String,
    /// When trying again makes sense, in milliseconds from now; known for some overloads.
    pub retry_after_ms: Option<u32>,
    /// What in the call is wrong, as a JSON pointer within it; known for some invalid calls.
    pub pointer: Option<String>,
}

impl CallError {
    /// An error of the given code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None, pointer: None }
    }
    /// The same error, with the time after which trying again makes sense.
    #[must_use]
    pub fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after_ms = Some(u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        self
    }
    /// The same error, with the place of what is wrong in the call.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }
    /// The caller sent something that can never succeed.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }
    /// The service or what it depends on cannot be reached.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }
    /// The model gives what are no finite numbers.
    pub fn not_finite(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFinite, message)
    }
    /// The process does not have the model that the call names.
    pub fn no_model(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NoModel, message)
    }
    /// A defect in the service.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }
    /// The deadline passed.
    pub fn deadline(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::DeadlineExceeded, message)
    }
    /// No room for more work.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Overloaded, message)
    }
}

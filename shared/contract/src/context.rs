//! What accompanies every call: who asked, how long there is, which trace it belongs to.

use std::{sync::Arc, time::Duration};

use crate::{Deadline, Traceparent};

/// Target of the spans inside a request. They are made only as part of a span that is recorded, and
/// no log shows them, so that they cost nothing otherwise.
pub const TRACE_TARGET: &str = "plugrank_trace";
/// Target of the spans that begin a trace, or take one up from another process or thread.
pub const TRACE_ROOT_TARGET: &str = "plugrank_trace::root";

/// `tracing::info_span!` of a span inside a request: none outside a recorded one, where it would be
/// a trace of its own.
#[macro_export]
macro_rules! inner_span {
    ($($span:tt)+) => {
        if ::tracing::Span::current().is_none() {
            ::tracing::Span::none()
        } else {
            ::tracing::info_span!(target: $crate::context::TRACE_TARGET, $($span)+)
        }
    };
}

/// Accompanies a call. A field of the actor message locally, headers remotely.
///
/// ```
/// use std::time::Duration;
///
/// use plugrank_contract::Context;
///
/// let context = Context::background();
/// assert_eq!(context.remaining(), None);
/// let context = context.within(Duration::from_secs(60));
/// assert!(context.remaining().is_some_and(|left| left > Duration::from_secs(50)));
/// assert!(!context.expired());
/// assert!(Context::background().within(Duration::ZERO).expired());
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    /// Identifies the caller's request in logs and replies.
    pub request_id: uuid::Uuid,
    /// When the answer stops being of use.
    pub deadline: Deadline,
    /// Name of the model that answers, where the caller wants one ([`loading::name`](crate::loading::name));
    /// `None`: the one that is active where the call arrives.
    pub model: Option<Arc<str>>,
    /// W3C `traceparent` of the span that makes the call.
    pub traceparent: Option<Traceparent>,
    /// W3C `tracestate` the request came with, handed on as it is.
    pub tracestate: Option<String>,
}

impl Context {
    /// A context without a deadline or a trace, for maintenance and tests.
    #[must_use]
    pub fn background() -> Self {
        Self {
            request_id: uuid::Uuid::now_v7(),
            deadline: Deadline::NONE,
            model: None,
            traceparent: None,
            tracestate: None,
        }
    }

    /// The same context with a deadline `budget` from now.
    #[must_use]
    pub fn within(mut self, budget: Duration) -> Self {
        self.deadline = Deadline::after(budget);
        self
    }

    /// Time left until the deadline, zero when it has passed, `None` without a deadline.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.remaining()
    }

    /// Whether the deadline has passed, so that work for this call is wasted.
    #[must_use]
    pub fn expired(&self) -> bool {
        self.deadline.has_passed()
    }
}

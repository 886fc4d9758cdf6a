//! Answers that are there at once, or later.

use futures::{FutureExt, future::BoxFuture};

/// What was asked for. Only what waits for something becomes a future, so that what is in memory
/// costs no task and no timer.
pub(crate) enum Answer<'a, T> {
    /// The answer.
    Now(T),
    /// The answer once it is there.
    Later(BoxFuture<'a, T>),
}

impl<'a, T: Send + 'a> Answer<'a, T> {
    /// Changes the answer, when it is there.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U + Send + 'a) -> Answer<'a, U> {
        match self {
            Self::Now(answer) => Answer::Now(change(answer)),
            Self::Later(answer) => Answer::Later(answer.map(change).boxed()),
        }
    }
}

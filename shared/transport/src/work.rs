//! One call worked on: its deadline looked at, its panic caught, its span ended.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU64, Ordering},
};

use futures::FutureExt;
use plugrank_contract::{Call, CallError, Context, panic_text};
use tracing::Instrument;

use crate::{Service, spans::CallSpan};

/// Has `logic` answer a call. A panic ends only this call, and is counted in `panics`.
pub(crate) async fn work<S, C>(
    logic: &S,
    context: Context,
    call: C,
    span: &CallSpan,
    panics: &AtomicU64,
) -> Result<C::Reply, CallError>
where
    S: Service<C>,
    C: Call,
{
    span.started();
    if context.expired() {
        return Err(CallError::deadline("the deadline passed before the call was begun"));
    }
    let request_id = context.request_id;
    let answer = AssertUnwindSafe(logic.call(context, call).instrument(span.span().clone()));
    answer.catch_unwind().await.unwrap_or_else(|panic| {
        panics.fetch_add(1, Ordering::Relaxed);
        let what = panic_text(panic.as_ref());
        tracing::error!(call = C::PATH, %request_id, panic = what, "a call panicked");
        Err(CallError::internal(format!("the call panicked: {what}")))
    })
}

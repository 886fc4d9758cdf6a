//! The actor every service runs as: it adapts messages to the service's plain logic.

use std::sync::{Arc, atomic::AtomicU64};

use actix::{Actor, Context as ActorContext, Handler, Message, ResponseFuture};
use plugrank_contract::{Call, CallError, Context};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{Service, spans::CallSpan, work::work};

/// A call on its way to an actor. It holds its place among the admitted calls until answered.
pub(crate) struct Request<C> {
    pub(crate) context: Context,
    pub(crate) call: C,
    pub(crate) permit: OwnedSemaphorePermit,
    /// Begun when the call was sent; the service's own spans are part of it.
    pub(crate) span: CallSpan,
    /// Ends when the caller stops waiting: at its deadline, or because it hung up.
    pub(crate) caller_gone: oneshot::Receiver<()>,
}

impl<C: Call> Message for Request<C> {
    type Result = Result<C::Reply, CallError>;
}

/// Runs a service's logic. Calls run side by side; a panic ends only the call it happened in.
pub(crate) struct ServiceActor<S> {
    pub(crate) logic: Arc<S>,
    pub(crate) panics: Arc<AtomicU64>,
}

impl<S: 'static + Unpin> Actor for ServiceActor<S> {
    type Context = ActorContext<Self>;
}

impl<S: Unpin, C: Call> Handler<Request<C>> for ServiceActor<S>
where
    S: Service<C>,
{
    type Result = ResponseFuture<Result<C::Reply, CallError>>;

    fn handle(&mut self, request: Request<C>, _: &mut Self::Context) -> Self::Result {
        let logic = Arc::clone(&self.logic);
        let panics = Arc::clone(&self.panics);
        Box::pin(async move {
            let Request { context, call, permit, span, caller_gone } = request;
            let answer = tokio::select! {
                biased;
                answer = work(logic.as_ref(), context, call, &span, &panics) => answer,
                _ = caller_gone => Err(CallError::deadline("the caller stopped waiting")),
            };
            drop(permit);
            span.ended(answer.as_ref().err());
            answer
        })
    }
}

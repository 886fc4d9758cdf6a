//! A notice to every process of a role: each keeps something of its own that it changes.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use plugrank_contract::{Call, CallError, Context};
use tokio::time::Instant;

use super::{
    Shared,
    endpoint::{Endpoint, Ticket, Verdict, Why},
    exchange::exchange,
};

/// Sends `call` to every endpoint that is not left out.
///
/// # Errors
/// The first, when one that is there did not take it. One that is not there starts anew, without
/// anything that the notice could be about; when none is there, that is an error.
pub(crate) async fn call<C: Call>(
    remote: &Shared,
    context: &Context,
    body: Bytes,
    deadline: Instant,
) -> Result<C::Reply, CallError> {
    let endpoints = remote.pool.endpoints();
    let open = endpoints.iter().filter(|endpoint| endpoint.breaker.lock().closed());
    let answers =
        join_all(open.map(|endpoint| one::<C>(remote, context, &body, deadline, endpoint)));
    let (mut taken, mut absent) = (None, None);
    for (value, verdict) in answers.await {
        match value {
            Ok(reply) => taken = Some(reply),
            Err(error) if verdict == Verdict::Gone => absent = Some(error),
            Err(error) => return Err(error),
        }
    }
    taken.ok_or_else(|| absent.unwrap_or_else(|| remote.nobody()))
}

async fn one<C: Call>(
    remote: &Shared,
    context: &Context,
    body: &Bytes,
    deadline: Instant,
    endpoint: &Arc<Endpoint>,
) -> (Result<C::Reply, CallError>, Verdict) {
    let call = (C::PATH, deadline, super::NOTICE_PATIENCE);
    let mut ticket = Ticket::new(&remote.pool, Arc::clone(endpoint), Why::First, call);
    let answer = exchange::<C>(&remote.client, &endpoint.target, context, body.clone()).await;
    ticket.settle(answer.verdict);
    (answer.value, answer.verdict)
}

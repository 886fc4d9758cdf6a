//! A notice to every process of a role: each keeps something of its own that it changes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use plugrank_contract::{Call, CallError, Context};
use tokio::time::{Instant, sleep_until};

use super::{
    Shared,
    endpoint::{Endpoint, Verdict, Why},
    exchange::exchange,
    sent_call::SentCall,
};

/// How much longer than twice the time of those that answered the others may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Sends `call` to every endpoint that is not left out.
///
/// # Errors
/// When one that is there did not take it, or is far slower than the others. One that is not
/// there starts anew, without anything that the notice could be about; when none is there, that
/// is an error.
pub(crate) async fn call<C: Call>(
    remote: &Shared,
    context: &Context,
    body: Bytes,
    deadline: Instant,
) -> Result<C::Reply, CallError> {
    let begun = Instant::now();
    let endpoints = remote.pool.endpoints();
    let open: Vec<&Arc<Endpoint>> =
        endpoints.iter().filter(|endpoint| endpoint.breaker.lock().closed()).collect();
    let ticket = |endpoint: &&Arc<Endpoint>| {
        let call = (C::PATH, deadline, PATIENCE);
        SentCall::new(&remote.pool, Arc::clone(endpoint), Why::First, call)
    };
    let mut tickets: Vec<SentCall> = open.iter().map(ticket).collect();
    let send = |(at, endpoint): (usize, Arc<Endpoint>), body: Bytes| async move {
        (
            at,
            exchange::<C>((&remote.client, remote.token.as_ref()), &endpoint.target, context, body)
                .await,
        )
    };
    let numbered = open.into_iter().map(Arc::clone).enumerate();
    let mut running: FuturesUnordered<_> =
        numbered.map(|endpoint| send(endpoint, body.clone())).collect();

    let (mut taken, mut failed, mut absent) = (None, None, None);
    let mut patience = deadline;
    loop {
        tokio::select! {
            answered = running.next() => {
                let Some((at, answer)) = answered else { break };
                tickets[at].settle(answer.verdict);
                match answer.value {
                    Ok(reply) => {
                        taken = Some(match taken.take() {
                            Some(before) => C::merge(before, reply),
                            None => reply,
                        });
                        patience = Instant::now() + 2 * begun.elapsed() + PATIENCE;
                    }
                    Err(error) if answer.verdict == Verdict::Gone => absent = Some(error),
                    Err(error) => failed = Some(error),
                }
            }
            () = sleep_until(patience), if taken.is_some() => {
                tickets.iter_mut().for_each(SentCall::lost);
                let name = remote.pool.name;
                let silent = format!("{name}: a process of it did not take a notice in time");
                return Err(CallError::unavailable(silent));
            }
        }
    }
    match (failed, taken) {
        (Some(error), _) => Err(error),
        (None, Some(reply)) => Ok(reply),
        (None, None) => Err(absent.unwrap_or_else(|| remote.no_replica())),
    }
}

//! A service in this process: its actor's address and its admission limit.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use actix::{Actor, Addr, Arbiter};
use async_trait::async_trait;
use plugrank_contract::{Call, CallError, Context};
use tokio::{
    sync::{Semaphore, TryAcquireError, oneshot},
    time::timeout_at,
};

use crate::{
    Service,
    actor::{Request, ServiceActor},
    spans::CallSpan,
};

/// How a local service is run.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// Name in logs and errors.
    pub name: &'static str,
    /// Calls admitted at a time; one more is answered `Overloaded` at once. A mailbox does not
    /// bound work in flight, so this does.
    pub max_in_flight: NonZeroUsize,
}

/// A service in this process. Clones share the actor and its limit.
pub struct Local<S: Unpin + 'static> {
    name: &'static str,
    address: Addr<ServiceActor<S>>,
    admission: Arc<Semaphore>,
    capacity: usize,
    panics: Arc<AtomicU64>,
    rejected: Arc<AtomicU64>,
}

impl<S: Unpin + 'static> Clone for Local<S> {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            address: self.address.clone(),
            admission: Arc::clone(&self.admission),
            capacity: self.capacity,
            panics: Arc::clone(&self.panics),
            rejected: Arc::clone(&self.rejected),
        }
    }
}

impl<S: Send + Sync + Unpin + 'static> Local<S> {
    /// Starts the service's actor on `arbiter`, a thread of its own or a shared one.
    #[must_use]
    pub fn start(logic: Arc<S>, options: &LocalOptions, arbiter: &actix::ArbiterHandle) -> Self {
        let panics = Arc::new(AtomicU64::new(0));
        let actor_panics = Arc::clone(&panics);
        let address = ServiceActor::start_in_arbiter(arbiter, move |_| ServiceActor {
            logic,
            panics: actor_panics,
        });
        let capacity = options.max_in_flight.get().min(Semaphore::MAX_PERMITS);
        Self {
            name: options.name,
            address,
            admission: Arc::new(Semaphore::new(capacity)),
            capacity,
            panics,
            rejected: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Starts the service's actor on the current thread's arbiter.
    ///
    /// # Panics
    /// Outside an actix system.
    #[must_use]
    pub fn start_here(logic: Arc<S>, options: &LocalOptions) -> Self {
        Self::start(logic, options, &Arbiter::current())
    }

    /// Whether the actor still takes messages; false fails readiness.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.address.connected()
    }

    /// Calls in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.capacity - self.admission.available_permits()
    }

    /// Panics caught since the start.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Calls refused at the door since the start.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl<S, C> Service<C> for Local<S>
where
    S: Service<C> + Unpin,
    C: Call,
{
    async fn call(&self, mut context: Context, call: C) -> Result<C::Reply, CallError> {
        let permit = match Arc::clone(&self.admission).try_acquire_owned() {
            Ok(permit) => permit,
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                self.rejected.fetch_add(1, Ordering::Relaxed);
                return Err(CallError::overloaded(format!(
                    "{} holds {} calls, as many as it admits",
                    self.name, self.capacity
                )));
            }
        };
        let deadline = context.deadline;
        // Dropped with this future, which tells the actor that nobody waits any more: actix itself
        // runs a handler to its end.
        let (_waiting, caller_gone) = oneshot::channel();
        let span = CallSpan::local::<C>(self.name, &mut context);
        let answer = self.address.send(Request { context, call, permit, span, caller_gone });
        let answer = match deadline {
            None => answer.await,
            Some(deadline) => timeout_at(deadline, answer).await.map_err(|_| {
                CallError::deadline(format!("{} did not answer in time", self.name))
            })?,
        };
        answer.unwrap_or_else(|_| {
            Err(CallError::unavailable(format!("the actor of {} is gone", self.name)))
        })
    }
}

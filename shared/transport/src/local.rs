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
use tokio::sync::{Semaphore, oneshot};

use crate::{
    Service,
    actor::{Request, ServiceActor},
    spans::CallSpan,
    turns::in_turns,
    work::work,
};

/// How a local service is run.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// Name in logs and errors.
    pub name: &'static str,
    /// Calls admitted at a time; one more is answered `Overloaded` at once. Neither a mailbox nor
    /// work in place bounds what is in flight, so this does.
    pub max_in_flight: NonZeroUsize,
}

/// A service in this process. Clones share the actor and its limit.
///
/// Calls that only read ([`Call::IN_PLACE`]) are worked on where their caller runs, without a hop to
/// another thread; those that change what the service holds go through its actor.
pub struct Local<S: Unpin + 'static> {
    name: &'static str,
    logic: Arc<S>,
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
            logic: Arc::clone(&self.logic),
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
        let actor_logic = Arc::clone(&logic);
        let address = ServiceActor::start_in_arbiter(arbiter, move |_| ServiceActor {
            logic: actor_logic,
            panics: actor_panics,
        });
        let capacity = options.max_in_flight.get().min(Semaphore::MAX_PERMITS);
        Self {
            name: options.name,
            logic,
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

    /// Calls refused by admission since the start.
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
    async fn call(&self, context: Context, call: C) -> Result<C::Reply, CallError> {
        let deadline = context.deadline;
        let answer = async {
            if C::IN_PLACE {
                self.here(context, call).await
            } else {
                self.mailed(context, call).await
            }
        };
        deadline.limit(answer).await.unwrap_or_else(|| {
            Err(CallError::deadline(format!("{} did not answer in time", self.name)))
        })
    }
}

impl<S: Unpin + 'static> Local<S> {
    /// Works on a call where its caller runs, in turns with what else its thread works on. A caller
    /// that stops waiting ends it.
    async fn here<C: Call>(&self, mut context: Context, call: C) -> Result<C::Reply, CallError>
    where
        S: Service<C>,
    {
        let _permit = self.admission.try_acquire().map_err(|_| self.full())?;
        let span = CallSpan::local::<C>(self.name, &mut context);
        let work = work(self.logic.as_ref(), context, call, &span, &self.panics);
        let answer = in_turns(work).await;
        span.ended(answer.as_ref().err());
        answer
    }

    /// Has the actor work on a call.
    async fn mailed<C: Call>(&self, mut context: Context, call: C) -> Result<C::Reply, CallError>
    where
        S: Service<C>,
    {
        let admission = Arc::clone(&self.admission);
        let permit = admission.try_acquire_owned().map_err(|_| self.full())?;
        // Dropped with this future, which tells the actor that no caller waits any more: actix
        // itself runs a handler to its end.
        let (_waiting, caller_gone) = oneshot::channel();
        let span = CallSpan::local::<C>(self.name, &mut context);
        let answer = self.address.send(Request { context, call, permit, span, caller_gone }).await;
        answer.unwrap_or_else(|_| {
            Err(CallError::unavailable(format!("the actor of {} is gone", self.name)))
        })
    }

    /// Counts a call for which there is no room.
    fn full(&self) -> CallError {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        CallError::overloaded(format!(
            "{} holds {} calls, as many as it admits",
            self.name, self.capacity
        ))
    }
}

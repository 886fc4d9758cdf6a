//! One call, sent as often as it takes and may: first, hedge, retries.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use plugrank_contract::CallError;
use tokio::time::{Instant, sleep_until};
use tower::retry::budget::Budget;

use super::{
    Shared,
    endpoint::{Endpoint, Why},
    exchange::{Again, Answer, Request},
    options::Hedge,
    sent_call::SentCall,
};

/// Most times a call is sent.
const MOST: usize = 3;
/// What counts as unusually long where nothing is known yet.
const UNKNOWN: Duration = Duration::from_millis(250);
/// Earliest that a second call is sent by itself.
const SOONEST: Duration = Duration::from_millis(1);
/// Nothing quicker than this is unusually long.
const SHORTEST: Duration = Duration::from_millis(5);

/// A call on its way, and what was tried so far.
struct Attempts<'a, R> {
    remote: &'a Shared,
    request: &'a R,
    deadline: Instant,
    /// How long an answer usually takes at most.
    patience: Duration,
    tried: Vec<Arc<Endpoint>>,
    /// In the order of `tried`.
    tickets: Vec<SentCall>,
}

/// Sends `request` and waits for the first answer that counts. The caller ends it at `deadline`.
pub(crate) async fn call<R: Request>(
    remote: &Shared,
    request: &R,
    deadline: Instant,
) -> Result<R::Reply, CallError> {
    let begun = Instant::now();
    let usual = remote.pool.latencies.p95(request.kind());
    let patience = match remote.options.hedge() {
        Hedge::After(wait) => wait,
        Hedge::Off | Hedge::RecentP95 => usual.unwrap_or(UNKNOWN).max(SHORTEST),
    };
    let mut attempts =
        Attempts { remote, request, deadline, patience, tried: Vec::new(), tickets: Vec::new() };
    remote.extra.deposit();
    let mut running = FuturesUnordered::new();
    let send = |at: usize, endpoint: Arc<Endpoint>| async move {
        (at, request.exchange(&remote.client, &endpoint.target).await)
    };
    let first = remote.pool.pick(&[]).ok_or_else(|| remote.no_replica())?;
    running.push(send(attempts.open(&first, Why::First), first));

    let hedge_at =
        attempts.hedge_after(usual).filter(|_| request.harmless()).map(|wait| begun + wait);
    let mut may_hedge = hedge_at.is_some();
    let hedge = sleep_until(hedge_at.unwrap_or(deadline));
    tokio::pin!(hedge);
    let mut failure = None;
    loop {
        let why = tokio::select! {
            answered = running.next() => {
                let Some((at, answer)) = answered else {
                    return Err(failure.unwrap_or_else(|| remote.no_replica()));
                };
                attempts.tickets[at].settle(answer.verdict);
                match attempts.judge(at, answer) {
                    Judged::Final(value) => return value,
                    Judged::Failed { error, again } => {
                        failure = Some(error);
                        // One sent later may still be answered; one sent before was too slow
                        // already.
                        if at + 1 < attempts.tickets.len() && !running.is_empty() {
                            continue;
                        }
                        Some(again).filter(|again| *again != Again::No).map(|again| (Why::Retry, again))
                    }
                }
            }
            () = &mut hedge, if may_hedge => {
                may_hedge = false;
                Some((Why::Hedge, Again::Elsewhere))
            }
        };
        let next = why.and_then(|(why, again)| Some((why, attempts.next(again)?)));
        if let Some((why, endpoint)) = next {
            running.push(send(attempts.open(&endpoint, why), endpoint));
        }
    }
}

enum Judged<R> {
    Final(Result<R, CallError>),
    Failed { error: CallError, again: Again },
}

impl<R: Request> Attempts<'_, R> {
    /// When to send a second call: never later than leaves it as long as the first has had.
    fn hedge_after(&self, usual: Option<Duration>) -> Option<Duration> {
        let half = self.deadline.saturating_duration_since(Instant::now()) / 2;
        match self.remote.options.hedge() {
            Hedge::Off => None,
            Hedge::RecentP95 => Some(usual.unwrap_or(UNKNOWN).max(SOONEST).min(half)),
            Hedge::After(wait) => (wait <= half).then_some(wait),
        }
    }

    fn open(&mut self, endpoint: &Arc<Endpoint>, why: Why) -> usize {
        let call = (self.request.kind(), self.deadline, self.patience);
        self.tickets.push(SentCall::new(&self.remote.pool, Arc::clone(endpoint), why, call));
        self.tried.push(Arc::clone(endpoint));
        self.tickets.len() - 1
    }

    /// The endpoint of a further call, if one may be sent.
    fn next(&self, again: Again) -> Option<Arc<Endpoint>> {
        if self.tickets.len() >= MOST || Instant::now() >= self.deadline {
            return None;
        }
        let another = self.remote.pool.pick(&self.tried);
        let endpoint = match again {
            Again::No => None,
            Again::Elsewhere => another,
            Again::IfHarmless | Again::Anyway => another.or_else(|| self.remote.pool.pick(&[])),
        }?;
        self.remote.extra.withdraw().then_some(endpoint)
    }

    fn judge(&mut self, at: usize, answer: Answer<R::Reply>) -> Judged<R::Reply> {
        let Answer { value, again, .. } = answer;
        let harmless = self.request.harmless();
        let again = if again == Again::IfHarmless && !harmless { Again::No } else { again };
        match value {
            Err(error) if again != Again::No => Judged::Failed { error, again },
            value => {
                // Endpoints asked before the one that answered were slower.
                self.tickets[..at].iter_mut().for_each(SentCall::lost);
                Judged::Final(value)
            }
        }
    }
}

//! A service in other processes, called over pooled HTTP/1.1.
//!
//! A call goes to one of the role's endpoints; to a second when the first does not answer as soon
//! as usual, or fails; and an endpoint that keeps failing is left out for a while. See
//! `docs/decisions/0006-calls-between-roles.md`.

mod address;
mod attempts;
mod breaker;
mod broadcast;
mod endpoint;
mod exchange;
mod external_http;
mod http;
mod latency;
mod options;
mod pool;
mod probe;
mod resolve;
mod sent_call;

use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use plugrank_access::RoleToken;
use plugrank_contract::{Call, CallError, Context};
use tokio::time::{Instant, timeout_at};
use tower::retry::budget::TpsBudget;

pub use external_http::{ExternalHttp, ExternalReply, ExternalRequest};
pub use options::{PeerOptions, RemoteOptions};

use crate::{Service, wire};
use address::Address;
use exchange::Rpc;
use http::HttpClient;
use pool::Pool;
use probe::Probe;

/// Calls beyond the first that are allowed each second, however few calls there are.
const EXTRA_A_SECOND: u32 = 10;
/// Time over which calls beyond the first are compared with the others.
const EXTRA_OVER: Duration = Duration::from_secs(10);

/// A service in other processes. Clones share connections and what is known about the endpoints.
#[derive(Clone, Debug)]
pub struct Remote(Arc<Shared>);

/// What is known about an endpoint, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Address and port.
    pub address: String,
    /// Calls sent to it.
    pub requests: u64,
    /// Calls that failed, or waited unusually long for nothing.
    pub failures: u64,
    /// Of `requests`: sent because another endpoint had not answered yet.
    pub hedges: u64,
    /// Of `requests`: sent because another call had failed.
    pub retries: u64,
    /// Times it was left out.
    pub ejections: u64,
    /// Calls in flight.
    pub in_flight: usize,
    /// Whether it is left out at this moment.
    pub ejected: bool,
}

struct Shared {
    pool: Arc<Pool>,
    client: HttpClient,
    token: Option<RoleToken>,
    options: Arc<PeerOptions>,
    extra: TpsBudget,
}

impl Remote {
    /// A client of the service at `options.base_urls`. Names are resolved from now on; connects
    /// when first called.
    ///
    /// # Errors
    /// `InvalidArgument` when an address is no http or https URL, or there is none, or what it takes to
    /// call one over TLS is missing.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(options: &RemoteOptions) -> Result<Self, CallError> {
        Self::probed(options, Probe::of_role)
    }

    /// The same of processes whose readiness is asked in another way.
    fn probed(
        options: &RemoteOptions,
        probe: impl FnOnce(HttpClient) -> Probe,
    ) -> Result<Self, CallError> {
        let addresses: Vec<Address> =
            options.base_urls.iter().map(|url| Address::parse(url)).collect::<Result<_, _>>()?;
        if addresses.is_empty() {
            return Err(CallError::invalid(format!("{} has no address", options.name)));
        }
        let peers = Arc::new(options.peers.clone());
        let client = HttpClient::new(&peers, &addresses)?;
        let pool = Pool::new(options.name, Arc::clone(&peers), probe(client.clone()));
        if addresses.iter().all(|address| address.name().is_none()) {
            pool.update(addresses.iter().filter_map(Address::fixed).collect());
        } else {
            let known = Arc::downgrade(&pool);
            let every = Duration::from_millis(peers.resolve_every_ms);
            tokio::spawn(resolve::keep(known, addresses, every, resolve::system));
        }
        let share = peers.extra_calls_share as f32;
        let a_second = if share > 0.0 { EXTRA_A_SECOND } else { 0 };
        let extra = TpsBudget::new(EXTRA_OVER, a_second, share.clamp(0.0, 1.0));
        Ok(Self(Arc::new(Shared {
            pool,
            client,
            token: options.token.clone(),
            options: peers,
            extra,
        })))
    }

    /// What is known about each endpoint.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        let endpoints = self.0.pool.endpoints();
        let status = endpoints.iter().map(|endpoint| {
            let counts = &endpoint.counts;
            EndpointStatus {
                address: endpoint.target.socket.to_string(),
                requests: counts.requests.load(Ordering::Relaxed),
                failures: counts.failures.load(Ordering::Relaxed),
                hedges: counts.hedges.load(Ordering::Relaxed),
                retries: counts.retries.load(Ordering::Relaxed),
                ejections: counts.ejections.load(Ordering::Relaxed),
                in_flight: endpoint.load(),
                ejected: !endpoint.breaker.lock().closed(),
            }
        });
        status.collect()
    }
}

#[async_trait]
impl<C: Call> Service<C> for Remote {
    async fn call(&self, context: Context, call: C) -> Result<C::Reply, CallError> {
        let shared = &*self.0;
        let deadline = context.deadline.moment_or_after(shared.options.call_timeout());
        if deadline <= Instant::now() {
            return Err(CallError::deadline("the deadline passed before the call was sent"));
        }
        let body = Bytes::from(wire::encode(&call)?);
        if timeout_at(deadline, resolve::first(&shared.pool)).await.is_err() {
            let name = shared.pool.name;
            return Err(CallError::unavailable(format!("{name}: its address does not resolve")));
        }
        let answer = async {
            if C::EVERY_REPLICA {
                broadcast::call::<C>(shared, &context, body, deadline).await
            } else {
                attempts::call(
                    shared,
                    &Rpc::<C> {
                        context: &context,
                        token: shared.token.as_ref(),
                        body,
                        of: PhantomData,
                    },
                    deadline,
                )
                .await
            }
        };
        timeout_at(deadline, answer).await.unwrap_or_else(|_| {
            Err(CallError::deadline(format!("{} did not answer in time", shared.pool.name)))
        })
    }
}

impl Shared {
    fn no_replica(&self) -> CallError {
        let name = self.pool.name;
        CallError::unavailable(format!("{name}: no process of it can be reached"))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("pool", &self.pool).finish_non_exhaustive()
    }
}

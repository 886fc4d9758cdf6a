//! The HTTP server and the limits of its API: section `[server]` of the settings.

use std::{net::SocketAddr, time::Duration};

use garde::Validate;
use plugrank_settings::rules::at_most;
use plugrank_tls::ServerTlsOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MIB: usize = 1024 * 1024;

/// The HTTP server and the limits of its API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ServerOptions {
    /// Address and port to listen on; port 0 takes any free one.
    #[garde(skip)]
    pub bind: SocketAddr,
    /// TLS.
    #[garde(dive)]
    pub tls: ServerTlsOptions,
    /// Threads that serve HTTP. Absent: one per core.
    #[garde(range(min = 1, max = 1024))]
    #[schemars(example = 2)]
    pub workers: Option<usize>,
    /// Largest request body, in bytes. Larger ones are answered 413.
    #[garde(range(min = 1024, max = 64 * MIB))]
    pub max_body_bytes: usize,
    /// Largest body of PUT /v1/items/{id}, which may carry an image, in bytes.
    #[garde(range(min = 1024, max = 64 * MIB))]
    pub max_item_bytes: usize,
    /// Memory for the bodies of requests in flight and what they are parsed into, of all paths of the
    /// process, in MiB. A request for which there is no room is answered 429.
    #[garde(range(min = 16, max = 65_536))]
    pub body_memory_mb: usize,
    /// Most candidates a caller may name in one request.
    #[garde(range(min = 1, max = 100_000))]
    pub max_candidates: usize,
    /// Most items a caller may exclude in one request.
    #[garde(range(min = 1, max = 100_000))]
    pub max_exclude: usize,
    /// Most items a caller may ask for.
    #[garde(range(min = 1, max = 10_000))]
    pub k_max: u32,
    /// Items in an answer when the caller does not say, at most k_max.
    #[garde(range(min = 1, max = 10_000), custom(at_most(self.k_max)))]
    pub k_default: u32,
    /// Most events in one batch.
    #[garde(range(min = 1, max = 100_000))]
    pub max_events: usize,
    /// How long an idle connection is kept, in milliseconds; 0 closes it after each answer.
    #[garde(range(min = 0, max = 3_600_000))]
    pub keep_alive_ms: u64,
    /// How long a client may take to send the head of its request, in milliseconds; and as long again
    /// for its body, and a second more for each 8 MiB of it.
    #[garde(range(min = 100, max = 600_000))]
    pub client_timeout_ms: u64,
    /// Most open connections per worker.
    #[garde(range(min = 1, max = 1_000_000))]
    pub max_connections: usize,
    /// Most rank requests in flight; one more is answered 429.
    #[garde(range(min = 1, max = 1_000_000))]
    pub max_in_flight: usize,
    /// On a stop signal: how long readiness is false while requests are still taken, so that load
    /// balancers turn away first, in milliseconds.
    #[garde(range(min = 0, max = 600_000))]
    pub drain_delay_ms: u64,
    /// On a stop signal: how long requests in flight may take to end, in milliseconds.
    #[garde(range(min = 0, max = 600_000))]
    pub grace_ms: u64,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: ServerTlsOptions::default(),
            workers: None,
            max_body_bytes: 4 * MIB,
            max_item_bytes: 16 * MIB,
            body_memory_mb: 512,
            max_candidates: 1000,
            max_exclude: 1000,
            k_max: 500,
            k_default: 20,
            max_events: 1000,
            keep_alive_ms: 75_000,
            client_timeout_ms: 5_000,
            max_connections: 25_000,
            max_in_flight: 512,
            drain_delay_ms: 0,
            grace_ms: 10_000,
        }
    }
}

impl ServerOptions {
    /// How long a client may take to send the head of its request, and a small body.
    #[must_use]
    pub fn client_timeout(&self) -> Duration {
        Duration::from_millis(self.client_timeout_ms)
    }

    /// How long an idle connection is kept.
    #[must_use]
    pub fn keep_alive(&self) -> Duration {
        Duration::from_millis(self.keep_alive_ms)
    }

    /// Memory for the bodies of requests in flight, in bytes.
    #[must_use]
    pub fn body_memory(&self) -> usize {
        self.body_memory_mb << 20
    }

    /// How long requests are still taken after a stop signal.
    #[must_use]
    pub fn drain_delay(&self) -> Duration {
        Duration::from_millis(self.drain_delay_ms)
    }

    /// How long requests in flight may take to end.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

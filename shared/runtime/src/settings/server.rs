//! Section `[server]`.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// The HTTP server and the limits of its API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port to listen on.
    pub bind: SocketAddr,
    /// Threads that serve HTTP; one per core when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Largest body of an item, in bytes.
    pub max_item_bytes: usize,
    /// Most candidates a caller may name.
    pub max_candidates: usize,
    /// Most items a caller may exclude.
    pub max_exclude: usize,
    /// Most items a caller may ask for.
    pub k_max: u32,
    /// Items in an answer when the caller does not say.
    pub k_default: u32,
    /// Most events in one batch.
    pub max_events: usize,
    /// How long an idle connection is kept; 0 closes it after each answer.
    pub keep_alive_ms: u64,
    /// How long a client may take to send the head of its request.
    pub client_timeout_ms: u64,
    /// Most open connections per worker.
    pub max_connections: usize,
    /// Most rank requests in flight.
    pub max_in_flight: usize,
    /// How long requests are still taken after a stop signal, with readiness false.
    pub drain_delay_ms: u64,
    /// How long requests in flight may take to end after that.
    pub grace_ms: u64,
}

impl ServerSettings {
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

    pub(super) fn check(&self, checks: &mut Checks) {
        const MIB: usize = 1024 * 1024;
        if let Some(workers) = self.workers {
            checks.range("server.workers", workers, 1..=1024);
        }
        checks.range("server.max_body_bytes", self.max_body_bytes, 1024..=64 * MIB);
        checks.range("server.max_item_bytes", self.max_item_bytes, 1024..=64 * MIB);
        checks.range("server.max_candidates", self.max_candidates, 1..=100_000);
        checks.range("server.max_exclude", self.max_exclude, 1..=100_000);
        checks.range("server.k_max", self.k_max, 1..=10_000);
        if self.k_max > 0 {
            checks.range("server.k_default", self.k_default, 1..=self.k_max);
        }
        checks.range("server.max_events", self.max_events, 1..=100_000);
        checks.range("server.keep_alive_ms", self.keep_alive_ms, 0..=3_600_000);
        checks.range("server.client_timeout_ms", self.client_timeout_ms, 100..=600_000);
        checks.range("server.max_connections", self.max_connections, 1..=1_000_000);
        checks.range("server.max_in_flight", self.max_in_flight, 1..=1_000_000);
        checks.range("server.drain_delay_ms", self.drain_delay_ms, 0..=600_000);
        checks.range("server.grace_ms", self.grace_ms, 0..=600_000);
    }
}

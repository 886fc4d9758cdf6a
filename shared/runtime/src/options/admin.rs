//! Section `[admin]`.

use std::{net::SocketAddr, time::Duration};

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The port for operators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct AdminOptions {
    /// Address and port of the pages for operators, /debug/requests among them. They show what
    /// callers sent; where keys are required, a key with the scope admin may read them. Absent: no
    /// such port.
    #[garde(skip)]
    #[schemars(example = &"127.0.0.1:9090")]
    pub bind: Option<SocketAddr>,
    /// Whether the port speaks TLS, with the certificate of server.tls. Absent: where there is one and the
    /// port is not on loopback.
    #[garde(skip)]
    #[schemars(example = true)]
    pub tls: Option<bool>,
    /// Requests remembered: so many of the slowest, and so many of those that were degraded, over
    /// budget or in error.
    #[garde(range(min = 1, max = 1000))]
    pub requests: usize,
    /// How long a request counts as recent, in milliseconds.
    #[garde(range(min = 1000, max = 86_400_000))]
    pub recent_ms: u64,
}

impl Default for AdminOptions {
    fn default() -> Self {
        Self { bind: None, tls: None, requests: 50, recent_ms: 900_000 }
    }
}

impl AdminOptions {
    /// How long a request counts as recent.
    #[must_use]
    pub fn recent(&self) -> Duration {
        Duration::from_millis(self.recent_ms)
    }
}

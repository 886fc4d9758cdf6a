//! Section `[admin]`.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// The port for operators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// Address and port to listen on; there is no such port when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<SocketAddr>,
    /// Requests remembered of each kind.
    pub requests: usize,
    /// How long a request counts as recent.
    pub recent_ms: u64,
}

impl AdminSettings {
    /// How long a request counts as recent.
    #[must_use]
    pub fn recent(&self) -> Duration {
        Duration::from_millis(self.recent_ms)
    }

    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("admin.requests", self.requests, 1..=1000);
        checks.range("admin.recent_ms", self.recent_ms, 1000..=86_400_000);
    }
}

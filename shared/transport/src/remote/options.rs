//! How a service in other processes is called.

use std::time::Duration;

/// How a service in other processes is called.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// Name in logs and errors, e.g. `scoring`.
    pub name: &'static str,
    /// Base addresses, e.g. `http://10.0.0.3:8083` or `http://scoring:8083`. A name stands for all
    /// the addresses it resolves to.
    pub base_urls: Vec<String>,
    /// How often names are resolved again.
    pub resolve_every: Duration,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the answer of a call without a deadline.
    pub call_timeout: Duration,
    /// When a second call is sent because the first has not answered.
    pub hedge: HedgeOptions,
    /// Calls sent beyond the first (retries and hedges), as a share of the first ones, 0 to 1; 0
    /// turns both off. A few a second are always allowed, so that a quiet client retries too.
    pub extra_share: f32,
    /// When an endpoint is left out.
    pub ejection: EjectionOptions,
}

/// When a second call is sent because the first has not answered. Only calls that do no harm twice
/// are hedged, and only to another endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeOptions {
    /// Never.
    Off,
    /// After what 95 of 100 recent calls of the same kind took.
    RecentP95,
    /// After this long.
    After(Duration),
}

/// When an endpoint is left out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EjectionOptions {
    /// Failures in a row that eject.
    pub consecutive: u32,
    /// Share of failures among recent calls that ejects, above 0 and at most 1.
    pub share: f64,
    /// How long the first ejection lasts; each further one in a row twice as long as the last.
    pub base: Duration,
    /// The longest one.
    pub longest: Duration,
}

impl Default for EjectionOptions {
    fn default() -> Self {
        Self {
            consecutive: 5,
            share: 0.5,
            base: Duration::from_millis(500),
            longest: Duration::from_secs(2),
        }
    }
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            name: "peer",
            base_urls: Vec::new(),
            resolve_every: Duration::from_secs(5),
            connect_timeout: Duration::from_millis(250),
            call_timeout: Duration::from_secs(10),
            hedge: HedgeOptions::RecentP95,
            extra_share: 0.1,
            ejection: EjectionOptions::default(),
        }
    }
}

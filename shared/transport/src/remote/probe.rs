//! Whether an endpoint that was left out is ready again.

use std::time::Duration;

use reqwest::{Client, header::HOST};

use super::address::Target;

/// Longest wait for a probe. A process that is stopped takes connections and answers nothing.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Asks for readiness, `GET /readyz`.
#[derive(Clone, Debug)]
pub(crate) struct Probe(pub(crate) Client);

impl Probe {
    pub(crate) async fn ready(&self, target: &Target) -> bool {
        let url = format!("{}/readyz", target.base_url());
        let request = self.0.get(url).header(HOST, &target.host).timeout(TIMEOUT);
        request.send().await.is_ok_and(|answer| answer.status().is_success())
    }
}

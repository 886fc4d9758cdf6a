//! Whether an endpoint that was left out is ready again.

use std::time::Duration;

use reqwest::{Client, header::HOST};

use super::address::Target;

/// Longest wait for a probe. A process that is stopped takes connections and answers nothing.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Where roles say that they are ready.
const READY: &str = "/readyz";

/// Asks for readiness: a GET that succeeds.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) client: Client,
    pub(crate) path: String,
}

impl Probe {
    /// Of roles.
    pub(crate) fn of_role(client: Client) -> Self {
        Self { client, path: READY.to_owned() }
    }

    pub(crate) async fn ready(&self, target: &Target) -> bool {
        let url = format!("{}{}", target.base_url(), self.path);
        let request = self.client.get(url).header(HOST, &target.host).timeout(TIMEOUT);
        request.send().await.is_ok_and(|answer| answer.status().is_success())
    }
}

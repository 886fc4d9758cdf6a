//! Whether an endpoint that was left out is ready again.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use tokio::time::timeout;

use super::{address::Target, http::HttpClient};

/// Longest wait for a probe. A process that is stopped takes connections and answers nothing.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Where roles say that they are ready.
const READY: &str = "/readyz";

/// Asks for readiness: a GET that succeeds.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) client: HttpClient,
    pub(crate) path: String,
}

impl Probe {
    /// Of roles.
    pub(crate) fn of_role(client: HttpClient) -> Self {
        Self { client, path: READY.to_owned() }
    }

    pub(crate) async fn ready(&self, target: &Target) -> bool {
        let asked = self.client.send(Method::GET, target, &self.path, [], Bytes::new());
        let answer = timeout(TIMEOUT, asked).await;
        answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status.is_success()))
    }
}

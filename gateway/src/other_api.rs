//! Paths of another protocol, served beside the API.

use std::sync::Arc;

use actix_web::web::ServiceConfig;
use utoipa::openapi::OpenApi;

/// What another protocol adds to the server. The gateway knows no such protocol: the program that
/// starts it hands over its paths.
#[derive(Clone)]
pub struct OtherApi {
    /// What each of its paths begins with, such as `/v2`.
    pub prefix: &'static str,
    /// Adds the paths to an application.
    pub routes: Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>,
    /// Has its paths serve what it was made of, in place of what they serve.
    pub activate: Arc<dyn Fn() + Send + Sync>,
    /// Its part of the OpenAPI document.
    pub openapi: OpenApi,
    /// Whether machines ask a path all the time, so that it is left out of logs and traces.
    pub is_probe: fn(&str) -> bool,
}

impl OtherApi {
    /// Whether a path is one of its own.
    pub(crate) fn has(&self, path: &str) -> bool {
        let under = path.strip_prefix(self.prefix);
        under.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

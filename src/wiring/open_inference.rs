//! The Open Inference Protocol: graphs of this process for others, and a server of others for ours.

use std::sync::Arc;

use anyhow::Result;
use plugrank_bundle::GraphName;
use plugrank_contract::scoring::Infer;
use plugrank_gateway::OtherApi;
use plugrank_open_inference::{ModelServerClient, Served, server};

pub use plugrank_open_inference::ServedNow;

use plugrank_scoring::RemoteModel;
use plugrank_transport::Client;

use super::{Model, Node};

/// The graphs that `infer` runs, for callers of the protocol; `None` where the settings say so.
pub(super) fn api(node: &Node, model: &Model, infer: Client<Infer>) -> Option<OtherApi> {
    let settings = &node.settings.open_inference;
    settings.serve.then(|| {
        let health = node.health.clone();
        let limits = server::Limits {
            max_body_bytes: settings.max_body_bytes,
            client_timeout: node.settings.server.client_timeout(),
            bodies: node.bodies.clone(),
            max_in_flight: node.settings.scoring.max_in_flight,
        };
        let served = Served::new(&model.bundle, infer, health, limits);
        let (now, activated) = (node.open_inference.clone(), node.open_inference.clone());
        OtherApi {
            prefix: server::PREFIX,
            routes: Arc::new(move |config| now.routes(config)),
            activate: Arc::new(move || activated.serve(&served)),
            openapi: Served::openapi(),
            is_probe: server::is_probe,
        }
    })
}

/// The server that runs the unified model, where the settings name one.
///
/// # Errors
/// When it cannot be reached or does not run the bundle's graph.
pub(super) async fn model_server(node: &Node, model: &Model) -> Result<Option<RemoteModel>> {
    if node.settings.scoring.open_inference.url.is_empty() {
        return Ok(None);
    }
    let bundle = Arc::clone(&model.bundle);
    let (options, peers) = (&node.settings.scoring.open_inference, &node.settings.peers);
    let server = ModelServerClient::start(options, peers, bundle, GraphName::Unified).await?;
    node.roles.endpoints("open_inference", server.endpoints());
    let reached = server.reached();
    Ok(Some(RemoteModel { server: Arc::new(server), reached }))
}

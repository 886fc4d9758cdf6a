//! In place of the Open Inference Protocol where it is left out of the build: nothing is served, and
//! the model runs here. Settings that say otherwise were refused ([`crate::features`]).

use anyhow::Result;
use plugrank_contract::scoring::Infer;
use plugrank_gateway::OtherApi;
use plugrank_scoring::RemoteModel;
use plugrank_transport::Client;

use super::{Model, Node};

/// No graphs are served.
#[derive(Clone, Default)]
pub struct ServedNow(());

/// Nothing.
pub(super) fn api(_: &Node, _: &Model, _: Client<Infer>) -> Option<OtherApi> {
    None
}

/// None.
///
/// # Errors
/// Never.
pub(super) async fn model_server(_: &Node, _: &Model) -> Result<Option<RemoteModel>> {
    Ok(None)
}

//! The re-ranking role.

use std::sync::Arc;

use anyhow::Result;
use plugrank_reranking::{ItemFacts, RerankingParts, RerankingService};

use super::{Catalog, Embedding, Node, Reranking};

/// A client of the re-ranking role in other processes.
///
/// # Errors
/// When an address cannot be used.
pub fn remote_reranking(node: &Node) -> Result<Reranking> {
    Ok(Reranking::from_service(node.remote("reranking", &node.settings.peers.reranking_url)?))
}

/// Re-ranking here, over the item table of this process where it has one.
///
/// # Errors
/// When the settings cannot be used.
pub fn start(node: &Node, items: Option<(&Catalog, &Embedding)>) -> Result<Reranking> {
    let items = items.map(|(catalog, embedding)| ItemFacts {
        items: Arc::clone(&catalog.items),
        records: embedding.here.as_ref().map(|here| Arc::clone(here.records_table())),
    });
    let options = node.settings.reranking.clone();
    let surfaces = node.settings.surface_rules();
    let service = RerankingService::new(RerankingParts { items, options, surfaces })?;
    let limit = node.settings.reranking.max_in_flight;
    Ok(Reranking::from_service(node.run("reranking", Arc::new(service), limit)?))
}

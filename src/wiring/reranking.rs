//! The re-ranking role.

use std::sync::Arc;

use anyhow::Result;
use plugrank_reranking::{RerankingParts, RerankingService};

use super::{Embedding, Node, Reranking, options};

/// Re-ranking here, or a client of it elsewhere.
///
/// # Errors
/// When the settings cannot be used.
pub fn start(node: &Node, embedding: &Embedding) -> Result<Reranking> {
    let elsewhere = &node.settings.peers.reranking_url;
    if !elsewhere.is_empty() {
        return Ok(Reranking::of(node.remote("reranking", elsewhere)?));
    }
    let service = RerankingService::new(RerankingParts {
        store: Arc::clone(&node.store),
        vectors: embedding.fetch_vectors.clone(),
        options: options::reranking(&node.settings.reranking),
    })?;
    let limit = node.settings.reranking.max_in_flight;
    Ok(Reranking::of(node.run("reranking", Arc::new(service), limit)?))
}

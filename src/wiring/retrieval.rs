//! The retrieval role.

use std::{sync::Arc, time::Instant};

use anyhow::Result;
use plugrank_retrieval::{BuildProgress, RetrievalParts, RetrievalService};

use super::{Embedding, Node, Retrieval, options};
use crate::load::Progress;

/// Retrieval here, its index built, or a client of it elsewhere.
///
/// # Errors
/// When the index cannot be built.
pub async fn start(node: &Node, embedding: &Embedding) -> Result<Retrieval> {
    let elsewhere = &node.settings.peers.retrieval_url;
    if !elsewhere.is_empty() {
        return Ok(Retrieval::of(node.remote("retrieval", elsewhere)?));
    }
    let begun = Instant::now();
    let bar = Progress::shown().bar("indexing", node.store.item_count().await?);
    let parts = RetrievalParts {
        store: Arc::clone(&node.store),
        vectors: embedding.fetch_vectors.clone(),
        options: options::retrieval(&node.settings),
    };
    let told = bar.clone();
    let service = RetrievalService::build(parts, move |progress: BuildProgress| {
        told.set_position(progress.items);
    })
    .await?;
    bar.finish_and_clear();
    let status = service.status();
    tracing::info!(
        items = status.items,
        indexed = status.indexed,
        index_mb = status.index_bytes >> 20,
        seconds = begun.elapsed().as_secs_f64(),
        "retrieval is ready"
    );
    let limit = node.settings.retrieval.max_in_flight;
    Ok(Retrieval::of(node.run("retrieval", Arc::new(service), limit)?))
}

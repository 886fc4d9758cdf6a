//! The retrieval role.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result};
use plugrank_retrieval::{BuildProgress, RetrievalParts, RetrievalService, RetrievalStatus};

use super::{Catalog, Embedding, Model, Node, Retrieval, metrics::Reading, options, vector_engine};

/// A client of the retrieval role in other processes.
///
/// # Errors
/// When an address cannot be used.
pub fn remote_retrieval(node: &Node) -> Result<Retrieval> {
    Ok(Retrieval::from_service(node.remote("retrieval", &node.settings.peers.retrieval_url)?))
}

/// Retrieval here, its index built.
///
/// # Errors
/// When the index cannot be built.
pub async fn start(
    node: &Node,
    model: Option<&Model>,
    catalog: &Catalog,
    embedding: &Embedding,
) -> Result<Retrieval> {
    let begun = Instant::now();
    let bar = node.progress.bar("indexing", node.store.item_count().await?);
    let parts = RetrievalParts {
        store: Arc::clone(&node.store),
        table: catalog.take_loaded().context("the item table is another's")?,
        vectors: embedding.fetch_vectors.clone(),
        engine: vector_engine::open(&node.settings.retrieval)?,
        options: options::retrieval(&node.settings, model),
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
        snapshot = status.restored.as_deref().unwrap_or("none"),
        seconds = begun.elapsed().as_secs_f64(),
        "retrieval is ready"
    );
    let service = Arc::new(service);
    let counted = Arc::clone(&service);
    node.roles.readings("retrieval", move || counts(&counted.status()));
    let limit = node.settings.retrieval.max_in_flight;
    Ok(Retrieval::from_service(node.run("retrieval", service, limit)?))
}

fn counts(status: &RetrievalStatus) -> Vec<Reading> {
    let mut readings = vec![
        Reading::gauge("catalog_items", "Items of the catalog", status.items as u64),
        Reading::gauge("indexed_items", "Items in the index of vectors", status.indexed as u64),
        Reading::gauge("index_bytes", "Memory of that index here", status.index_bytes as u64),
    ];
    if let Some(following) = &status.following {
        let lag = following.lag;
        readings.extend([
            Reading::gauge(
                "changes_followed",
                "Whether the store answered when it was last asked for changes",
                u64::from(following.connected),
            ),
            Reading::gauge("changes_behind", "Entries of changes not applied yet", lag.entries),
            Reading::real(
                "changes_behind_seconds",
                "Age of the oldest of them",
                lag.age.as_secs_f64(),
            ),
            Reading::counter("changes_applied", "Items read again for a change", following.applied),
            Reading::counter(
                "catalog_rereads",
                "Times the whole catalog was read again, as changes were missed",
                following.resyncs,
            ),
        ]);
    }
    let snapshots = &status.snapshots;
    readings.extend([
        Reading::counter("snapshots_saved", "Snapshots that were made", snapshots.saved),
        Reading::counter("snapshots_failed", "Snapshots that could not be made", snapshots.failed),
        Reading::gauge("snapshot_bytes", "Size of the last one", snapshots.bytes),
    ]);
    if let Some(age) = snapshots.age {
        readings.push(Reading::gauge("snapshot_age_seconds", "Its age", age.as_secs()));
    }
    readings
}

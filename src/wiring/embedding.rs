//! The embedding role.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result};
use plugrank_embedding::EmbeddingService;
use plugrank_encoding::{CatalogProgress, Encoding, EncodingParts};
use plugrank_transport::ForModel;
use tokio::task::spawn_blocking;

use super::{Catalog, Embedding, Model, Node, metrics::Reading};
use crate::load::Progress;

/// A client of the embedding role in other processes, for the model of this name; `None`: for the one that
/// is active there.
///
/// # Errors
/// When an address cannot be used.
pub fn remote_embedding(node: &Node, model: Option<&str>) -> Result<Embedding> {
    let remote = node.remote("embedding", &node.settings.peers.embedding_url)?;
    Ok(Embedding::from_service(ForModel::new(remote, model.map(Into::into)), None))
}

/// The encoders here. No item has a record yet: see [`fill_records`].
///
/// # Errors
/// When a graph or an option cannot be used.
pub async fn start(node: &Node, model: &Model, catalog: &Catalog) -> Result<Embedding> {
    let encoding = Arc::new(build(node, model, catalog).await?);
    encoding.warm_up().await?;
    let counted = Arc::clone(&encoding);
    node.roles.readings("embedding", move || counts(&counted));
    let watched = Arc::clone(&encoding);
    node.health.probe("embedding-workers", move || {
        let alive = watched.alive();
        async move { if alive { Ok(()) } else { Err("a worker thread is gone".to_owned()) } }
    });
    let limit = node.settings.embedding.max_in_flight;
    let service = Arc::new(EmbeddingService::new(Arc::clone(&encoding)));
    Ok(Embedding::from_service(node.run("embedding", service, limit)?, Some(encoding)))
}

/// Reads the records of all items, and encodes every item that has none, where the encoders are here.
///
/// # Errors
/// When the store cannot be used.
pub async fn fill_records(node: &Node, embedding: &Embedding) -> Result<()> {
    let Some(encoding) = &embedding.here else { return Ok(()) };
    let begun = Instant::now();
    let CatalogProgress { cached, encoded, .. } = encode(encoding, &node.progress).await?;
    let seconds = begun.elapsed().as_secs_f64();
    tracing::info!(cached, encoded, seconds, "item records are in memory");
    Ok(())
}

/// Encodes every item that has no record yet; answers how many items the catalog has.
///
/// # Errors
/// When a graph, an option or the store cannot be used.
pub async fn encode_catalog(node: &Node, model: &Model, progress: &Progress) -> Result<u64> {
    let catalog = Catalog::load(node, Some(model), model.bundle.version()).await?;
    let encoding = build(node, model, &catalog).await?;
    let done = encode(&encoding, progress).await?;
    encoding.flush().await;
    Ok(done.seen)
}

async fn build(node: &Node, model: &Model, catalog: &Catalog) -> Result<Encoding> {
    let begun = Instant::now();
    let features = catalog.features.clone().context("the item table has no features")?;
    let parts = EncodingParts {
        library: model.library.clone(),
        bundle: Arc::clone(&model.bundle),
        store: Arc::clone(&node.store),
        items: Arc::clone(&catalog.items),
        features,
        session: node.settings.scoring.session(),
        options: node.settings.embedding.clone(),
        observer: Some(node.roles.batches("embedding")),
    };
    let encoding = spawn_blocking(move || Encoding::new(parts, &mut |_, _| {})).await??;
    tracing::info!(
        bundle = model.bundle.version(),
        seconds = begun.elapsed().as_secs_f64(),
        "the encoders are warm"
    );
    Ok(encoding)
}

async fn encode(encoding: &Encoding, progress: &Progress) -> Result<CatalogProgress> {
    let bar = progress.bar("encoding", encoding.items().len() as u64);
    let told = bar.clone();
    let done = encoding
        .encode_catalog(&mut |progress: CatalogProgress| told.set_position(progress.seen))
        .await?;
    bar.finish_and_clear();
    if done.failed > 0 {
        tracing::warn!(
            items = done.failed,
            "items could not be encoded; they rank without content"
        );
    }
    Ok(done)
}

fn counts(service: &Encoding) -> Vec<Reading> {
    let counts = service.counts();
    let (items, users) = service.memory_bytes();
    let mut readings: Vec<Reading> =
        counts.metrics().map(|(name, help, value)| Reading::counter(name, help, value)).collect();
    readings.extend([
        Reading::gauge("item_records_bytes", "In-process tier: item records", items),
        Reading::gauge("user_states_bytes", "In-process tier: user states", users),
        Reading::gauge(
            "items_encoding",
            "Items being encoded or waiting",
            service.encoding() as u64,
        ),
    ]);
    readings
}

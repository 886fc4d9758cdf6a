//! The scoring role.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result};
use plugrank_encoding::{Embeddings, RemoteEncoding};
use plugrank_inference::Provider;
use plugrank_scoring::{FeatureSeen, ScoringParts, ScoringService};
use tokio::task::spawn_blocking;

use super::{
    Catalog, Embedding, Model, Node, Scoring, client, metrics::Reading, open_inference, options,
};

/// A client of the scoring role in other processes. Where that has the encoders beside itself, it is
/// also who is told about changed items.
///
/// # Errors
/// When an address cannot be used.
pub fn remote_scoring(node: &Node) -> Result<Scoring> {
    let remote = node.remote("scoring", &node.settings.peers.scoring_url)?;
    Ok(Scoring { invalidate: Some(client(remote.clone())), ..Scoring::from_service(remote) })
}

/// Scoring here, every batch shape warmed.
///
/// # Errors
/// When a graph, an option or the provider cannot be used.
pub async fn start(
    node: &Node,
    model: &Model,
    catalog: &Catalog,
    embedding: &Embedding,
) -> Result<Scoring> {
    let begun = Instant::now();
    let bar = node.progress.bar("warming", 0);
    let parts = ScoringParts {
        library: model.library.clone(),
        bundle: Arc::clone(&model.bundle),
        embeddings: embeddings(model, catalog, embedding),
        store: Arc::clone(&node.store),
        items: Arc::clone(&catalog.items),
        features: catalog.features.clone().context("the item table has no features")?,
        options: node.settings.scoring.clone(),
        max_candidates: options::max_candidates(&node.settings),
        formulas: node.settings.surface_formulas(),
        observer: Some(node.roles.batches("scoring")),
        remote: open_inference::model_server(node, model).await?,
    };
    let told = bar.clone();
    let warmed = spawn_blocking(move || {
        ScoringService::new(parts, &mut |_, done, of| {
            told.set_length(of as u64);
            told.set_position(done as u64);
        })
    });
    let service = warmed.await??;
    bar.finish_and_clear();
    let in_use = service.provider().map_or("open_inference", Provider::as_str);
    tracing::info!(
        bundle = model.bundle.version(),
        provider = in_use,
        seconds = begun.elapsed().as_secs_f64(),
        "scoring is warm"
    );
    node.roles.provider("scoring", in_use);
    let service = Arc::new(service);
    let counted = Arc::clone(&service);
    node.roles.readings("scoring", move || counts(&counted));
    let looked_at = Arc::clone(&service);
    node.roles.readings("scoring", move || features(&looked_at));
    let watched = Arc::clone(&service);
    node.health.probe("scoring-workers", move || {
        let alive = watched.alive();
        async move { if alive { Ok(()) } else { Err("a worker thread is gone".to_owned()) } }
    });
    let watched = Arc::clone(&service);
    node.health.advise("scores", move || {
        let share = watched.not_finite_share();
        async move {
            let reason = |share: f64| {
                let share = share * 100.0;
                format!("{share:.0}% of the model's recent scores are no finite numbers")
            };
            share.map_or(Ok(()), |share| Err(reason(share)))
        }
    });
    let limit = node.settings.scoring.max_in_flight;
    let local = node.run("scoring", service, limit)?;
    let open_inference = open_inference::api(node, model, client(local.clone()));
    let invalidate = embedding.here.is_some().then(|| embedding.invalidate.clone());
    Ok(Scoring { invalidate, open_inference, ..Scoring::from_service(local) })
}

/// Where records and user states come from.
fn embeddings(model: &Model, catalog: &Catalog, embedding: &Embedding) -> Embeddings {
    match &embedding.here {
        Some(encoding) => Embeddings::Here(Arc::clone(encoding)),
        None => Embeddings::Remote(RemoteEncoding::new(
            embedding.fetch.clone(),
            Arc::clone(&model.bundle),
            Arc::clone(&catalog.items),
        )),
    }
}

fn counts(service: &ScoringService) -> Vec<Reading> {
    let counts = service.counts().metrics();
    let waiting = "Entries that wait for a batch";
    counts
        .map(|(name, help, value)| Reading::counter(name, help, value))
        .chain([Reading::gauge("batch_waiting", waiting, service.waiting() as u64)])
        .collect()
}

/// What requests had of each feature, and what training saw of it.
fn features(service: &ScoringService) -> Vec<Reading> {
    let mut readings = Vec::new();
    for FeatureSeen { of, feature, seen, trained } in service.features_seen() {
        let known = seen.rows - seen.missing - seen.unknown;
        for (found, count) in
            [("known", known), ("missing", seen.missing), ("unknown", seen.unknown)]
        {
            let help = "Values of features that were read to score, of four candidates a request";
            let reading = Reading::counter("feature_values", help, count);
            let reading = reading.with("of", of).with("feature", feature.as_str());
            readings.push(reading.with("found", found));
        }
        let Some(trained) = trained else { continue };
        for (found, share) in [("missing", trained.missing), ("unknown", trained.unknown)] {
            let help = "Share of training rows without a value, or with one that is not known";
            let reading = Reading::real("feature_trained_ratio", help, share);
            let reading = reading.with("of", of).with("feature", feature.as_str());
            readings.push(reading.with("found", found));
        }
    }
    readings
}

//! The scoring role.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result};
use plugrank_bundle::GraphName;
use plugrank_inference::Provider;
use plugrank_open_inference::{ModelElsewhere, Served};
use plugrank_scoring::{Elsewhere, ScoringParts, ScoringService};

use super::{
    Embedding, Model, Node, Scoring,
    batch_metrics::BatchMetrics,
    client,
    metrics::{Reading, endpoints, provider, readings},
    options,
};
use crate::load::Progress;

/// Scoring here, every batch shape warmed, or a client of it elsewhere.
///
/// # Errors
/// When a graph, an option or the provider cannot be used.
pub async fn start(node: &Node, model: Option<&Model>, embedding: &Embedding) -> Result<Scoring> {
    let elsewhere = &node.settings.peers.scoring_url;
    if !elsewhere.is_empty() {
        return Ok(Scoring::of(node.remote("scoring", elsewhere)?));
    }
    let model = model.context("this role has no model")?;
    let begun = Instant::now();
    let bar = Progress::shown().bar("warming", 0);
    let service = ScoringService::new(
        ScoringParts {
            library: model.library.clone(),
            bundle: Arc::clone(&model.bundle),
            embedding: embedding.fetch.clone(),
            store: Arc::clone(&node.store),
            session: options::session(&node.settings.scoring),
            options: options::scoring(&node.settings),
            observer: Some(BatchMetrics::register(&node.metrics, "scoring")),
            elsewhere: model_server(node, model).await?,
        },
        &mut |_, done, of| {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
        },
    )?;
    bar.finish_and_clear();
    let in_use = service.provider().map_or("open_inference", Provider::as_str);
    tracing::info!(
        bundle = model.bundle.version(),
        provider = in_use,
        seconds = begun.elapsed().as_secs_f64(),
        "scoring is warm"
    );
    provider(&node.metrics, in_use);
    let service = Arc::new(service);
    let counted = Arc::clone(&service);
    readings(&node.metrics, "scoring", move || counts(&counted));
    let watched = Arc::clone(&service);
    node.health.probe("scoring-workers", move || {
        let alive = watched.alive();
        async move { if alive { Ok(()) } else { Err("a worker thread is gone".to_owned()) } }
    });
    let limit = node.settings.scoring.max_in_flight;
    let local = node.run("scoring", service, limit)?;
    let settings = &node.settings.open_inference;
    let open_inference = settings.serve.then(|| {
        let health = node.health.clone();
        Served::new(&model.bundle, client(local.clone()), health, settings.max_body_bytes)
    });
    Ok(Scoring { open_inference, ..Scoring::of(local) })
}

/// The server that runs the unified model, where the settings name one.
async fn model_server(node: &Node, model: &Model) -> Result<Option<Elsewhere>> {
    if node.settings.scoring.open_inference.url.is_empty() {
        return Ok(None);
    }
    let bundle = Arc::clone(&model.bundle);
    let options = options::model_server(&node.settings);
    let server = ModelElsewhere::start(&options, bundle, GraphName::Unified).await?;
    endpoints(&node.metrics, "open_inference", server.endpoints());
    let reached = server.reached();
    Ok(Some(Elsewhere { server: Arc::new(server), reached }))
}

fn counts(service: &ScoringService) -> Vec<Reading> {
    let counts = service.counts();
    vec![
        Reading::counter("rows", "Candidate rows scored", counts.rows),
        Reading::counter(
            "missing_rows",
            "Rows scored with the missing-vector",
            counts.missing_rows,
        ),
        Reading::counter("not_finite", "Logits that were no finite number", counts.not_finite),
        Reading::gauge("waiting", "Entries that wait for a batch", service.waiting() as u64),
    ]
}

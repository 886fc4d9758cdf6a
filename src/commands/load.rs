//! `plugrank load`.

use std::{fs, path::Path, sync::Arc, time::Instant};

use anyhow::{Context, Result};
use plugrank_body::BodyMemory;
use plugrank_runtime::{Metrics, Telemetry};
use tokio::runtime::Runtime;

use super::Failure;
use crate::{
    Settings,
    cli::LoadArgs,
    load::{LoadOptions, LoadReport, Progress, Reader, load, table},
    wiring::{self, Model, Node},
};

pub(super) fn run(args: &LoadArgs) -> Result<(), Failure> {
    let settings = super::settings::load(&args.config)?;
    Ok(runtime()?.block_on(load_all(args, settings))?)
}

/// Several threads: rows are read on this one, while others encode and send what was read.
fn runtime() -> Result<Runtime> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().build().context("the threads of the Tokio runtime cannot be started")
}

/// Loads a dataset folder, items encoded, without a word about it.
pub(super) fn load_folder(settings: Settings, dataset: &Path) -> Result<LoadReport> {
    let progress = Progress::shown();
    runtime()?.block_on(async {
        let model = Model::open(&settings)?;
        let encoder = model.bundle.feature_encoder().context("the bundle's vocabularies")?;
        model.check_lookups(&encoder, &settings)?;
        let store = wiring::open_store(&settings.store.patient()).await?;
        let reader = Reader { bundle: &model.bundle, encoder: &encoder, allow_absent: &[] };
        let options = LoadOptions {
            reader: Some(&reader),
            popularity_half_life: settings.store.popularity_half_life(),
            co_visitation_half_life: settings.retrieval.co_visitation.half_life(),
            ..LoadOptions::default()
        };
        let report = load(Arc::clone(&store), dataset, options, &progress).await?;
        let opened = Arc::clone(&store);
        let bodies = BodyMemory::new(settings.server.body_memory());
        let node = Node::new(settings, store, Metrics::new(), bodies, progress.clone());
        wiring::encode_catalog(&node, &model, &progress).await?;
        opened.close().await?;
        Ok(report)
    })
}

async fn load_all(args: &LoadArgs, settings: Settings) -> Result<()> {
    let telemetry = Telemetry::install(&settings.telemetry, None)?;
    // Opened first: a bundle that is refused should be known before minutes of loading.
    let model = (!args.no_encode).then(|| Model::open(&settings)).transpose()?;
    let encoder = model.as_ref().map(|model| model.bundle.feature_encoder()).transpose()?;
    if let (Some(model), Some(encoder)) = (&model, &encoder) {
        model.check_lookups(encoder, &settings)?;
    }
    let store = wiring::open_store(&settings.store.patient()).await?;
    let reader = model.as_ref().zip(encoder.as_ref()).map(|(model, encoder)| Reader {
        bundle: &model.bundle,
        encoder,
        allow_absent: &args.allow_absent,
    });
    let options = LoadOptions {
        until: args.until,
        reader: reader.as_ref(),
        popularity_half_life: settings.store.popularity_half_life(),
        co_visitation_half_life: settings.retrieval.co_visitation.half_life(),
        restore_withdrawn: args.restore_withdrawn,
    };
    let progress = Progress::shown();
    let mut report = load(Arc::clone(&store), &args.dataset, options, &progress).await?;
    let opened = Arc::clone(&store);
    if let Some(model) = model {
        let begun = Instant::now();
        let bodies = BodyMemory::new(settings.server.body_memory());
        let node = Node::new(settings, store, Metrics::new(), bodies, progress.clone());
        let encoded = wiring::encode_catalog(&node, &model, &progress).await?;
        report.phase("encoding", encoded, begun);
    }
    opened.close().await?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print(&report),
    }
    if let Some(path) = &args.report {
        write(&report, path)?;
    }
    telemetry.shutdown();
    Ok(())
}

fn print(report: &LoadReport) {
    println!("{}", report.dataset);
    print!("{}", table(&report.columns));
    for phase in &report.phases {
        let rate = phase.rows as f64 / phase.seconds.max(1e-9);
        println!(
            "  {:<14} {:>12} {:>9.2} s {:>12.0}/s",
            phase.name, phase.rows, phase.seconds, rate
        );
    }
    if report.items_before > 0 {
        println!("  the store had {} items before; nothing is stored twice", report.items_before);
    }
    if report.overwritten > 0 {
        println!(
            "  warning: {} items differed from the folder and were overwritten",
            report.overwritten
        );
    }
    if report.later > 0 {
        println!("  {} interactions are not before --until and were left out", report.later);
    }
    if report.unknown_items > 0 {
        println!(
            "  {} interactions name items that items.parquet does not have",
            report.unknown_items
        );
    }
    if report.withdrawn_kept > 0 {
        println!(
            "  {} items stay withdrawn, as in the store; --restore-withdrawn shows them again",
            report.withdrawn_kept
        );
    }
    if report.withdrawn_restored > 0 {
        println!(
            "  {} items were withdrawn in the store and are shown again, as in the dataset",
            report.withdrawn_restored
        );
    }
    if let Some(bytes) = report.peak_memory_bytes {
        println!("  peak memory    {:>12} MiB", bytes >> 20);
    }
}

fn write(report: &LoadReport, path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    fs::write(path, text).with_context(|| format!("cannot write the report {}", path.display()))
}

//! `plugrank export`.

use anyhow::Context;
use plugrank_dataset::Time;
use plugrank_runtime::Telemetry;

use super::Failure;
use crate::{
    Settings,
    cli::{ExportArgs, TimeMeaning},
    export::{ExportOptions, ExportReport, export},
    load::Progress,
    wiring,
};

pub(super) fn run(args: &ExportArgs) -> Result<(), Failure> {
    let settings = super::settings::load(&args.config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the threads of the Tokio runtime cannot be started")?;
    Ok(runtime.block_on(export_all(args, settings))?)
}

async fn export_all(args: &ExportArgs, settings: Settings) -> anyhow::Result<()> {
    let telemetry = Telemetry::install(&settings.telemetry, None)?;
    let store = wiring::open_store(&settings.store).await?;
    let time = match args.time {
        TimeMeaning::Ms => Time::Ms,
        TimeMeaning::Order => Time::Order,
    };
    let options = ExportOptions { name: args.name.clone(), time, since: args.since };
    let report = export(&store, &args.out, &options, &Progress::shown()).await?;
    store.close().await?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print(&report),
    }
    telemetry.shutdown();
    Ok(())
}

fn print(report: &ExportReport) {
    println!("  items          {:>12}, {} with an image", report.items, report.images);
    println!("  users          {:>12}", report.users);
    println!("  interactions   {:>12}", report.interactions);
    if report.earlier > 0 {
        println!("  {} interactions are before --since and were left out", report.earlier);
    }
    if report.unknown_items > 0 {
        println!(
            "  {} interactions name items that the store no longer has, and were left out",
            report.unknown_items
        );
    }
}

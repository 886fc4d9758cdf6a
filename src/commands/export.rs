//! `plugrank export`.

use anyhow::{Context, ensure};
use plugrank_dataset::Time;
use plugrank_export::{ExportOptions, ExportReport, export};
use plugrank_runtime::Telemetry;
use plugrank_store::TimeRange;

use super::Failure;
use crate::{
    Settings,
    cli::{ExportArgs, TimeMeaning},
    export_remote::{Downloaded, download},
    load::Progress,
    server_client::{ServerArg, ServerClient},
    wiring,
};

pub(super) fn run(args: &ExportArgs) -> Result<(), Failure> {
    let options = options(args)?;
    if let Some(server) = args.running.server() {
        return Ok(from_server(args, &server, &options)?);
    }
    let settings = super::settings::load(&args.config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the threads of the Tokio runtime cannot be started")?;
    Ok(runtime.block_on(export_all(args, options, settings))?)
}

fn options(args: &ExportArgs) -> anyhow::Result<ExportOptions> {
    let range = TimeRange {
        from: args.since.unwrap_or(TimeRange::ALL.from),
        to: args.until.unwrap_or(TimeRange::ALL.to),
    };
    ensure!(range.from < range.to, "--until {} is not after --since {}", range.to, range.from);
    let time = match args.time {
        TimeMeaning::Ms => Time::Ms,
        TimeMeaning::Order => Time::Order,
    };
    Ok(ExportOptions { name: args.name.clone(), time, range, ..ExportOptions::default() })
}

fn from_server(
    args: &ExportArgs,
    server: &ServerArg,
    options: &ExportOptions,
) -> anyhow::Result<()> {
    let found = download(&ServerClient::new(server)?, &args.out, options, &Progress::shown())?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&found)?),
        false => {
            let Downloaded { items, images, users, interactions, exposures } = found;
            print_rows(items, images, users, exposures);
            println!("  interactions   {interactions:>12}");
        }
    }
    Ok(())
}

async fn export_all(
    args: &ExportArgs,
    options: ExportOptions,
    settings: Settings,
) -> anyhow::Result<()> {
    let telemetry = Telemetry::install(&settings.telemetry, None)?;
    let store = wiring::open_store(&settings.store.patient()).await?;
    let options = ExportOptions { tasks: settings.events.types.tasks(), ..options };
    let report = export(&store, &args.out, &options, &Progress::shown()).await?;
    store.close().await?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print(&report),
    }
    telemetry.shutdown();
    Ok(())
}

fn print_rows(items: u64, images: u64, users: u64, exposures: u64) {
    println!("  items          {items:>12}, {images} with an image");
    println!("  users          {users:>12}");
    println!("  exposures      {exposures:>12} rows");
}

fn print(report: &ExportReport) {
    print_rows(report.items, report.images, report.users, report.exposures);
    println!(
        "  interactions   {:>12}, {} of a known request, {} of a known place",
        report.interactions, report.with_request, report.with_position
    );
    if report.other_time > 0 {
        println!("  {} interactions are of another time and were left out", report.other_time);
    }
    if report.unknown_items > 0 {
        println!(
            "  {} interactions name items that the store no longer has, and were left out",
            report.unknown_items
        );
    }
    if !report.reserved_features.is_empty() {
        let names = report.reserved_features.join(", ");
        println!("  features of requests whose names mean something else were left out: {names}");
    }
}

//! `plugrank bundle`.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use plugrank_bundle::Bundle;
use plugrank_inference::{VerifyReport, verify_folder};
use serde_json::{Value, json};

use crate::{
    cli::{BundleArgs, BundleCommand, WrapArgs},
    load::{ColumnLine, Reader, survey, table},
};

pub(super) fn run(command: &BundleCommand) -> Result<()> {
    match command {
        BundleCommand::Verify(args) => verify(args),
        BundleCommand::Wrap(args) => wrap(args),
        BundleCommand::Inspect { bundle, json } => {
            let bundle = Bundle::open(bundle)?;
            match json {
                true => println!("{}", serde_json::to_string_pretty(bundle.manifest())?),
                false => print!("{}", bundle.describe()),
            }
            Ok(())
        }
    }
}

/// Graphs are written by the training package.
fn wrap(args: &WrapArgs) -> Result<()> {
    let status = Command::new("plugrank-training")
        .arg("wrap")
        .arg(&args.model)
        .arg("--features")
        .arg(&args.features)
        .arg("--out")
        .arg(&args.out)
        .status()
        .context("`plugrank-training` cannot be run; `pip install ./training` brings it")?;
    ensure!(status.success(), "the model was not wrapped");
    Ok(())
}

fn verify(args: &BundleArgs) -> Result<()> {
    let (bundle, report) = verify_folder(&args.bundle, args.library.as_deref())?;
    let columns = columns(args, &bundle)?;
    if args.json {
        println!("{:#}", as_json(&bundle, &report, columns.as_deref()));
        return Ok(());
    }
    println!("{}: {} files, all checksums right", bundle.version(), bundle.manifest().files.len());
    println!("{:<14} {:>9} {:>15} {:>9}", "graph", "elements", "max difference", "run");
    for graph in &report.graphs {
        println!(
            "{:<14} {:>9} {:>15.2e} {:>6.1} ms",
            graph.graph.as_str(),
            graph.elements,
            graph.max_difference,
            graph.run_time.as_secs_f64() * 1e3
        );
    }
    if let Some(columns) = &columns {
        print!("{}", table(columns));
    }
    println!("verified");
    Ok(())
}

/// What happens to the columns of the dataset, where one is named.
fn columns(args: &BundleArgs, bundle: &Bundle) -> Result<Option<Vec<ColumnLine>>> {
    let Some(dataset) = &args.dataset else { return Ok(None) };
    let encoder = bundle.feature_encoder()?;
    let reader = Reader { bundle, encoder: &encoder, allow_absent: &args.allow_absent };
    Ok(Some(survey(dataset, &reader)?))
}

fn as_json(bundle: &Bundle, report: &VerifyReport, columns: Option<&[ColumnLine]>) -> Value {
    let graphs = report.graphs.iter().map(|graph| {
        json!({
            "graph": graph.graph.as_str(),
            "elements": graph.elements,
            "max_difference": graph.max_difference,
            "run_ms": graph.run_time.as_secs_f64() * 1e3,
        })
    });
    json!({
        "version": bundle.version(),
        "files": bundle.manifest().files.len(),
        "graphs": graphs.collect::<Vec<_>>(),
        "columns": columns,
    })
}

//! `plugrank bundle`.

use std::path::Path;

use anyhow::Result;
use plugrank_bundle::Bundle;
use plugrank_inference::verify_folder;

use crate::cli::BundleCommand;

pub(super) fn run(command: &BundleCommand) -> Result<()> {
    match command {
        BundleCommand::Verify(args) => verify(&args.bundle, args.library.as_deref()),
        BundleCommand::Inspect(args) => {
            print!("{}", Bundle::open(&args.bundle)?.describe());
            Ok(())
        }
    }
}

fn verify(folder: &Path, library: Option<&Path>) -> Result<()> {
    let (bundle, report) = verify_folder(folder, library)?;
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
    println!("verified");
    Ok(())
}

//! `cargo xtask rungs`: what each rung of the latency ladder costs, in quality and in time.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    demo::{self, Build},
    ort_library, process, python,
};

/// The rungs, best first, each with further settings. With little memory in process many vectors
/// are missing, which is what that rung is about.
const RUNGS: [(&str, &str); 7] = [
    ("full", ""),
    ("ctr_order", ""),
    ("fewer_candidates", ""),
    ("missing_vectors", ""),
    ("missing_vectors", "embedding.memory_mb = 1\n"),
    ("idrec", ""),
    ("retrieval_order", ""),
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A MovieLens folder or a dataset folder; what `demo --dataset` trained on it is reused.
    #[arg(long)]
    dataset: PathBuf,
    /// Test impressions to ask for.
    #[arg(long, default_value_t = 2000)]
    rows: usize,
    /// Port of 127.0.0.1 to serve on.
    #[arg(long, default_value_t = 8091)]
    port: u16,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    demo::free_port(args.port)?;
    let (binary, library) = (demo::build(Build::Release)?, ort_library::ensure()?);
    let site = demo::trained(&args.dataset)?;
    let python = python::ensure()?;
    let mut rows = Vec::new();
    for (rung, more) in RUNGS {
        let more = format!("budget.ladder.pin = \"{rung}\"\n{more}");
        let (server, _users) = demo::serve_with(&binary, &library, &site, args.port, &more)?;
        let mut measure = python::training(&python);
        measure.arg("rung").arg(site.state.join("predictions/unified.parquet"));
        measure.args(["--url", &server.url(), "--rows", &args.rows.to_string()]);
        rows.push(process::output(&mut measure)?);
    }
    println!("\n| rung | AUC | clicks among the first 20 | vectors missing | p50 | p99 |");
    println!("| --- | --- | --- | --- | --- | --- |");
    rows.iter().for_each(|row| println!("{row}"));
    Ok(())
}

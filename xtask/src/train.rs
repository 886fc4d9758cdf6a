//! `cargo xtask train`.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{process, python};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A MovieLens folder (100K, 1M, latest, sequences) or a dataset folder.
    #[arg(long)]
    dataset: PathBuf,
    /// Where bundle, predictions and report are written.
    #[arg(long)]
    out: PathBuf,
    /// Further options of the training command (`python -m plugrank_training train --help`).
    #[arg(last = true)]
    more: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let dataset = std::path::absolute(&args.dataset)?;
    let out = std::path::absolute(&args.out)?;
    convert_and_train(&dataset, &out, &args.more)?;
    println!("bundle: {}", out.join("bundle").display());
    Ok(())
}

/// Brings `dataset` into the canonical form and trains on it; what was done before is reused.
/// Returns the dataset folder in canonical form.
pub(crate) fn convert_and_train(dataset: &Path, out: &Path, more: &[String]) -> Result<PathBuf> {
    let python = python::ensure()?;
    let folder = if dataset.join("interactions.parquet").is_file() {
        dataset.to_owned()
    } else {
        let folder = out.join("dataset");
        process::run(python::training(&python).arg("convert").arg(dataset).arg(&folder))?;
        folder
    };
    process::run(
        python::training(&python)
            .arg("train")
            .arg("--dataset")
            .arg(&folder)
            .arg("--out")
            .arg(out)
            .args(more),
    )?;
    Ok(folder)
}

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
    /// How to cut the data: `global`, `warm`, `items`, `peruser` or `time`.
    #[arg(long)]
    split: Option<String>,
    /// Of the split's hashes.
    #[arg(long)]
    salt: Option<String>,
    /// How many seeds to train with.
    #[arg(long)]
    seeds: Option<u32>,
    /// Where each model's test predictions are written, instead of `OUT/predictions`.
    #[arg(long, value_name = "DIR")]
    predictions: Option<PathBuf>,
    /// Which models to fit, with commas between them, or `all`.
    #[arg(long)]
    models: Option<String>,
    /// Go on from the checkpoint of an interrupted run.
    #[arg(long)]
    resume: bool,
    /// Further options of the training command (`python -m plugrank_training train --help`).
    #[arg(last = true)]
    more: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let dataset = std::path::absolute(&args.dataset)?;
    let out = std::path::absolute(&args.out)?;
    convert_and_train(&dataset, &out, &args.options()?)?;
    println!("bundle: {}", out.join("bundle").display());
    Ok(())
}

impl Args {
    /// What the training command is given besides data set and output.
    fn options(&self) -> Result<Vec<String>> {
        let seeds = self.seeds.map(|count| count.to_string());
        // Training runs in the repository's root, so a relative path would end there.
        let predictions = self.predictions.as_ref().map(std::path::absolute).transpose()?;
        let predictions = predictions.map(|folder| folder.to_string_lossy().into_owned());
        let named = [
            ("--split", &self.split),
            ("--salt", &self.salt),
            ("--seeds", &seeds),
            ("--predictions", &predictions),
            ("--models", &self.models),
        ];
        let mut options: Vec<String> = named
            .into_iter()
            .filter_map(|(name, value)| value.clone().map(|value| [name.to_owned(), value]))
            .flatten()
            .collect();
        if self.resume {
            options.push("--resume".to_owned());
        }
        options.extend_from_slice(&self.more);
        Ok(options)
    }
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

//! `cargo xtask shop`: makes `models/simshop` again.

use std::fs;

use anyhow::Result;

use crate::{files, process, python, train};

/// Size of the shipped shop: small enough to ship, large enough to learn from.
const SHOP: [&str; 8] =
    ["--seed", "7", "--items", "1500", "--users", "500", "--impressions", "200000"];
/// How it is trained.
const CONFIG: &str = "training/configs/simshop-small.toml";
/// Test impressions whose torch predictions are shipped, for the parity test.
const PREDICTIONS: &str = "240";

pub(crate) fn run() -> Result<()> {
    let folder = crate::root().join("models/simshop");
    let dataset = folder.join("dataset");
    let mut simshop = process::cargo();
    simshop.args([
        "run",
        "--release",
        "--package",
        "plugrank-simshop",
        "--",
        "generate",
        "--overwrite",
    ]);
    simshop.arg("--out").arg(&dataset).args(SHOP);
    process::run(&mut simshop)?;

    let out = crate::target().join("shop");
    let config = crate::root().join(CONFIG).to_string_lossy().into_owned();
    let options = ["--again", "--config", &config].map(str::to_owned);
    train::convert_and_train(&dataset, &out, &options)?;
    for bundle in ["bundle", "bundle-idrec"] {
        files::replace(&out.join(bundle), &folder.join(bundle))?;
    }
    process::run(
        python::training(&python::ensure()?)
            .arg("sample-predictions")
            .arg(out.join("predictions/unified.parquet"))
            .arg(folder.join("predictions.json"))
            .args(["--rows", PREDICTIONS]),
    )?;
    fs::copy(out.join("report.json"), folder.join("report.json"))?;
    println!("models/simshop is made anew");
    Ok(())
}

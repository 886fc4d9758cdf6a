//! `cargo xtask day`: a simulated day on the shipped shop, and the model of the day after.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    demo::{self, Build, Site},
    files, ort_library, process, python,
};

/// The types of events beside click and impression.
const EVENTS: &str = "\
events.types.cart = { weight = 2.0 }
events.types.purchase = { task = \"purchase\", weight = 4.0 }
events.types.favourite = { weight = 2.0 }
events.types.hide = { positive = false, weight = -2.0 }
";
/// A budget that debug builds and busy machines keep: what is shown here is that the parts fit, and not how fast.
pub(crate) const PATIENT: &str = "\
budget.default_ms = 5000
budget.ceiling_ms = 20000
";
/// What the new model's bundle is called.
const NEXT: &str = "next";
/// Impressions that are compared.
const ROWS: &str = "300";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Port of 127.0.0.1 to serve on.
    #[arg(long, default_value_t = 8087)]
    port: u16,
    /// A debug build: slower, and built in less time.
    #[arg(long)]
    debug: bool,
    /// Shoppers that come.
    #[arg(long, default_value_t = 300)]
    shoppers: usize,
}

impl Args {
    /// Of the debug build, as the tests have it.
    pub(crate) fn debug() -> Self {
        Self { port: 8087, debug: true, shoppers: 300 }
    }
}

/// Shoppers spend a day, prices change and items are withdrawn; the day is exported while the server runs, the model
/// goes on with it, is verified, loaded beside the old one and activated, and answers what torch predicts.
pub(crate) fn run(args: &Args) -> Result<()> {
    demo::free_port(args.port)?;
    let (library, python) = (ort_library::ensure()?, python::ensure()?);
    let build = if args.debug { Build::Debug } else { Build::Release };
    let (binary, mut simshop) = (demo::build(build)?, demo::simshop(build)?);
    let model = crate::root().join("models/simshop");
    let (dataset, bundle) = (model.join("dataset"), model.join("bundle"));
    let state = crate::target().join("day");
    if state.exists() {
        fs::remove_dir_all(&state)?;
    }
    let models = state.join("models");
    fs::create_dir_all(&models)?;
    let site = Site::new(dataset.clone(), bundle.clone(), state.clone());
    let folder = serde_json::Value::from(models.to_string_lossy());
    let more = format!("models.folder = {folder}\nmodels.watch_ms = 0\n{EVENTS}{PATIENT}");
    let (server, _) = demo::serve_with(&binary, &library, &site, args.port, &more)?;
    let url = server.url();

    simshop.arg("day").arg(&dataset);
    simshop.args(["--url", &url, "--shoppers", &args.shoppers.to_string()]);
    process::run(&mut simshop)?;

    let (export, trained) = (state.join("export"), state.join("train"));
    process::run(Command::new(&binary).args(["export", "--url", &url, "--out"]).arg(&export))?;
    let mut train = python::training(&python);
    train.arg("train").arg("--dataset").arg(&export).arg("--out").arg(&trained);
    process::run(train.arg("--from").arg(&bundle).args(["--days", "1"]))?;
    let next = trained.join("bundle");
    let mut verify = Command::new(&binary);
    verify.args(["bundle", "verify", "--library"]).arg(&library).arg(&next);
    process::run(&mut verify)?;

    files::replace(&next, &models.join(NEXT))?;
    activate(&url, NEXT, &next)?;
    let mut parity = python::training(&python);
    parity.arg("parity").arg(trained.join("predictions/unified.parquet"));
    // Of a model with a taste (docs/train.md, "Parity").
    parity.args(["--tolerance", "1e-3"]);
    process::run(parity.args(["--url", &url, "--rows", ROWS, "--budget-ms", "10000"]))?;
    println!("the day's export, the model that went on with it, and what it serves agree");
    Ok(())
}

/// Has the server load the bundle, which its folder of models has under `name`, and answer by it; its version.
pub(crate) fn activate(url: &str, name: &str, bundle: &Path) -> Result<String> {
    let manifest: Value = serde_json::from_str(&fs::read_to_string(bundle.join("manifest.json"))?)?;
    let version = manifest["version"].as_str().context("the manifest names no version")?;
    ureq::post(format!("{url}/v1/models")).send_json(json!({ "name": name }))?;
    let deadline = Instant::now() + Duration::from_secs(600);
    loop {
        let list: Value = ureq::get(format!("{url}/v1/models")).call()?.body_mut().read_json()?;
        let models = list["models"].as_array().into_iter().flatten();
        let state = models
            .filter(|one| one["version"] == version)
            .find_map(|one| one["state"].as_str().map(ToOwned::to_owned));
        match state.as_deref() {
            Some("ready") => break,
            Some("failed") => bail!("the server does not load the new model: {list}"),
            _ => ensure!(Instant::now() < deadline, "the new model is not ready after ten minutes"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    ureq::post(format!("{url}/v1/models/{version}/activate")).send_json(json!({}))?;
    println!("model {version} answers");
    Ok(version.to_owned())
}

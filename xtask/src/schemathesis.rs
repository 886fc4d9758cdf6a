//! The server compared with its own OpenAPI document: requests made of it, right and wrong ones, and every
//! answer checked.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    demo::{self, Build, Site},
    ort_library, process, venv,
};

/// Seeds of the generated requests; `SCHEMATHESIS_SEED` sets another.
const SEEDS: [&str; 4] = ["1", "2", "3", "4"];
/// No answer fails for want of time, however busy the machine is.
const BUDGET: &str = "budget.default_ms = 10000\nbudget.ceiling_ms = 20000\n";
/// Seconds that an answer may take.
const TIMEOUT: &str = "60";
/// Requests of each kind for each operation.
const EXAMPLES: &str = "25";

/// All checks on all operations, without a key and with one, with every seed.
pub(crate) fn test() -> Result<()> {
    let python = venv::ensure("openapi-venv", "tests/openapi", "schemathesis")?;
    let (binary, library) = (demo::build(Build::Debug)?, ort_library::ensure()?);
    let state = crate::target().join("schemathesis");
    let given = std::env::var("SCHEMATHESIS_SEED").ok();
    let seeds: Vec<&str> = given.as_deref().map_or(SEEDS.to_vec(), |seed| vec![seed]);
    for asks in [false, true] {
        // Each server begins anew: what one deletes, another has.
        let _ = fs::remove_dir_all(&state);
        fs::create_dir_all(&state)?;
        let shop = crate::root().join("models/simshop");
        let site = Site::new(shop.join("dataset"), shop.join("bundle"), state.clone());
        let key = if asks { Some(new_key(&binary, &state)?) } else { None };
        // The bundles of the shop are the models that there are to load.
        let mut more = format!("{BUDGET}models.folder = {shop:?}\nmodels.watch_ms = 0\n");
        if key.is_some() {
            more += &format!("access.keys_file = {:?}\n", state.join("keys.toml"));
        }
        let (server, _) = demo::serve_with(&binary, &library, &site, demo::any_port()?, &more)?;
        for seed in &seeds {
            println!("seed {seed}, {} key", if asks { "with a" } else { "without a" });
            run(&python, &server.url(), seed, key.as_deref())
                .with_context(|| format!("the server's log is in {}", state.display()))?;
        }
    }
    Ok(())
}

fn run(python: &Path, url: &str, seed: &str, key: Option<&str>) -> Result<()> {
    let mut run = Command::new(python);
    let home = crate::root().join("tests/openapi");
    run.args(["-m", "schemathesis.cli", "--config-file"]).arg(home.join("schemathesis.toml"));
    // Where the hooks are.
    run.env("PYTHONPATH", &home).env("PYTHONDONTWRITEBYTECODE", "1");
    run.args(["run", "--no-color", "--seed", seed, "--request-timeout", TIMEOUT]);
    run.args(["--max-examples", EXAMPLES, "--suppress-health-check", "all", "--warnings", "off"]);
    if let Some(key) = key {
        run.arg("--header").arg(format!("Authorization: Bearer {key}"));
    }
    run.arg(format!("{url}/openapi.json"));
    // Its cache of examples lies where it runs.
    process::run(run.current_dir(crate::target().join("schemathesis")))
}

/// A key that may do everything, in the folder's `keys.toml`.
fn new_key(binary: &Path, folder: &Path) -> Result<String> {
    let mut keys = Command::new(binary);
    keys.args(["keys", "new", "--scope", "admin", "--name", "schemathesis", "--append"]);
    let made = keys.arg(folder.join("keys.toml")).output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(String::from_utf8(made.stdout)?.trim().to_owned())
}

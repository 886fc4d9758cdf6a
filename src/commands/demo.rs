//! `plugrank demo`.

use std::{fs, net::SocketAddr, path::Path, time::Instant};

use anyhow::{Context, Result, anyhow};

use super::{Failure, load::load_folder, serve};
use crate::{
    Settings,
    cli::{ConfigArg, DemoArgs, Role},
    demo::{DemoState, Shop, default_state, settings_file},
    reserved_port::ReservedPort,
};

pub(super) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let begun = Instant::now();
    let shop = match &args.shop {
        Some(folder) => Shop::open(folder)?,
        None => Shop::shipped()?,
    };
    let folder = args.state.clone().map_or_else(default_state, Ok)?;
    let folder = fs::create_dir_all(&folder)
        .and_then(|()| fs::canonicalize(&folder))
        .with_context(|| format!("the folder {} cannot be made (--state)", folder.display()))?;
    let config = folder.join("plugrank.toml");
    fs::write(&config, settings_file(&shop, &folder, args.port))
        .with_context(|| format!("cannot write {}", config.display()))?;
    let named = ConfigArg { config: Some(config.clone()) };
    let settings = super::settings::load(&named)?;
    serve::check_bind(Role::All, &settings).map_err(Failure::settings)?;
    let port = ReservedPort::bind(settings.server.bind)
        .map_err(|error| anyhow!("{error:#}; choose another port with --port"))?;
    let state = loaded(&shop, &folder, &settings, args.fresh)?;
    let port = port.announced(Box::new(move |address| {
        println!("Plugrank serves {state} on http://{address}");
        println!("after {:.1} s\n", begun.elapsed().as_secs_f64());
        println!("  playground  http://{address}/");
        println!("  API         http://{address}/docs");
        println!("  settings    {}", config.display());
        println!("\nTry, in another terminal:");
        println!("  plugrank rank {}{}", state.first_user(), elsewhere(address));
        println!(
            "  curl -s http://{address}/v1/rank -H 'content-type: application/json' -d '{{\"user_id\": \"{}\", \"k\": 5}}'",
            state.first_user()
        );
        println!("\nCtrl-C ends it.");
    }));
    serve::start(Role::All, port, settings, named)
}

/// The store holds the shop: as an earlier run left it, or loaded now.
fn loaded(shop: &Shop, folder: &Path, settings: &Settings, fresh: bool) -> Result<DemoState> {
    let digest = shop.digest()?;
    if let Some(state) = DemoState::read(folder).filter(|state| !fresh && state.holds(&digest)) {
        return Ok(state);
    }
    DemoState::forget(folder)?;
    println!("Loading the shop in {} (once)", shop.dataset().display());
    let report = load_folder(settings.clone(), &shop.dataset())?;
    let state = DemoState::new(digest, &report)?;
    state.write(folder)?;
    Ok(state)
}

/// What `rank` must be told about an address that it does not ask by itself.
fn elsewhere(address: SocketAddr) -> String {
    match address.port() {
        8080 => String::new(),
        _ => format!(" --url http://{address}"),
    }
}

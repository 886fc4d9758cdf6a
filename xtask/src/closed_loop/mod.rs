//! `cargo xtask closed-loop`: simulated shoppers browse the shipped shop, and what experiments conclude is held against
//! the truth.

mod days;
mod plot;
mod seeds;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use clap::Subcommand;

use crate::{
    day,
    demo::{self, Build, Server, Site},
    ort_library,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Loop,
}

#[derive(Subcommand)]
enum Loop {
    /// One experiment, PPM against IDRec, over many seeds of the clicks: each begins with the same shop and the same
    /// models. Fails where fewer than 95 of 100 conclude what is true.
    Seeds(seeds::Args),
    /// Days on which items arrive, and after each of which the models go on with the day's log and are activated:
    /// popularity, IDRec and PPM, on all items and on new ones.
    Days(days::Args),
}

/// What both do alike.
#[derive(clap::Args)]
struct Common {
    /// Port of 127.0.0.1 to serve on; any that is free, when left out.
    #[arg(long)]
    port: Option<u16>,
    /// A debug build: slower, and built in less time.
    #[arg(long)]
    debug: bool,
    /// A folder with the programs `plugrank` and `simshop`, in place of building them.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Shoppers that come, at most.
    #[arg(long, default_value_t = 800)]
    shoppers: usize,
    /// Shoppers at a time.
    #[arg(long, default_value_t = 4)]
    threads: usize,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Loop::Seeds(args) => seeds::run(args),
        Loop::Days(args) => days::run(args),
    }
}

/// The shipped shop in a state of its own, loaded and ready to be started.
struct Shop {
    plugrank: PathBuf,
    simshop: PathBuf,
    library: PathBuf,
    dataset: PathBuf,
    bundle: PathBuf,
    site: Site,
    port: u16,
}

impl Shop {
    /// Loads it; `name` is its folder, and `more` are further settings, given that folder.
    fn load(common: &Common, name: &str, more: impl FnOnce(&Path) -> String) -> Result<Self> {
        let library = ort_library::ensure()?;
        let build = if common.debug { Build::Debug } else { Build::Release };
        let (plugrank, simshop) = match &common.programs {
            Some(folder) => (folder.join("plugrank"), folder.join("simshop")),
            None => {
                let simshop = demo::simshop(build)?.get_program().into();
                (demo::build(build)?, simshop)
            }
        };
        let port = common.port.map_or_else(demo::any_port, Ok)?;
        demo::free_port(port)?;
        let model = crate::root().join("models/simshop");
        let (dataset, bundle) = (model.join("dataset"), model.join("bundle"));
        let state = crate::target().join("closed-loop").join(name);
        if state.exists() {
            fs::remove_dir_all(&state)?;
        }
        fs::create_dir_all(&state)?;
        let site = Site::new(dataset.clone(), bundle.clone(), state);
        let more = format!("{}{}experiments.forced_arms = true\n", more(&site.state), day::PATIENT);
        let config = site.config();
        fs::write(&config, demo::settings(&site, port, &library) + &more)?;
        let users = demo::load(&plugrank, &library, &site, &config)?;
        ensure!(!users.is_empty(), "the shop has no shopper");
        Ok(Self { plugrank, simshop, library, dataset, bundle, site, port })
    }

    fn start(&self) -> Result<Server> {
        demo::start(&self.plugrank, &self.site, self.port)
    }

    /// `simshop COMMAND` on the shop that is served.
    fn simshop(&self, command: &str, common: &Common, server: &Server) -> std::process::Command {
        let mut simshop = std::process::Command::new(&self.simshop);
        simshop.arg(command).arg(&self.dataset).args(["--url", &server.url()]);
        simshop.args(["--shoppers", &common.shoppers.to_string()]);
        simshop.args(["--threads", &common.threads.to_string()]);
        simshop
    }
}

//! `plugrank store`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};

use super::Failure;
use crate::{
    cli::{StoreArgs, StoreCommand},
    settings::StoreKind,
};

pub(super) fn run(command: &StoreCommand) -> Result<(), Failure> {
    match command {
        StoreCommand::Compact(args) => {
            let path = path(args)?;
            ensure_there(&path)?;
            let (before, after) = EmbeddedStore::compact(&path).context("not compacted")?;
            println!("{}: {before} bytes before, {after} now", path.display());
        }
        StoreCommand::Backup { store, to } => {
            let path = path(store)?;
            ensure_there(&path)?;
            let store =
                EmbeddedStore::open(&path, EmbeddedOptions::default()).context("not copied")?;
            let rows = store.copy_to(to).context("not copied")?;
            println!("{}: {rows} rows", to.display());
        }
        StoreCommand::Restore { store, from } => {
            let path = path(store)?;
            // Opened first: what is put in place is a store that can be read.
            ensure_there(from)?;
            let copy =
                EmbeddedStore::open(from, EmbeddedOptions::default()).context("not restored")?;
            if path.exists() {
                let path = path.display();
                return Err(anyhow::anyhow!("{path} is there; move it away first").into());
            }
            let rows = copy.copy_to(&path).context("not restored")?;
            println!("{}: {rows} rows", path.display());
        }
    }
    Ok(())
}

/// The file of the store that the settings name.
fn path(args: &StoreArgs) -> Result<PathBuf, Failure> {
    let settings = super::settings::load(&args.config)?;
    if settings.store.kind != StoreKind::Embedded {
        return Err(not_embedded().into());
    }
    Ok(settings.store.path)
}

fn not_embedded() -> anyhow::Error {
    anyhow::anyhow!(
        "store.kind is \"redis\"; compact and copy its servers by their own means (BGREWRITEAOF, BGSAVE)"
    )
}

fn ensure_there(path: &Path) -> Result<()> {
    ensure!(path.is_file(), "{} is not there", path.display());
    Ok(())
}

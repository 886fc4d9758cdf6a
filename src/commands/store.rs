//! `plugrank store`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};

use super::Failure;
use crate::{
    cli::{StoreArgs, StoreCommand},
    server_client::{ServerArg, ServerClient},
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
        StoreCommand::Backup { url: Some(url), key, to, .. } => {
            let server = ServerClient::new(&ServerArg { url: url.clone(), key: key.clone() })?;
            let bytes = backup_of(&server, to)?;
            println!("{}: {bytes} bytes", to.display());
        }
        StoreCommand::Backup { store, to, .. } => {
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

/// Downloads a copy of a running server's store into a new file; how many bytes.
fn backup_of(server: &ServerClient, to: &Path) -> Result<u64> {
    ensure!(!to.exists(), "{} is there already; name another file", to.display());
    let mut partial = to.to_owned().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = || {
        let mut file = File::create(&partial)?;
        let bytes = server.download("/v1/backup", &mut file)?;
        file.sync_all()?;
        fs::rename(&partial, to)?;
        Ok(bytes)
    };
    written().inspect_err(|_: &anyhow::Error| drop(fs::remove_file(&partial)))
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

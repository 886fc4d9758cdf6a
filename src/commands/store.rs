//! `plugrank store`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
use plugrank_store_redis::RedisStore;

use super::Failure;
use crate::{
    cli::{StoreArgs, StoreCommand},
    server_client::ServerClient,
    settings::{StoreKind, StoreOptions},
};

pub(super) fn run(command: &StoreCommand) -> Result<(), Failure> {
    match command {
        StoreCommand::Migrate { store, to_namespace } => {
            let settings = super::settings::load(&store.config)?.store.patient();
            println!("{}", migrate(&settings, to_namespace.as_deref())?);
        }
        StoreCommand::Compact(args) => {
            let path = path(args)?;
            ensure_there(&path)?;
            let (before, after) = EmbeddedStore::compact(&path).context("not compacted")?;
            println!("{}: {before} bytes before, {after} now", path.display());
        }
        StoreCommand::Backup { store, running, to } => {
            if let Some(server) = running.server() {
                let bytes = backup_of(&ServerClient::new(&server)?, to)?;
                println!("{}: {bytes} bytes", to.display());
                return Ok(());
            }
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

/// Brings the store to this version; what happened to it.
fn migrate(settings: &StoreOptions, to: Option<&str>) -> Result<String> {
    match (settings.kind, to) {
        (StoreKind::Embedded, None) => {
            let path = &settings.path;
            ensure_there(path)?;
            let done = EmbeddedStore::migrate(path, settings.popularity_half_life());
            Ok(match done.context("not migrated")? {
                None => format!("{} is of this version already", path.display()),
                Some(done) => format!(
                    "{}: {} rows copied, {} events and {} served lists appended; the file of before is {}",
                    path.display(),
                    done.rows,
                    done.events,
                    done.exposures,
                    done.before.display()
                ),
            })
        }
        (StoreKind::Embedded, Some(_)) => {
            bail!(
                "--to-namespace is for Redis; an embedded store is brought to this version in place"
            )
        }
        (StoreKind::Redis, None) => bail!(
            "name the namespace of the new store with --to-namespace, for example {}-4",
            settings.redis_data.namespace
        ),
        (StoreKind::Redis, Some(to)) => {
            ensure!(
                to != settings.redis_data.namespace,
                "--to-namespace is the namespace there is"
            );
            let (servers, options) = (&settings.redis, settings.redis_data());
            let runtime = tokio::runtime::Runtime::new()?;
            let done = runtime.block_on(RedisStore::migrate(servers, options, to));
            let done = done.context("not migrated")?;
            Ok(format!(
                "namespace {to}: {} items, {} users, {} entries of histories, {} events; set \
                 store.redis_data.namespace = \"{to}\", and remove what is in the other once it is not needed",
                done.items, done.users, done.history, done.events
            ))
        }
    }
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

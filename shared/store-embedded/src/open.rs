//! Opening the file: creating it, telling what it is, checking its version.

use std::{
    fmt::Debug,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use plugrank_store::{StoreError, schema3};
use redb::{Builder, Database, ReadableDatabase, TableDefinition, TableError, WriteTransaction};

use crate::{
    EmbeddedOptions, catalog, changes, error, error::Failure, events, exposures, history, migrate,
    stats, users,
};

/// Version of tables, keys and values. A change to any of them raises it.
pub(crate) const SCHEMA_VERSION: u64 = 5;

pub(crate) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub(crate) const SCHEMA_KEY: &str = "schema_version";

/// Opens the storage below the tables. A second implementation exists in tests only: a disk that
/// can be full.
pub(crate) trait Disk: Debug + Send + Sync + 'static {
    /// Opens or creates the database in the file `path`.
    fn open(&self, builder: &Builder, path: &Path) -> Result<Database, redb::DatabaseError>;
}

/// The file system.
#[derive(Debug)]
pub(crate) struct FileSystem;

impl Disk for FileSystem {
    fn open(&self, builder: &Builder, path: &Path) -> Result<Database, redb::DatabaseError> {
        builder.create(path)
    }
}

/// Opens one file, as often as needed.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) path: PathBuf,
    pub(crate) options: EmbeddedOptions,
    pub(crate) disk: Box<dyn Disk>,
}

impl Opener {
    /// Opens the file, creating it and its directory where they are missing.
    pub(crate) fn open(&self) -> Result<Database, StoreError> {
        let path = &self.path;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(|error| error::from_io(&error, parent))?;
        }
        // redb may panic on a file that was damaged after it had been closed.
        error::caught(|| {
            let mut builder = Database::builder();
            builder
                .set_cache_size(self.options.page_cache_mb << 20)
                .set_check_integrity_on_open(self.options.verify_on_open);
            let shown = path.display().to_string();
            let (begun, verified) = (Instant::now(), Arc::new(AtomicBool::new(false)));
            let told = Arc::clone(&verified);
            builder.set_repair_callback(move |session| {
                told.store(true, Ordering::Relaxed);
                tracing::warn!(
                    path = shown,
                    progress = session.progress(),
                    "store was not closed cleanly, verifying it"
                );
            });
            let database = self.disk.open(&builder, path)?;
            if verified.load(Ordering::Relaxed) {
                let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
                let seconds = begun.elapsed().as_secs_f64();
                tracing::warn!(seconds, mb = bytes >> 20, "every page of the store was verified");
            }
            Ok(database)
        })
        .map_err(|failure| failure.into_store_error(path))
        .and_then(|database| {
            self.check_schema(&database)?;
            Ok(database)
        })
    }

    fn check_schema(&self, database: &Database) -> Result<(), StoreError> {
        let found = error::caught(|| stored_schema(database))
            .map_err(|failure| failure.into_store_error(&self.path))?;
        match found {
            Schema::Version(SCHEMA_VERSION) => error::caught(|| begin_log(database))
                .map_err(|failure| failure.into_store_error(&self.path)),
            Schema::Version(older @ (schema3::VERSION | migrate::SCHEMA_4)) => {
                Err(StoreError::Corrupt(format!(
                    "{} was written by a version before this one (schema {older}); stop what uses it and \
                     run `plugrank store migrate`, which keeps the file as it is beside the new one",
                    self.path.display(),
                )))
            }
            Schema::Version(other) => Err(StoreError::Corrupt(format!(
                "{} has schema version {other}, this program reads {SCHEMA_VERSION}; use the \
                 program that wrote it, or load the data into a new store",
                self.path.display()
            ))),
            Schema::Foreign => Err(StoreError::Corrupt(format!(
                "{} is a database of another program; choose another path",
                self.path.display()
            ))),
            Schema::Empty => error::caught(|| create(database))
                .map_err(|failure| failure.into_store_error(&self.path)),
        }
    }
}

pub(crate) enum Schema {
    Empty,
    Foreign,
    Version(u64),
}

pub(crate) fn stored_schema(database: &Database) -> Result<Schema, Failure> {
    let txn = database.begin_read()?;
    match txn.open_table(META) {
        Ok(meta) => Ok(meta
            .get(SCHEMA_KEY)?
            .map_or(Schema::Foreign, |version| Schema::Version(version.value()))),
        Err(TableError::TableDoesNotExist(_)) => {
            let tables = txn.list_tables()?.count() + txn.list_multimap_tables()?.count();
            Ok(if tables == 0 { Schema::Empty } else { Schema::Foreign })
        }
        Err(TableError::TableTypeMismatch { .. }) => Ok(Schema::Foreign),
        Err(error) => Err(error.into()),
    }
}

fn create(database: &Database) -> Result<(), Failure> {
    let txn = database.begin_write()?;
    create_tables(&txn)?;
    txn.open_table(META)?.insert(SCHEMA_KEY, SCHEMA_VERSION)?;
    txn.commit()?;
    Ok(())
}

/// Begins the log of changes in a store that a program without one made.
fn begin_log(database: &Database) -> Result<(), Failure> {
    if changes::exists(&database.begin_read()?)? {
        return Ok(());
    }
    let txn = database.begin_write()?;
    changes::create(&txn)?;
    txn.commit()?;
    Ok(())
}

/// Creates every table (a table of vectors is created when its space is first written), so that
/// readers always find them.
pub(crate) fn create_tables(txn: &WriteTransaction) -> Result<(), Failure> {
    txn.open_table(catalog::ITEMS)?;
    txn.open_table(catalog::IMAGES)?;
    txn.open_table(users::USERS)?;
    txn.open_table(history::HISTORY)?;
    txn.open_table(events::EVENT_IDS)?;
    txn.open_table(events::EVENTS)?;
    txn.open_table(events::SHOWINGS)?;
    txn.open_table(exposures::EXPOSURE_LOG)?;
    txn.open_table(exposures::EXPOSED_USERS)?;
    txn.open_table(stats::STATS)?;
    txn.open_table(stats::LOADED_STATS)?;
    txn.open_table(stats::NEIGHBOURS)?;
    changes::create(txn)
}

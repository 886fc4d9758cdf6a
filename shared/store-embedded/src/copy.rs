//! A copy of the store in a file of its own: what is in it now, and nothing of what was deleted.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use plugrank_store::StoreError;
use redb::{
    Database, Key, ReadTransaction, ReadableTable, TableDefinition, TableError, TableHandle, Value,
};

use crate::{
    catalog, changes, database::Handle, documents, error, error::Failure, events, exposures,
    history, open, stats, users,
};

/// Rows copied in one transaction.
const CHUNK: usize = 50_000;

/// Copies everything that one snapshot sees into a new file; how many rows.
///
/// # Errors
/// There is a file already, or it cannot be written.
pub(crate) fn copy(txn: &ReadTransaction, to: &Path) -> Result<u64, Failure> {
    Copy::new(txn, to)?.all()
}

/// Copies an open store into a new file of its folder, and names that.
///
/// # Errors
/// It cannot be written; then nothing is left of it.
pub(crate) fn beside(database: &Handle) -> Result<PathBuf, StoreError> {
    static COPIES: AtomicU64 = AtomicU64::new(0);
    let mut name = database.path().to_owned().into_os_string();
    name.push(format!(".copy-{}-{}", std::process::id(), COPIES.fetch_add(1, Ordering::Relaxed)));
    let to = PathBuf::from(name);
    let copied = database.read(|txn| {
        // A second try begins anew.
        let _ = std::fs::remove_file(&to);
        copy(txn, &to)
    });
    copied.map(|_| to.clone()).inspect_err(|_| drop(std::fs::remove_file(&to)))
}

/// A copy on its way.
pub(crate) struct Copy<'a> {
    from: &'a ReadTransaction,
    pub(crate) to: Database,
    pub(crate) rows: u64,
}

impl<'a> Copy<'a> {
    /// Into a new file.
    pub(crate) fn new(from: &'a ReadTransaction, to: &Path) -> Result<Self, Failure> {
        Ok(Self { from, to: Database::create(to)?, rows: 0 })
    }

    fn all(mut self) -> Result<u64, Failure> {
        self.catalog_and_users()?;
        self.events()?;
        self.table(exposures::EXPOSURE_LOG)?;
        self.table(exposures::EXPOSED_USERS)?;
        // Last: a file without it is no store.
        self.table(open::META)?;
        Ok(self.rows)
    }

    /// All but events, served lists, statistics, and the version.
    pub(crate) fn catalog_and_users(&mut self) -> Result<(), Failure> {
        self.table(catalog::ITEMS)?;
        self.table(catalog::IMAGES)?;
        self.table(users::USERS)?;
        self.table(history::HISTORY)?;
        self.table(stats::NEIGHBOURS)?;
        self.table(changes::CHANGES)?;
        self.table(changes::LOG)?;
        self.table(documents::DOCUMENTS)?;
        let names: Vec<String> =
            self.from.list_tables()?.map(|table| table.name().to_owned()).collect();
        for name in names.iter().filter(|name| name.starts_with(crate::vectors::PREFIX)) {
            self.table(TableDefinition::<&[u8], &[u8]>::new(name))?;
        }
        Ok(())
    }

    /// Events, and what was counted of them.
    pub(crate) fn events(&mut self) -> Result<(), Failure> {
        self.table(events::EVENT_IDS)?;
        self.table(events::EVENTS)?;
        self.table(events::SHOWINGS)?;
        self.table(stats::STATS)?;
        self.table(stats::LOADED_STATS)
    }

    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<(), Failure> {
        let from = match self.from.open_table(definition) {
            Ok(from) => from,
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut rows = from.iter()?;
        loop {
            let txn = self.to.begin_write()?;
            let mut written = 0;
            {
                let mut to = txn.open_table(definition)?;
                for row in rows.by_ref().take(CHUNK) {
                    let (key, value) = row?;
                    to.insert(key.value(), value.value())?;
                    written += 1;
                }
            }
            txn.commit()?;
            self.rows += written as u64;
            if written < CHUNK {
                return Ok(());
            }
        }
    }
}

/// Copies a store that is not in use into a new file of the same folder and puts it in its place, so
/// that nothing of what was deleted is left in its bytes; how many it had before and has now.
pub(crate) fn compact(
    path: &Path,
    open: impl FnOnce() -> Result<Database, StoreError>,
) -> Result<(u64, u64), StoreError> {
    let mut beside = path.to_owned().into_os_string();
    beside.push(".compacting");
    let beside = std::path::PathBuf::from(beside);
    let io = |error: std::io::Error| error::from_io(&error, path);
    let size = |path: &Path| std::fs::metadata(path).map(|about| about.len()).map_err(io);
    let before = size(path)?;
    // What an earlier attempt left.
    if beside.exists() {
        std::fs::remove_file(&beside).map_err(io)?;
    }
    let database = open()?;
    let copied = error::caught(|| {
        let txn = redb::ReadableDatabase::begin_read(&database)?;
        copy(&txn, &beside)
    });
    copied.map_err(|failure| failure.into_store_error(path))?;
    let after = size(&beside)?;
    drop(database);
    std::fs::rename(&beside, path).map_err(io)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    }
    Ok((before, after))
}

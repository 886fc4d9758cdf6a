//! The open database, and opening it anew after a failure of the disk.

use std::{path::Path, sync::Arc};

use parking_lot::RwLock;
use plugrank_store::StoreError;
use redb::{Database, ReadTransaction, ReadableDatabase};

use crate::{
    error::{Failure, caught},
    open::Opener,
};

/// Rows that are read, or made ready, where the caller runs. More go to a thread for blocking
/// work, so that no async thread is held for long.
pub(crate) const INLINE_ROWS: usize = 256;

/// The database in one file.
///
/// After an I/O error (a full disk, say) redb refuses all work until the file is opened again.
/// This does so, at once and, should that fail, with the next call.
#[derive(Debug)]
pub(crate) struct Handle {
    slot: RwLock<Slot>,
    opener: Opener,
}

#[derive(Debug)]
struct Slot {
    /// `None` while the file could not be opened again.
    database: Option<Database>,
    /// Times the file was opened again.
    generation: u64,
    /// Whether it was closed for good.
    closed: bool,
}

impl Handle {
    /// Opens the file.
    pub(crate) fn open(opener: Opener) -> Result<Self, StoreError> {
        let database = opener.open()?;
        Ok(Self {
            slot: RwLock::new(Slot { database: Some(database), generation: 0, closed: false }),
            opener,
        })
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.opener.path
    }

    /// Reads in one snapshot. Tried twice when the first try finds the database broken by an
    /// earlier failure.
    pub(crate) fn read<T>(
        &self,
        work: impl Fn(&ReadTransaction) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let attempt = || self.with(|database| work(&database.begin_read()?));
        let outcome = match attempt() {
            Err(With::Failed(failure)) if failure.breaks_database() => attempt(),
            outcome => outcome,
        };
        outcome.map_err(|error| error.into_store_error(self.path()))
    }

    /// [`Self::read`], here or on a thread for blocking work, by the number of rows.
    pub(crate) async fn read_rows<T: Send + 'static>(
        self: &Arc<Self>,
        rows: usize,
        work: impl Fn(&ReadTransaction) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        if rows <= INLINE_ROWS {
            return self.read(work);
        }
        let database = Arc::clone(self);
        tokio::task::spawn_blocking(move || database.read(work))
            .await
            .map_err(|error| StoreError::Unavailable(format!("reading was cut short: {error}")))?
    }

    /// Works on the database; opens it again where the work finds it broken.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Failure>,
    ) -> Result<T, With> {
        let (outcome, generation) = {
            let mut slot = self.slot.read();
            if slot.database.is_none() {
                let generation = slot.generation;
                drop(slot);
                self.reopen(generation).map_err(With::Closed)?;
                slot = self.slot.read();
            }
            let Some(database) = &slot.database else {
                return Err(With::Closed(StoreError::Unavailable(format!(
                    "{} could not be opened again",
                    self.path().display()
                ))));
            };
            (caught(|| work(database)), slot.generation)
        };
        outcome.map_err(|failure| {
            if failure.breaks_database() {
                tracing::error!(path = %self.path().display(), ?failure, "store failed, opening it again");
                if let Err(error) = self.reopen(generation) {
                    tracing::error!(%error, "store could not be opened again, will be tried with the next call");
                }
            }
            With::Failed(failure)
        })
    }

    /// Opens the file again, unless another call did since `generation`.
    fn reopen(&self, generation: u64) -> Result<(), StoreError> {
        let mut slot = self.slot.write();
        if slot.closed {
            return Err(StoreError::Unavailable(format!("{} was closed", self.path().display())));
        }
        if slot.generation != generation {
            return Ok(());
        }
        // The old one must be closed first: it holds the lock on the file.
        if let Some(broken) = slot.database.take()
            && let Err(error) = broken.close()
        {
            tracing::debug!(%error, "closing the broken store");
        }
        slot.database = Some(self.opener.open()?);
        slot.generation += 1;
        Ok(())
    }
}

impl Handle {
    /// Closes the file for good, once what reads it now is done.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let database = {
            let mut slot = self.slot.write();
            slot.closed = true;
            slot.database.take()
        };
        let Some(database) = database else { return Ok(()) };
        caught(|| Ok(database.close()?)).map_err(|failure| failure.into_store_error(self.path()))
    }
}

/// Why [`Handle::with`] gave no answer.
#[derive(Debug)]
pub(crate) enum With {
    /// There is no open database.
    Closed(StoreError),
    /// The work failed.
    Failed(Failure),
}

impl With {
    /// For the caller of the store in `path`.
    pub(crate) fn into_store_error(self, path: &Path) -> StoreError {
        match self {
            Self::Closed(error) => error,
            Self::Failed(failure) => failure.into_store_error(path),
        }
    }
}

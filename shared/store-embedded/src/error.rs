//! What redb's errors mean to the store's callers.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use plugrank_store::StoreError;

/// Why work on the database failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// redb reported it.
    Engine(redb::Error),
    /// A value does not read as what its table holds.
    Unreadable(String),
    /// redb panicked, which it does on some damaged files.
    Panicked,
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Engine(error.into())
    }
}

impl Failure {
    /// A value of `table` cannot be decoded.
    pub(crate) fn unreadable(table: &str, cause: impl std::fmt::Display) -> Self {
        Self::Unreadable(format!("a value of table {table} does not decode: {cause}"))
    }

    /// Whether redb refuses further work until the file is opened anew.
    pub(crate) fn breaks_database(&self) -> bool {
        use redb::Error as E;
        match self {
            Self::Engine(
                E::Io(_) | E::Backend(_) | E::PreviousIo | E::DatabaseClosed | E::LockPoisoned(_),
            )
            | Self::Panicked => true,
            Self::Engine(_) | Self::Unreadable(_) => false,
        }
    }

    /// Whether the fault may lie in one job of a batch, so that the others deserve another try.
    pub(crate) fn may_be_one_jobs_fault(&self) -> bool {
        !self.breaks_database() || matches!(self, Self::Panicked)
    }

    /// For the caller of the store in `path`.
    pub(crate) fn into_store_error(self, path: &Path) -> StoreError {
        use redb::Error as E;
        let shown = path.display();
        match self {
            Self::Engine(E::Io(error)) => from_io(&error, path),
            Self::Engine(E::DatabaseAlreadyOpen) => StoreError::Unavailable(format!(
                "{shown} is in use by another process (or by another store of this one); stop it, \
                 or choose another path"
            )),
            Self::Engine(E::UpgradeRequired(version)) => StoreError::Corrupt(format!(
                "{shown} has file format {version}, written by an older version; load the data \
                 into a new store"
            )),
            Self::Engine(E::ValueTooLarge(bytes)) => StoreError::Unavailable(format!(
                "a value of {bytes} bytes is too large for {shown}; store a smaller one"
            )),
            Self::Engine(
                error @ (E::Backend(_)
                | E::PreviousIo
                | E::DatabaseClosed
                | E::LockPoisoned(_)
                | E::LockProtocolMismatch
                | E::Unsupported),
            ) => StoreError::Unavailable(format!("{shown}: {error}")),
            Self::Engine(error) => damaged(path, &error),
            Self::Unreadable(what) => damaged(path, &what),
            Self::Panicked => damaged(path, &"the database engine panicked while reading it"),
        }
    }
}

/// An error of the file system.
pub(crate) fn from_io(error: &io::Error, path: &Path) -> StoreError {
    use io::ErrorKind as K;
    let shown = path.display();
    match error.kind() {
        K::StorageFull | K::QuotaExceeded | K::FileTooLarge => StoreError::Unavailable(format!(
            "no room left for {shown} ({error}); free some space, then repeat the call"
        )),
        K::PermissionDenied | K::ReadOnlyFilesystem => StoreError::Unavailable(format!(
            "no permission to read and write {shown} ({error}); give this process's user both \
             on the file and its directory"
        )),
        K::IsADirectory => StoreError::Unavailable(format!(
            "{shown} is a directory; name a file in it, such as {}",
            path.join("store.redb").display()
        )),
        K::InvalidData | K::UnexpectedEof => damaged(path, error),
        _ => StoreError::Unavailable(format!("{shown}: {error}")),
    }
}

fn damaged(path: &Path, cause: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!(
        "{} is damaged or not a store ({cause}); restore a copy, or move it away and load the \
         data again",
        path.display()
    ))
}

/// Runs `work`, turning a panic (redb's answer to some damage) into a failure.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // What `work` touches is a transaction that ends with it, or a database then opened anew.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Failure::Panicked))
}

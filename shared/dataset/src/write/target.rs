//! Where a table is written.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Where a table is written: its file in a folder, or a stream.
pub enum TableTarget {
    /// The folder; the file has the name of the table.
    Folder(PathBuf),
    /// A writer that takes the bytes as they come.
    Stream(Box<dyn Write + Send>),
}

impl TableTarget {
    /// The file, as errors name it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(name),
            Self::Stream(_) => PathBuf::from(name),
        }
    }
}

impl From<&Path> for TableTarget {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_owned())
    }
}

impl From<&PathBuf> for TableTarget {
    fn from(folder: &PathBuf) -> Self {
        Self::Folder(folder.clone())
    }
}

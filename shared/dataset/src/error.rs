//! What can be wrong with a dataset folder.

use std::path::{Path, PathBuf};

use crate::{DatasetRule, problems::FolderProblems};

/// A dataset folder cannot be read or written. Rows count from 0.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file that the folder must have is not there.
    #[error(
        "{path}: there is no such file; a dataset folder needs items.parquet, users.parquet, \
         interactions.parquet and dataset.json (docs/dataset-format.md)"
    )]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are no parquet file that can be read or written.
    #[error("{path}: not a readable parquet file ({message}); write it again")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the parquet reader said.
        message: String,
    },
    /// A file could not be written.
    #[error("{path}: cannot be written ({message})")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the parquet writer said.
        message: String,
    },
    /// A column that must be there is not.
    #[error("{path}: column `{column}` is missing; add it as {wanted}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The type it should have.
        wanted: &'static str,
    },
    /// Two columns have one name.
    #[error("{path}: there are several columns `{column}`; keep one")]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A column has a type that cannot be read as what it should hold.
    #[error("{path}: column `{column}` is {found}; write it as {wanted}")]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The type it has.
        found: String,
        /// The type it should have.
        wanted: &'static str,
    },
    /// One value is wrong.
    #[error("{path}: column `{column}`, row {row}: {problem}")]
    Value {
        /// Which rule it breaks.
        rule: DatasetRule,
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The row, from 0.
        row: u64,
        /// What is wrong, and the fix.
        problem: String,
    },
    /// An image cannot be used.
    #[error("image `{image}`: {problem}")]
    Image {
        /// The path in the `image` column.
        image: String,
        /// What is wrong, and the fix.
        problem: String,
    },
    /// All that is wrong with a folder.
    #[error("{0}")]
    Problems(FolderProblems),
    /// `dataset.json` cannot be used.
    #[error("{path}: {problem}")]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the fix.
        problem: String,
    },
}

impl DatasetError {
    /// All problems as an error, where there are any.
    pub(crate) fn any(problems: FolderProblems) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self::Problems(problems)) }
    }

    /// Counts it among the problems of `file`.
    pub(crate) fn add_to(&self, problems: &mut FolderProblems, file: &str) {
        let place = (file, self.column().unwrap_or_default());
        match self {
            Self::Value { row, problem, .. } => {
                problems.add(place, self.rule(), || problem.clone(), Some(*row));
            }
            other => problems.add(place, self.rule(), || other.to_string(), None),
        }
    }

    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::NotFound {
            Self::MissingFile { path: path.to_owned() }
        } else {
            Self::Io { path: path.to_owned(), source }
        }
    }

    /// The file is no parquet file, or not a whole one.
    pub(crate) fn damaged(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self::Parquet { path: path.to_owned(), message: error.to_string() }
    }

    /// The rule that is broken.
    #[must_use]
    pub fn rule(&self) -> DatasetRule {
        match self {
            Self::MissingFile { .. } => DatasetRule::File,
            Self::Io { .. }
            | Self::Parquet { .. }
            | Self::Write { .. }
            | Self::Meta { .. }
            | Self::Problems(_) => DatasetRule::Readable,
            Self::MissingColumn { .. } => DatasetRule::Column,
            Self::DuplicateColumn { .. } => DatasetRule::Duplicate,
            Self::ColumnType { .. } => DatasetRule::Type,
            Self::Value { rule, .. } => *rule,
            Self::Image { .. } => DatasetRule::Image,
        }
    }

    /// The column it is about, where it is about one.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::MissingColumn { column, .. }
            | Self::DuplicateColumn { column, .. }
            | Self::ColumnType { column, .. }
            | Self::Value { column, .. } => Some(column),
            _ => None,
        }
    }

    pub(crate) fn value(
        path: &Path,
        column: &str,
        row: u64,
        rule: DatasetRule,
        problem: impl Into<String>,
    ) -> Self {
        Self::Value {
            rule,
            path: path.to_owned(),
            column: column.to_owned(),
            row,
            problem: problem.into(),
        }
    }
}

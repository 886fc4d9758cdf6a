//! Why a bundle is refused.

use std::path::PathBuf;

use crate::GraphName;

/// Why a bundle is refused. Every message names the file or key and what would fix it.
///
/// ```
/// use std::path::Path;
///
/// use plugrank_bundle::{Bundle, BundleError};
///
/// let error = Bundle::open(Path::new("no/such/bundle")).unwrap_err();
/// assert!(matches!(&error, BundleError::Missing { path } if path.ends_with("manifest.json")));
/// assert!(error.to_string().ends_with("export or copy it again"));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file that must be there is missing.
    #[error("{path} is missing from the bundle; export or copy it again", path = path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The manifest is not what the format says.
    #[error("manifest.json, at `{key}`: {message}")]
    Manifest {
        /// Path of the key.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// A file is named that does not lie inside the folder.
    #[error(
        "manifest.json lists `{file}`, which lies outside the bundle's folder; a file of the \
         bundle has a plain relative path and is no link to another folder"
    )]
    Outside {
        /// Which file.
        file: String,
    },
    /// A graph input names a source that cannot fill it.
    #[error(
        "manifest.json: input `{input}` of {graph} cannot come from `{found}`; inputs of {graph} \
         come from {allowed}",
        allowed = graph.sources().join(", ")
    )]
    Source {
        /// Which graph.
        graph: GraphName,
        /// Which input.
        input: String,
        /// The source it names.
        found: String,
    },
    /// The manifest's format is another.
    #[error(
        "manifest.json has format {found}; this version of Plugrank reads formats 1 to \
         {expected}"
    )]
    Format {
        /// What it has.
        found: u64,
        /// What can be read.
        expected: u32,
    },
    /// A file has another size than the manifest says.
    #[error(
        "{file} has {found} bytes and not {expected}: it was changed or cut off after the export; export the bundle again"
    )]
    Size {
        /// Which file.
        file: String,
        /// What the manifest says.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// A file has another checksum than the manifest says.
    #[error(
        "the SHA-256 of {file} is {found} and not {expected}: it was changed after the export; export the bundle again"
    )]
    Checksum {
        /// Which file.
        file: String,
        /// What the manifest says.
        expected: String,
        /// What it has.
        found: String,
    },
    /// A vocabulary, tokenizer or other file is not what it should be.
    #[error("{file}: {message}")]
    Content {
        /// Which file.
        file: String,
        /// What is wrong.
        message: String,
    },
}

impl BundleError {
    pub(crate) fn manifest(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Manifest { key: key.into(), message: message.into() }
    }
}

//! Copies of the small bundle that a test may corrupt.

use std::{
    fs,
    path::{Path, PathBuf},
};

use plugrank_bundle::{Bundle, BundleError};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Path of something in `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The small bundle as it was committed.
pub(crate) fn small() -> Bundle {
    Bundle::open(&fixture("small")).unwrap()
}

/// A copy of the small bundle.
pub(crate) struct BundleCopy {
    folder: TempDir,
}

impl BundleCopy {
    pub(crate) fn new() -> Self {
        Self::from("small")
    }

    /// A copy of another bundle among the fixtures.
    pub(crate) fn from(bundle: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&fixture(bundle), folder.path());
        Self { folder }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn manifest(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("manifest.json")).unwrap()).unwrap()
    }

    /// Changes the manifest.
    pub(crate) fn edit(self, change: impl FnOnce(&mut Value)) -> Self {
        let mut manifest = self.manifest();
        change(&mut manifest);
        fs::write(self.path("manifest.json"), manifest.to_string()).unwrap();
        self
    }

    /// Writes a file and lists it with its new size and checksum.
    pub(crate) fn write(self, file: &str, content: &[u8]) -> Self {
        fs::write(self.path(file), content).unwrap();
        let sum: String = Sha256::digest(content).iter().map(|x| format!("{x:02x}")).collect();
        let entry = json!({ "sha256": sum, "bytes": content.len() });
        self.edit(|manifest| manifest["files"][file] = entry)
    }

    pub(crate) fn open(&self) -> Result<Bundle, BundleError> {
        Bundle::open(self.folder.path())
    }

    /// The message with which the bundle is refused.
    pub(crate) fn refused(&self) -> String {
        self.open().map(|_| "it was opened").unwrap_err().to_string()
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

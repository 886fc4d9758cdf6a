//! Copies of bundles that a test may change.

use std::{fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::site::repository;

/// A copy of the shipped bundle.
pub(crate) fn copy_of_bundle() -> TempDir {
    let folder = TempDir::new().unwrap();
    copy(&repository("models/simshop/bundle"), folder.path());
    folder
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Changes a bundle's manifest.
pub(crate) fn edit_manifest(bundle: &Path, edit: impl FnOnce(&mut Value)) {
    let path = bundle.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut manifest);
    fs::write(path, serde_json::to_vec_pretty(&manifest).unwrap()).unwrap();
}

/// Lists a file with the size and checksum that it has now.
pub(crate) fn list(bundle: &Path, file: &str) {
    let content = fs::read(bundle.join(file)).unwrap();
    let sum: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let entry = json!({"sha256": sum, "bytes": content.len()});
    edit_manifest(bundle, |manifest| manifest["files"][file] = entry);
}

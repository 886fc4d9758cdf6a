//! Which bundles in the folder of models are whole.

use std::{collections::BTreeMap, fs, io, path::Path, time::UNIX_EPOCH};

use plugrank_gateway::BundleFolder;
use serde::Deserialize;

/// What of a manifest says whether the files beside it are all there.
#[derive(Deserialize)]
struct Listed {
    files: BTreeMap<String, Size>,
}

#[derive(Deserialize)]
struct Size {
    bytes: u64,
}

/// Folders that have a manifest and each file it lists in its size. A name that begins with a dot is one
/// that is still to be renamed. Checksums are checked when a bundle is opened.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn bundles(models: &Path) -> io::Result<Vec<BundleFolder>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(models)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.starts_with('.') || !path.is_dir() {
            continue;
        }
        // What changes while it is looked at is not whole.
        if let Some(mark) = whole(&path) {
            found.push(BundleFolder { name: name.to_owned(), mark });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

fn whole(folder: &Path) -> Option<u64> {
    let manifest = fs::read(folder.join("manifest.json")).ok()?;
    let Listed { files } = serde_json::from_slice(&manifest).ok()?;
    let mut hash = blake3::Hasher::new();
    hash.update(&manifest);
    for (name, Size { bytes }) in files {
        let file = fs::metadata(folder.join(name)).ok()?;
        if !file.is_file() || file.len() != bytes {
            return None;
        }
        let changed = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        hash.update(&changed.as_nanos().to_le_bytes());
    }
    let [a, b, c, d, e, f, g, h, ..] = *hash.finalize().as_bytes();
    Some(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_bundles_are_not_listed() {
        let models = tempfile::tempdir().unwrap();
        let at = |path: &str| models.path().join(path);
        let names = || {
            let found = bundles(models.path()).unwrap();
            found.into_iter().map(|one| one.name).collect::<Vec<_>>()
        };
        fs::write(at("a-file"), "x").unwrap();
        for folder in ["one", ".two", "three"] {
            fs::create_dir(at(folder)).unwrap();
        }
        fs::write(at("one/graph.onnx"), "1234").unwrap();
        assert!(names().is_empty(), "no manifest yet");
        let manifest = r#"{"version": "1", "files": {"graph.onnx": {"sha256": "", "bytes": 5}}}"#;
        for folder in ["one", ".two"] {
            fs::write(at(folder).join("manifest.json"), manifest).unwrap();
        }
        assert!(names().is_empty(), "a file is too short");
        fs::write(at("one/graph.onnx"), "12345").unwrap();
        fs::write(at(".two/graph.onnx"), "12345").unwrap();
        assert_eq!(names(), ["one"], "the other is to be renamed");
        let mark = bundles(models.path()).unwrap()[0].mark;
        fs::write(at("one/manifest.json"), manifest.replace("\"1\"", "\"2\"")).unwrap();
        assert_ne!(bundles(models.path()).unwrap()[0].mark, mark);
        fs::remove_file(at("one/graph.onnx")).unwrap();
        assert!(names().is_empty());
    }
}

//! Opening a bundle: nothing is used before everything has been checked.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    path::{Component, Path, PathBuf},
};

use serde::{
    Deserialize,
    de::{IntoDeserializer, value::Error as ValueError},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    BundleError, Calibration, GraphName, GraphSpec, InputSource, ItemRecordLayout, Manifest,
    external_data,
    manifest::{CLICK, FORMAT, FileEntry, OLD_FORMAT},
    preprocess, rules,
};

/// What some editors put before a text in UTF-8.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// A bundle whose files are those of its manifest.
///
/// ```
/// use std::path::Path;
///
/// use plugrank_bundle::Bundle;
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/simshop/bundle");
/// let bundle = Bundle::open(Path::new(folder)).unwrap();
/// assert_eq!(bundle.version(), bundle.manifest().version);
/// let error = Bundle::open(Path::new("no/such/bundle")).unwrap_err().to_string();
/// assert!(error.contains("manifest.json is missing"), "{error}");
/// ```
#[derive(Clone, Debug)]
pub struct Bundle {
    folder: PathBuf,
    manifest: Manifest,
    record: ItemRecordLayout,
}

impl Bundle {
    /// Reads the manifest and checks it and every file against it.
    ///
    /// # Errors
    /// As [`BundleError`] says.
    pub fn open(folder: &Path) -> Result<Self, BundleError> {
        let manifest = read_manifest(folder)?;
        let home = folder.canonicalize().map_err(|error| unreadable(folder.into(), error))?;
        for (name, entry) in &manifest.files {
            check_file(&home, name, entry)?;
        }
        rules::check(&manifest)?;
        for graph in manifest.graphs.values() {
            check_external_data(&home, &manifest, &graph.file)?;
        }
        let record = ItemRecordLayout::from_manifest(&manifest)?;
        Ok(Self { folder: folder.to_owned(), manifest, record })
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Version of the bundle.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.manifest.version
    }

    /// What modal vectors are cached by: the encoders, and the code that feeds them.
    #[must_use]
    pub fn modal_version(&self) -> String {
        format!("{}-{}", self.manifest.encoder_version, preprocess::VERSION)
    }

    /// What an item record consists of.
    #[must_use]
    pub fn record(&self) -> &ItemRecordLayout {
        &self.record
    }

    /// A graph's description, when the bundle has it.
    #[must_use]
    pub fn graph(&self, name: GraphName) -> Option<&GraphSpec> {
        self.manifest.graphs.get(&name)
    }

    /// Path of a file of the bundle.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Path of a graph's file, when the bundle has it.
    #[must_use]
    pub fn graph_path(&self, name: GraphName) -> Option<PathBuf> {
        self.graph(name).map(|graph| self.path(&graph.file))
    }

    /// Calibration of a task's output of a graph; the sigmoid alone when it has none.
    #[must_use]
    pub fn calibration(&self, name: GraphName, task: &str) -> Calibration {
        let of_graph = self.manifest.calibration.get(&name);
        of_graph.and_then(|tasks| tasks.get(task)).cloned().unwrap_or_default()
    }
}

#[cfg(fuzzing)]
impl Manifest {
    /// Reads a manifest and checks it as [`Bundle::open`] does, without its files.
    ///
    /// # Errors
    /// As [`BundleError`] says.
    pub fn parse(text: &str) -> Result<Self, BundleError> {
        let manifest = parse_manifest(text)?;
        rules::check(&manifest)?;
        ItemRecordLayout::from_manifest(&manifest)?;
        Ok(manifest)
    }
}

fn read_manifest(folder: &Path) -> Result<Manifest, BundleError> {
    let path = folder.join("manifest.json");
    let text = fs::read_to_string(&path).map_err(|error| unreadable(path, error))?;
    parse_manifest(&text)
}

fn parse_manifest(text: &str) -> Result<Manifest, BundleError> {
    if text.starts_with(BYTE_ORDER_MARK) {
        let message = "begins with a byte order mark; save it as UTF-8 without one".to_owned();
        return Err(BundleError::Content { file: "manifest.json".to_owned(), message });
    }
    let mut value: Value = serde_json::from_str(text)
        .map_err(|error| BundleError::manifest(".", error.to_string()))?;
    match value["format"].as_u64() {
        Some(found) if found == u64::from(OLD_FORMAT) => renew(&mut value),
        Some(found) if found != u64::from(FORMAT) => {
            return Err(BundleError::Format { found, expected: FORMAT });
        }
        Some(_) => {}
        None => {
            let message = format!("there is no such number; this is format {FORMAT}");
            return Err(BundleError::manifest("format", message));
        }
    }
    check_sources(&value)?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        BundleError::manifest(error.path().to_string(), error.into_inner().to_string())
    })
}

/// Brings a manifest of the format before into this one: there was one task, and calibrations were a
/// graph's.
fn renew(manifest: &mut Value) {
    manifest["format"] = FORMAT.into();
    let calibration = manifest.get_mut("calibration").and_then(Value::as_object_mut);
    for of_graph in calibration.into_iter().flat_map(|graphs| graphs.values_mut()) {
        *of_graph = serde_json::json!({ CLICK: of_graph.take() });
    }
}

/// Finds sources that do not exist before the keys are read one by one: that reading would know an
/// input's number and not its name.
fn check_sources(manifest: &Value) -> Result<(), BundleError> {
    for (name, graph) in manifest["graphs"].as_object().into_iter().flatten() {
        // A wrong name of a graph, or a wrong type, is told by the reading that follows.
        let name: Result<GraphName, ValueError> =
            GraphName::deserialize(name.as_str().into_deserializer());
        let Ok(name) = name else { continue };
        for input in graph["inputs"].as_array().into_iter().flatten() {
            let Some(source) = input["source"].as_str() else { continue };
            if source.parse::<InputSource>().is_err() {
                let input = input["name"].as_str().unwrap_or_default().to_owned();
                return Err(BundleError::Source { graph: name, input, found: source.to_owned() });
            }
        }
    }
    Ok(())
}

/// Checks one file; `home` is the folder's real path.
fn check_file(home: &Path, name: &str, entry: &FileEntry) -> Result<(), BundleError> {
    let outside = || BundleError::Outside { file: name.to_owned() };
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !plain {
        return Err(outside());
    }
    let path = home.join(name);
    // Links that stay inside are fine: mounted volumes are made of them.
    let real = path.canonicalize().map_err(|error| unreadable(path.clone(), error))?;
    if !real.starts_with(home) {
        return Err(outside());
    }
    let mut file = File::open(&path).map_err(|error| unreadable(path.clone(), error))?;
    let found = file.metadata().map_err(|error| unreadable(path.clone(), error))?.len();
    let checksum = sha256(&mut file).map_err(|error| unreadable(path, error))?;
    if checksum.eq_ignore_ascii_case(&entry.sha256) {
        return Ok(());
    }
    let file = name.to_owned();
    if found != entry.bytes {
        return Err(BundleError::Size { file, expected: entry.bytes, found });
    }
    Err(BundleError::Checksum { file, expected: entry.sha256.clone(), found: checksum })
}

/// Refuses weights in a file that no checksum covers.
fn check_external_data(home: &Path, manifest: &Manifest, file: &str) -> Result<(), BundleError> {
    let path = home.join(file);
    let onnx = fs::read(&path).map_err(|error| unreadable(path, error))?;
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    for location in external_data::locations(&onnx) {
        let listed = folder.join(&location).to_str().is_some_and(|name| {
            manifest.files.contains_key(name.strip_prefix("./").unwrap_or(name))
        });
        if !listed {
            return Err(BundleError::Content {
                file: file.to_owned(),
                message: format!(
                    "keeps weights in `{location}`, which manifest.json does not list in `files`; \
                     list it with its SHA-256, or keep the weights inside the graph"
                ),
            });
        }
    }
    Ok(())
}

fn sha256(file: &mut File) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            break;
        }
        hasher.update(&block[..read]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn unreadable(path: PathBuf, source: std::io::Error) -> BundleError {
    match source.kind() {
        ErrorKind::NotFound => BundleError::Missing { path },
        _ => BundleError::Unreadable { path, source },
    }
}

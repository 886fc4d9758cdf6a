//! What retrieval holds, kept in a folder, so that it need not be read and built anew.
//!
//! A snapshot is a folder of its own: the item table with the position in the store's changes that it
//! stands for, the index of vectors, and a manifest with a checksum of each. It is made under another
//! name and gets its own when all of it is on disk, so it is whole or not there.

mod load;
mod save;

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use plugrank_items::{Content, SavedTable};
use plugrank_store::ChangePosition;
use serde::{Deserialize, Serialize};

pub(crate) use load::{Restored, Wanted, newest};
pub(crate) use save::Saver;

use crate::options::{AnnOptions, VectorStorage};

/// Version of what is written. Another one is refused.
const FORMAT: u32 = 5;
/// Snapshots that are kept: the newest, and one in case that is damaged.
const KEPT: usize = 2;
const PREFIX: &str = "snapshot-";
/// What a snapshot's name begins with while it is made.
const UNFINISHED: &str = ".unfinished-";
const MANIFEST: &str = "manifest.json";
const TABLE: &str = "items.bin";
const INDEX: &str = "index.usearch";

/// What a snapshot stands for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    /// Items in it.
    items: usize,
    /// The index of vectors, where there is one.
    index: Option<IndexManifest>,
    /// Versions of the bundles that encoded its features.
    features: Vec<String>,
    /// Its files by name.
    files: BTreeMap<String, FileManifest>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexManifest {
    /// Version of the bundle that made the vectors.
    bundle: String,
    dim: usize,
    made_with: IndexSettings,
}

/// Settings that an index keeps from when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexSettings {
    connectivity: usize,
    expansion_add: usize,
    storage: VectorStorage,
}

impl IndexSettings {
    fn from_options(options: &AnnOptions) -> Self {
        let AnnOptions { connectivity, expansion_add, storage, .. } = *options;
        Self { connectivity, expansion_add, storage }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileManifest {
    bytes: u64,
    /// BLAKE3, in hexadecimal.
    blake3: String,
}

/// What the table's file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    position: ChangePosition,
    table: SavedTable,
    /// Which content each vector of the index is of.
    indexed: Vec<Content>,
    /// Encoded features by version of their bundle.
    features: Vec<(String, Vec<u32>)>,
}

/// What happened to the snapshots of this process.
#[derive(Debug, Default)]
pub(crate) struct Snapshots(Mutex<SnapshotStatus>);

/// What happened to the snapshots of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotStatus {
    /// Snapshots that were made.
    pub saved: u64,
    /// Those that could not be made.
    pub failed: u64,
    /// Size of the last one, in bytes.
    pub bytes: u64,
    /// Its age; `None` before the first.
    pub age: Option<Duration>,
    /// When it was made.
    at: Option<Instant>,
}

impl Snapshots {
    fn saved(&self, bytes: u64) {
        let mut status = self.0.lock();
        status.saved += 1;
        (status.bytes, status.at) = (bytes, Some(Instant::now()));
    }

    fn failed(&self) {
        self.0.lock().failed += 1;
    }

    pub(crate) fn status(&self) -> SnapshotStatus {
        let status = *self.0.lock();
        SnapshotStatus { age: status.at.map(|at| at.elapsed()), ..status }
    }
}

/// Finished snapshots, oldest first: their names begin with the time at which they were made.
fn finished(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn fingerprint(path: &Path) -> io::Result<FileManifest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(FileManifest { bytes: hasher.count(), blake3: hasher.finalize().to_hex().to_string() })
}

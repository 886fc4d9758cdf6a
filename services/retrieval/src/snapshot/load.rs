//! Reads snapshots.

use std::{fs, path::Path, sync::Arc, thread};

use plugrank_items::{Content, ItemTable, SavedTable};
use plugrank_store::ChangePosition;

use super::{
    FORMAT, FileManifest, INDEX, IndexManifest, IndexSettings, Kept, MANIFEST, Manifest, TABLE,
    fingerprint, finished,
};
use crate::{
    RetrievalError,
    index::{AnnIndex, embedded::Embedded},
    indexed::IndexedContents,
    options::AnnOptions,
    state::{FeatureColumns, Indexed},
};

/// What a snapshot held beside the table.
pub(crate) struct Restored {
    /// Its name.
    pub(crate) name: String,
    pub(crate) index: Option<Arc<Indexed>>,
    pub(crate) indexed: IndexedContents,
}

/// What a snapshot must be of.
pub(crate) struct Wanted {
    /// The table to fill.
    pub(crate) items: Arc<ItemTable>,
    /// Its feature columns.
    pub(crate) features: FeatureColumns,
    /// The bundle in use.
    pub(crate) bundle: String,
    /// How the index is to be made, where it is this process' own.
    pub(crate) index: Option<AnnOptions>,
}

/// Why a snapshot is not used: another may be, unless the table was begun to be filled.
struct Refused(String);

impl<T: std::fmt::Display> From<T> for Refused {
    fn from(reason: T) -> Self {
        Self(reason.to_string())
    }
}

/// Fills the table from the newest snapshot that is whole and of this bundle. Those that are passed
/// over are named in the log, with the reason.
pub(crate) fn newest(
    folder: &Path,
    wanted: &Wanted,
) -> Result<Option<(Restored, ChangePosition)>, RetrievalError> {
    let found = match finished(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            tracing::error!(%error, folder = %folder.display(), "snapshots cannot be looked for");
            return Ok(None);
        }
    };
    for path in found.iter().rev() {
        match load(path, wanted) {
            Ok(restored) => return Ok(Some(restored)),
            Err(Refused(reason)) if wanted.items.view().index_end() == 0 => {
                tracing::warn!(snapshot = %path.display(), reason, "a snapshot is refused");
            }
            Err(Refused(reason)) => {
                return Err(RetrievalError::Snapshot(format!(
                    "{} fits no item table, which its checksums did not tell: {reason}. Remove it \
                     and start again",
                    path.display()
                )));
            }
        }
    }
    Ok(None)
}

fn load(path: &Path, wanted: &Wanted) -> Result<(Restored, ChangePosition), Refused> {
    let text = fs::read(path.join(MANIFEST)).map_err(|error| format!("{MANIFEST}: {error}"))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| format!("{MANIFEST}: {error}"))?;
    if manifest.format != FORMAT {
        let format = manifest.format;
        return Err(format!("its format is {format}, this program reads {FORMAT}").into());
    }
    // Everything that can be told without reading the files comes before.
    let index = match (&wanted.index, &manifest.index) {
        (None, None) => None,
        (Some(options), Some(index)) => {
            check_index(index, &wanted.bundle, options)?;
            Some((options, index))
        }
        (None, Some(_)) => return Err("it has an index of vectors, where none is kept".into()),
        (Some(_), None) => return Err("it has no index of vectors".into()),
    };
    for (bundle, _) in &wanted.features {
        if !manifest.features.contains(bundle) {
            return Err(format!("it has no features as bundle {bundle} encodes them").into());
        }
    }
    let read_index = |(options, index): (&AnnOptions, &IndexManifest)| {
        let file = path.join(INDEX);
        let found = fingerprint(&file).map_err(|error| format!("{INDEX}: {error}"))?;
        check_file(INDEX, &found, &manifest)?;
        let end = u32::try_from(manifest.items).unwrap_or(u32::MAX);
        let ann = AnnIndex::load(&file, index.dim, end, options)?;
        let items = Arc::clone(&wanted.items);
        let vectors = Arc::new(Embedded::new(Arc::new(ann), items, options.clone()));
        Ok::<_, Refused>(Arc::new(Indexed { bundle: index.bundle.clone(), vectors }))
    };
    // Side by side: each keeps a core busy.
    let (kept, index) = thread::scope(|scope| {
        let index = index.map(|index| scope.spawn(move || read_index(index)));
        let kept = read_table(path, &manifest)?;
        let joined = index.map(|index| {
            index.join().unwrap_or_else(|_| Err(format!("reading {INDEX} panicked").into()))
        });
        Ok::<_, Refused>((kept, joined.transpose()?))
    })?;
    let indexed = fill(kept.indexed, kept.features, &kept.table, wanted)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((Restored { name, index, indexed }, kept.position))
}

/// Reads what is kept of the table.
fn read_table(path: &Path, manifest: &Manifest) -> Result<Kept, Refused> {
    let bytes = fs::read(path.join(TABLE)).map_err(|error| format!("{TABLE}: {error}"))?;
    let blake3 = blake3::hash(&bytes).to_hex().to_string();
    check_file(TABLE, &FileManifest { bytes: bytes.len() as u64, blake3 }, manifest)?;
    postcard::from_bytes(&bytes).map_err(|error| format!("{TABLE}: {error}").into())
}

/// Whether a file is the one that was written.
fn check_file(name: &str, found: &FileManifest, manifest: &Manifest) -> Result<(), String> {
    let expected = manifest.files.get(name).ok_or_else(|| format!("{name} has no checksum"))?;
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "{name} is damaged: {} bytes with checksum {}, not {} with {}",
        found.bytes, found.blake3, expected.bytes, expected.blake3
    ))
}

/// Fills the table, last of all: what comes before leaves it as it was.
fn fill(
    indexed: Vec<Content>,
    features: Vec<(String, Vec<u32>)>,
    table: &SavedTable,
    wanted: &Wanted,
) -> Result<IndexedContents, Refused> {
    let fits = format!("{TABLE}: its parts do not fit together");
    if indexed.len() != table.len() {
        return Err(fits.into());
    }
    let options = wanted.items.options();
    if *table.options() != options {
        let kept = table.options();
        return Err(format!("its columns were kept by {kept:?}, not {options:?}").into());
    }
    if !wanted.items.restore(table) {
        return Err(fits.into());
    }
    for (bundle, column) in &wanted.features {
        let saved = features.iter().find(|(saved, _)| saved == bundle);
        if !saved.is_some_and(|(_, saved)| column.restore(saved, table.len())) {
            return Err(format!("{TABLE}: the features of bundle {bundle} do not fit").into());
        }
    }
    Ok(IndexedContents::restored(indexed))
}

fn check_index(index: &IndexManifest, bundle: &str, options: &AnnOptions) -> Result<(), String> {
    if index.bundle != bundle {
        return Err(format!("its vectors are of bundle {}, not {bundle}", index.bundle));
    }
    let wanted = IndexSettings::from_options(options);
    if index.made_with != wanted {
        return Err(format!("its index was made with {:?}, not {wanted:?}", index.made_with));
    }
    Ok(())
}

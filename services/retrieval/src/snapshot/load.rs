//! Reads snapshots.

use std::{fs, path::Path, sync::Arc};

use plugrank_store::ChangePosition;

use super::{
    CATALOG, FORMAT, INDEX, IndexManifest, IndexSettings, Kept, MANIFEST, Manifest, fingerprint,
    finished,
};
use crate::{
    catalog::Catalog,
    index::{AnnIndex, embedded::Embedded},
    options::AnnOptions,
    state::Indexed,
};

/// What a snapshot held.
pub(crate) struct Restored {
    /// Its name.
    pub(crate) name: String,
    pub(crate) catalog: Catalog,
    pub(crate) index: Option<Arc<Indexed>>,
    /// What it stands for.
    pub(crate) position: ChangePosition,
}

/// The newest snapshot that is whole and of this bundle; `index`: how the index is to be made, where
/// it is this process' own. Those that are passed over are named in the log, with the reason.
pub(crate) fn newest(folder: &Path, bundle: &str, index: Option<&AnnOptions>) -> Option<Restored> {
    let found = match finished(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(%error, folder = %folder.display(), "snapshots cannot be looked for");
            return None;
        }
    };
    for path in found.iter().rev() {
        match load(path, bundle, index) {
            Ok(restored) => return Some(restored),
            Err(reason) => {
                tracing::warn!(snapshot = %path.display(), reason, "a snapshot is refused");
            }
        }
    }
    None
}

fn load(path: &Path, bundle: &str, options: Option<&AnnOptions>) -> Result<Restored, String> {
    let text = fs::read(path.join(MANIFEST)).map_err(|error| format!("{MANIFEST}: {error}"))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| format!("{MANIFEST}: {error}"))?;
    if manifest.format != FORMAT {
        return Err(format!("its format is {}, this program reads {FORMAT}", manifest.format));
    }
    // Everything that can be told without reading the files comes before.
    let index = match (options, &manifest.index) {
        (None, None) => None,
        (Some(options), Some(index)) => {
            check_index(index, bundle, options)?;
            Some((options, index))
        }
        (None, Some(_)) => return Err("it has an index of vectors, where none is kept".to_owned()),
        (Some(_), None) => return Err("it has no index of vectors".to_owned()),
    };
    for name in std::iter::once(CATALOG).chain(index.is_some().then_some(INDEX)) {
        let expected = manifest.files.get(name).ok_or_else(|| format!("{name} has no checksum"))?;
        let found = fingerprint(&path.join(name)).map_err(|error| format!("{name}: {error}"))?;
        if found != *expected {
            return Err(format!(
                "{name} is damaged: {} bytes with checksum {}, not {} with {}",
                found.bytes, found.blake3, expected.bytes, expected.blake3
            ));
        }
    }
    let bytes = fs::read(path.join(CATALOG)).map_err(|error| format!("{CATALOG}: {error}"))?;
    let Kept { position, catalog } =
        postcard::from_bytes(&bytes).map_err(|error| format!("{CATALOG}: {error}"))?;
    let catalog = Catalog::restored(catalog)
        .ok_or_else(|| format!("{CATALOG}: its parts do not fit together"))?;
    let index = index
        .map(|(options, index)| {
            let ann = AnnIndex::load(&path.join(INDEX), index.dim, options)
                .map_err(|error| error.to_string())?;
            let vectors = Arc::new(Embedded::new(Arc::new(ann)));
            Ok::<_, String>(Arc::new(Indexed { bundle: index.bundle.clone(), vectors }))
        })
        .transpose()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Restored { name, catalog, index, position })
}

fn check_index(index: &IndexManifest, bundle: &str, options: &AnnOptions) -> Result<(), String> {
    if index.bundle != bundle {
        return Err(format!("its vectors are of bundle {}, not {bundle}", index.bundle));
    }
    let wanted = IndexSettings::of(options);
    if index.made_with != wanted {
        return Err(format!("its index was made with {:?}, not {wanted:?}", index.made_with));
    }
    Ok(())
}

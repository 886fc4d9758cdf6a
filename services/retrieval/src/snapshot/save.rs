//! Makes snapshots.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use plugrank_contract::ItemIndex;
use plugrank_items::follow::Followed;
use plugrank_store::ChangePosition;
use tokio::task::JoinHandle;

use super::{
    FORMAT, INDEX, IndexManifest, IndexSettings, KEPT, Kept, MANIFEST, Manifest, PREFIX, TABLE,
    UNFINISHED, fingerprint, finished,
};
use crate::{RetrievalError, state::RetrievalState};

/// An unfinished snapshot so old is one that its process left behind.
const ABANDONED: Duration = Duration::from_secs(3_600);

/// Makes a snapshot every so often, when something has changed. Ends with this value.
pub(crate) struct Saver(JoinHandle<()>);

impl Saver {
    /// `saved`: what the newest snapshot stands for, if there is one.
    pub(crate) fn start(
        state: Arc<RetrievalState>,
        followed: Arc<Followed>,
        folder: PathBuf,
        saved: Option<ChangePosition>,
    ) -> Self {
        Self(tokio::spawn(async move {
            let mut saved = saved;
            loop {
                // At once when there is none yet.
                if saved.as_ref() != Some(&followed.position()) {
                    match save(&state, &followed, &folder).await {
                        Ok(position) => saved = Some(position),
                        Err(error) => {
                            state.snapshots.failed();
                            tracing::error!(%error, folder = %folder.display(), "no snapshot");
                        }
                    }
                }
                tokio::time::sleep(state.options.snapshot.every()).await;
            }
        }))
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Makes a snapshot and removes those that are too many; what it stands for. Items are read again
/// only when the table and the index are written, so that these agree.
async fn save(
    state: &Arc<RetrievalState>,
    followed: &Followed,
    folder: &Path,
) -> Result<ChangePosition, RetrievalError> {
    let begun = Instant::now();
    let turn = Arc::clone(&state.maintenance).lock_owned().await;
    let position = followed.position();
    let kept = kept(state, position.clone());
    let (state, folder) = (Arc::clone(state), folder.to_owned());
    let done = tokio::task::spawn_blocking(move || {
        let failed = |error: io::Error| {
            RetrievalError::Snapshot(format!("{} cannot be written: {error}", folder.display()))
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("{PREFIX}{:015}-{}", now.as_millis(), std::process::id());
        let unfinished = folder.join(format!("{UNFINISHED}{name}"));
        fs::create_dir_all(&unfinished).map_err(failed)?;
        let items = kept.table.len();
        let features: Vec<String> =
            kept.features.iter().map(|(bundle, _)| bundle.clone()).collect();
        let bytes = postcard::to_stdvec(&kept)
            .map_err(|error| RetrievalError::Snapshot(format!("not serializable: {error}")))?;
        drop(kept);
        fs::write(unfinished.join(TABLE), &bytes).map_err(failed)?;
        drop(bytes);
        let mut names = vec![TABLE];
        let mut index = None;
        if let Some(indexed) = state.index.load_full()
            && let Some(ann) = indexed.vectors.embedded()
        {
            ann.save(&unfinished.join(INDEX))?;
            names.push(INDEX);
            let made_with = IndexSettings::from_options(&state.options.ann);
            index =
                Some(IndexManifest { bundle: indexed.bundle.clone(), dim: ann.dim(), made_with });
        }
        drop(turn);
        let bytes = finish(&folder, &unfinished, &name, &names, (items, index, features))
            .map_err(failed)?;
        state.snapshots.saved(bytes);
        tracing::info!(
            snapshot = name,
            items,
            mb = bytes >> 20,
            seconds = begun.elapsed().as_secs_f64(),
            "a snapshot was saved"
        );
        Ok::<_, RetrievalError>(())
    })
    .await;
    done.map_err(|error| RetrievalError::Snapshot(format!("saving ended early: {error}")))??;
    Ok(position)
}

/// What the table's file is to hold.
fn kept(state: &RetrievalState, position: ChangePosition) -> Kept {
    let table = state.items.saved();
    let features = state.features.iter();
    // Indices are of this width.
    let end = table.len() as ItemIndex;
    Kept {
        position,
        indexed: state.indexed.saved(table.len()),
        features: features.map(|(bundle, column)| (bundle.clone(), column.saved(end))).collect(),
        table,
    }
}

/// Writes the manifest, makes all of it durable and gives it its name; its size in bytes.
fn finish(
    folder: &Path,
    unfinished: &Path,
    name: &str,
    names: &[&str],
    (items, index, features): (usize, Option<IndexManifest>, Vec<String>),
) -> io::Result<u64> {
    let mut files = BTreeMap::new();
    for name in names {
        let path = unfinished.join(name);
        File::open(&path)?.sync_all()?;
        files.insert((*name).to_owned(), fingerprint(&path)?);
    }
    let bytes = files.values().map(|file| file.bytes).sum();
    let manifest = Manifest { format: FORMAT, items, index, features, files };
    let path = unfinished.join(MANIFEST);
    fs::write(&path, serde_json::to_vec_pretty(&manifest)?)?;
    File::open(&path)?.sync_all()?;
    File::open(unfinished)?.sync_all()?;
    fs::rename(unfinished, folder.join(name))?;
    File::open(folder)?.sync_all()?;
    prune(folder)?;
    Ok(bytes)
}

/// Removes what is too many, and what was never finished.
fn prune(folder: &Path) -> io::Result<()> {
    let finished = finished(folder)?;
    let mut gone = finished[..finished.len().saturating_sub(KEPT)].to_vec();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let unfinished =
            entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED));
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if unfinished && age > ABANDONED {
            gone.push(entry.path());
        }
    }
    gone.iter().try_for_each(fs::remove_dir_all)
}

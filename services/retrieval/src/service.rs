//! The service: how it is built, and what it holds.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use plugrank_contract::{Context, ItemId, embedding::FetchVectors};
use plugrank_items::{
    FollowStatus,
    follow::{FollowParts, Follower, Pause},
};
use plugrank_store::Store;
use plugrank_transport::Client;

use crate::{
    BuildProgress, LoadedTable, RetrievalError, RetrievalOptions,
    build::reindex,
    engine::{EngineTask, VectorEngine},
    engine_asked::EngineAsked,
    index::pairs::Pairs,
    indexed::IndexedContents,
    popularity::Popularity,
    refresh::ApplyChanges,
    replay_pairs::replay_pairs,
    snapshot::{Restored, Saver, SnapshotStatus, Snapshots},
    sources::Sources,
    state::{Indexed, RetrievalState, fetch_vectors},
};

/// Items whose statistics are read at a time.
const STATS: usize = 2_000;

/// What retrieval is made of.
pub struct RetrievalParts {
    /// Items and behaviour.
    pub store: Arc<dyn Store>,
    /// The item table, filled from that store.
    pub table: LoadedTable,
    /// Item vectors, for the index.
    pub vectors: Client<FetchVectors>,
    /// Where item vectors are, when not in an index of this process.
    pub engine: Option<Box<dyn VectorEngine>>,
    /// Settings.
    pub options: RetrievalOptions,
}

/// Finds candidates. Answers `Retrieve`, `ObserveEvents` and `RefreshItems`.
pub struct RetrievalService {
    pub(crate) state: Arc<RetrievalState>,
    pub(crate) sources: Sources,
    /// What it was restored from.
    restored: Option<String>,
    /// Follows the store's changes.
    follower: Option<Follower>,
    /// Keeps the vector engine up to date.
    _engine: Option<EngineTask>,
    /// Makes snapshots.
    _saver: Option<Saver>,
}

/// What retrieval holds, for metrics and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrievalStatus {
    /// Items of the catalog.
    pub items: usize,
    /// Items in the index of vectors.
    pub indexed: usize,
    /// Memory of that index, in bytes.
    pub index_bytes: usize,
    /// Bundle that made its vectors; `None` while there is no vector.
    pub bundle: Option<String>,
    /// Name of the snapshot that it began with, if so.
    pub restored: Option<String>,
    /// How the store's changes are followed; `None` where there are none.
    pub following: Option<FollowStatus>,
    /// Snapshots that were made.
    pub snapshots: SnapshotStatus,
}

impl RetrievalService {
    /// Fills the index, unless a snapshot had it; `progress` is told after every thousand items or
    /// so. Filling uses all cores, on the Tokio runtime's threads for blocking work. Where the store
    /// tells of changes, they are followed from then on, the item table included, and all that there
    /// were are applied before this returns.
    ///
    /// # Errors
    /// When a setting is impossible or vectors cannot be fetched.
    pub async fn build(
        parts: RetrievalParts,
        progress: impl Fn(BuildProgress) + Send + Sync,
    ) -> Result<Self, RetrievalError> {
        let RetrievalParts { store, table, vectors, engine, options } = parts;
        options.validate()?;
        let sources = Sources::new(&options)?;
        // The table may be ahead of the index: what changed in between is applied to both once more.
        let LoadedTable { items, features, indexed_at: position, restored, .. } = table;
        let (name, index, indexed) = match restored {
            Some(Restored { name, index, indexed }) => (Some(name), index, indexed),
            None => (None, None, IndexedContents::default()),
        };
        let index = match index {
            Some(index) => of_bundle_in_use(index, &vectors).await?,
            None => None,
        };
        let state = Arc::new(RetrievalState {
            popularity: Popularity::new(&items, &options),
            pairs: Pairs::new(options.co_visitation.live_items, options.co_visitation.half_life()),
            options,
            store,
            items,
            features,
            vectors,
            engine: engine.as_ref().map(|_| EngineAsked::not_yet()),
            index: ArcSwapOption::new(index),
            indexed,
            snapshots: Snapshots::default(),
            maintenance: Arc::default(),
        });
        if engine.is_none() && state.index.load().is_none() {
            state.index.store(reindex(&state, &progress).await?);
        }
        let engine = engine.map(|engine| EngineTask::start(engine, Arc::clone(&state)));
        let saved = position.clone().filter(|_| name.is_some());
        let follower = state.store.changes().zip(position).map(|(log, position)| {
            let (store, items) = (Arc::clone(&state.store), Arc::clone(&state.items));
            let sink = Arc::new(ApplyChanges(Arc::clone(&state)));
            Follower::start(FollowParts { store, items, log, position, sink })
        });
        if let Some(follower) = &follower {
            follower.followed().caught_up().await;
        }
        if let Some(engine) = &state.engine {
            engine.wait().await;
        }
        if name.is_some() {
            reread_all_stats(Arc::clone(&state));
        }
        replay_pairs(&state);
        let folder = state.options.snapshot.path.clone();
        let saver = follower.as_ref().zip(folder).map(|(follower, folder)| {
            Saver::start(Arc::clone(&state), Arc::clone(follower.followed()), folder, saved)
        });
        Ok(Self { state, sources, restored: name, follower, _engine: engine, _saver: saver })
    }

    /// What it holds.
    #[must_use]
    pub fn status(&self) -> RetrievalStatus {
        let index = self.state.index.load_full();
        let size = index.as_ref().map(|index| index.vectors.size()).unwrap_or_default();
        RetrievalStatus {
            items: self.state.items.len(),
            indexed: size.vectors,
            index_bytes: size.bytes,
            bundle: index.map(|index| index.bundle.clone()),
            restored: self.restored.clone(),
            following: self.follower.as_ref().map(|follower| follower.followed().status()),
            snapshots: self.state.snapshots.status(),
        }
    }
}

/// A restored index, when its vectors are of the bundle that the embedding service has now.
async fn of_bundle_in_use(
    index: Arc<Indexed>,
    vectors: &Client<FetchVectors>,
) -> Result<Option<Arc<Indexed>>, RetrievalError> {
    let bundle = fetch_vectors(vectors, Context::background(), &[], false).await?.bundle;
    Ok(Some(index).filter(|index| index.bundle == bundle))
}

/// Reads the statistics of all items again, in the background: a snapshot knows those of its time,
/// and the store does not tell of each event.
fn reread_all_stats(state: Arc<RetrievalState>) {
    tokio::spawn(async move {
        let ids: Vec<ItemId> = {
            let view = state.items.view();
            (0..view.index_end()).filter_map(|index| view.id(index).cloned()).collect()
        };
        let mut pause = Pause::new();
        for ids in ids.chunks(STATS) {
            while let Err(error) = state.items.refresh_stats(state.store.as_ref(), ids).await {
                pause.after("statistics of items cannot be read again", &error).await;
            }
            state.popularity.changed();
        }
    });
}

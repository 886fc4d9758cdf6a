//! The service: builds itself, and answers `Retrieve`.

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use parking_lot::RwLock;
use plugrank_contract::{
    CallError, Context, ItemId,
    embedding::FetchVectors,
    inner_span,
    retrieval::{Candidate, DropReason, Dropped, Retrieve, Retrieved, Source as Kind},
};
use plugrank_store::{Store, VectorSets};
use plugrank_transport::{Client, Service};
use tokio::{sync::Mutex, time::Instant};
use tracing::Instrument;

use crate::{
    BuildProgress, RetrievalError, RetrievalOptions,
    build::{self, Loaded},
    catalog::Catalog,
    engine::{Engine, Writer},
    filters::{self, Filtered},
    follow::{FollowStatus, Followed, Follower, Pause, reread_stats},
    index::pairs::Pairs,
    merge::{Merged, fuse},
    options::AnnOptions,
    popularity::{Popularity, PopularityLists},
    query::{Click, Named, Query},
    snapshot::{self, Restored, Saver, SnapshotStatus, Snapshots},
    sources::{
        Source, ann::Ann, caller::Caller, category::Category, co_visitation::CoVisitation,
        fresh::Fresh, gather, popular::Popular,
    },
    state::{State, fetch_vectors},
};

/// Most dropped items that a reply lists; `dropped_total` counts all.
const LISTED_DROPS: usize = 1_000;

/// Share of the sources' time that reading the user's clicks may take: from a store that does not
/// answer nobody gets anything, and those that need no clicks still have to.
const CLICKS_SHARE: f64 = 0.5;

/// What retrieval is made of.
pub struct RetrievalParts {
    /// Items and behaviour.
    pub store: Arc<dyn Store>,
    /// Item vectors, for the index.
    pub vectors: Client<FetchVectors>,
    /// Where item vectors are, when not in an index of this process.
    pub engine: Option<VectorSets>,
    /// Settings.
    pub options: RetrievalOptions,
}

/// Finds candidates. Answers `Retrieve`, `ObserveEvents` and `RefreshItems`.
pub struct RetrievalService {
    pub(crate) state: Arc<State>,
    /// Asked for a user's candidates, in the order of [`Kind`].
    sources: Vec<Box<dyn Source>>,
    /// Asked when the caller names the candidates.
    caller: Vec<Box<dyn Source>>,
    /// What it was restored from.
    restored: Option<String>,
    /// Follows the store's changes.
    _follower: Option<Follower>,
    /// Keeps the vector engine up to date.
    _writer: Option<Writer>,
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
    /// Restores the newest snapshot, or reads the whole catalog and fills the index; `progress` is
    /// told after every thousand items or so. Filling uses all cores, on the Tokio runtime's threads
    /// for blocking work. Where the store tells of changes, they are followed from then on, and all
    /// that there were are applied before this returns.
    ///
    /// # Errors
    /// When a setting is impossible, the store cannot be read or vectors cannot be fetched.
    pub async fn build(
        parts: RetrievalParts,
        progress: impl Fn(BuildProgress) + Send + Sync,
    ) -> Result<Self, RetrievalError> {
        let RetrievalParts { store, vectors, engine, options } = parts;
        options.validate()?;
        let log = store.changes();
        let folder = options.snapshot.folder.clone().filter(|_| log.is_some());
        let restored = match &folder {
            Some(folder) => {
                let ann = engine.is_none().then_some(&options.ann);
                restore(folder, &vectors, ann).await?
            }
            None => None,
        };
        let (name, catalog, index, position) = match restored {
            Some(Restored { name, catalog, index, position }) => {
                (Some(name), catalog, index, Some(position))
            }
            None => {
                // The position before the catalog: what changes while it is read comes after.
                let position = match &log {
                    Some(log) => Some(log.end().await?),
                    None => None,
                };
                let client = engine.is_none().then_some(&vectors);
                let Loaded { catalog, index } =
                    build::load(store.as_ref(), client, &options.ann, &progress).await?;
                (None, catalog, index, position)
            }
        };
        let catalog = RwLock::new(catalog);
        let popularity = Popularity::new(&catalog, &options);
        let maintenance = Arc::new(Mutex::new(()));
        let index = ArcSwapOption::new(index);
        let state = Arc::new(State {
            pairs: Pairs::new(options.co_visitation.live_items),
            options,
            store,
            vectors,
            catalog,
            popularity,
            engine: engine.as_ref().map(|_| Engine::new()),
            index,
            followed: Followed::new(position.clone()),
            snapshots: Snapshots::default(),
            maintenance,
        });
        let writer = engine.map(|sets| Writer::start(Arc::clone(&state), sets));
        let saved = position.clone().filter(|_| name.is_some());
        let follower = match log.zip(position) {
            Some((log, position)) => {
                let follower = Follower::start(&state, log, position);
                state.followed.caught_up().await;
                Some(follower)
            }
            None => None,
        };
        if let Some(engine) = &state.engine {
            engine.asked().await;
        }
        if name.is_some() {
            reread_all_stats(Arc::clone(&state));
        }
        let saver = folder.map(|folder| Saver::start(Arc::clone(&state), folder, saved));
        let sources: [(f64, Box<dyn Source>); 5] = {
            let quotas = &state.options.quotas;
            let shared = || Arc::clone(&state);
            [
                (quotas.ann.share, Box::new(Ann { state: shared() })),
                (quotas.co_visitation.share, Box::new(CoVisitation { state: shared() })),
                (quotas.category.share, Box::new(Category { state: shared() })),
                (quotas.popular.share, Box::new(Popular { state: shared() })),
                (quotas.fresh.share, Box::new(Fresh { state: shared() })),
            ]
        };
        let sources =
            sources.into_iter().filter(|(share, _)| *share > 0.0).map(|(_, source)| source);
        Ok(Self {
            sources: sources.collect(),
            caller: vec![Box::new(Caller)],
            state,
            restored: name,
            _follower: follower,
            _writer: writer,
            _saver: saver,
        })
    }

    /// What it holds.
    #[must_use]
    pub fn status(&self) -> RetrievalStatus {
        let index = self.state.index.load_full();
        let size = index.as_ref().map(|index| index.vectors.size()).unwrap_or_default();
        RetrievalStatus {
            items: self.state.catalog.read().len(),
            indexed: size.vectors,
            index_bytes: size.bytes,
            bundle: index.map(|index| index.bundle.clone()),
            restored: self.restored.clone(),
            following: self._follower.as_ref().map(|_| self.state.followed.status()),
            snapshots: self.state.snapshots.status(),
        }
    }

    fn check(&self, context: &Context, call: &Retrieve) -> Result<(), CallError> {
        let most = self.state.options.max_candidates;
        if call.limit == 0 || call.limit > most {
            return Err(CallError::invalid(format!(
                "`limit` is {}; it must be from 1 to {most}",
                call.limit
            )));
        }
        let named = call.candidates.as_ref().map_or(0, Vec::len);
        if named > most as usize {
            return Err(CallError::invalid(format!(
                "`candidates` has {named} items; at most {most} are taken"
            )));
        }
        if context.expired() {
            return Err(CallError::deadline("the deadline passed before retrieval was begun"));
        }
        Ok(())
    }

    /// Adds what the sources and filters read: the user's clicks, unless the caller names the
    /// candidates, which asks nothing of them.
    async fn hydrate(&self, call: &Retrieve, allowed: Option<Duration>) -> Query {
        let mut query = Query { as_of: call.as_of, limit: call.limit as usize, ..Query::default() };
        let mut clicked: Vec<ItemId> = Vec::new();
        if call.candidates.is_none() {
            let wanted = self.state.options.seen_clicks;
            let history = self.state.store.history(&call.user_id, call.as_of, wanted, 0);
            let history = match allowed {
                None => history.await.map_err(|error| error.to_string()),
                Some(allowed) => {
                    let allowed = allowed.mul_f64(CLICKS_SHARE);
                    match tokio::time::timeout(allowed, history).await {
                        Ok(history) => history.map_err(|error| error.to_string()),
                        Err(_) => Err("the store did not answer in time".to_owned()),
                    }
                }
            };
            match history {
                Ok(history) => {
                    clicked.extend(history.clicks().map(|entry| entry.item_id.clone()));
                }
                Err(reason) => query.clicks_failed = Some(reason),
            }
        }
        let catalog = self.state.catalog.read();
        let mut met = HashSet::with_capacity(clicked.len());
        for item_id in clicked {
            if met.insert(item_id.clone()) {
                let index = catalog.index_of(&item_id);
                query.seen.extend(index);
                query.clicks.push(Click { item_id, index });
            }
        }
        query.excluded = State::named(&catalog, &call.exclude).into_iter().collect();
        query.caller = call.candidates.as_ref().map(|ids| State::named(&catalog, ids));
        query
    }

    /// Makes the popularity lists again in the background, when they are due.
    fn keep_lists_fresh(&self) {
        if self.state.popularity.take_turn(&self.state.options) {
            let state = Arc::clone(&self.state);
            tokio::task::spawn_blocking(move || {
                state.popularity.remake(&state.catalog, &state.options);
            });
        }
    }
}

/// The newest snapshot of the bundle that is in use.
async fn restore(
    folder: &Path,
    vectors: &Client<FetchVectors>,
    index: Option<&AnnOptions>,
) -> Result<Option<Restored>, RetrievalError> {
    let bundle = fetch_vectors(vectors, Context::background(), &[]).await?.bundle;
    let (folder, index) = (folder.to_owned(), index.cloned());
    tokio::task::spawn_blocking(move || snapshot::newest(&folder, &bundle, index.as_ref()))
        .await
        .map_err(|error| RetrievalError::Snapshot(format!("reading it ended early: {error}")))
}

/// Reads the statistics of all items again, in the background: a snapshot knows those of its time,
/// and the store does not tell of each event.
fn reread_all_stats(state: Arc<State>) {
    tokio::spawn(async move {
        let ids: Vec<ItemId> = {
            let catalog = state.catalog.read();
            (0..catalog.index_end()).filter_map(|index| catalog.id(index).cloned()).collect()
        };
        let mut pause = Pause::new();
        while let Err(error) = reread_stats(&state, &ids).await {
            pause.after("statistics of items cannot be read again", &error).await;
        }
    });
}

#[async_trait]
impl Service<Retrieve> for RetrievalService {
    async fn call(&self, context: Context, call: Retrieve) -> Result<Retrieved, CallError> {
        self.check(&context, &call)?;
        self.keep_lists_fresh();
        let share = self.state.options.source_time_share;
        let until = context.remaining().map(|left| Instant::now() + left.mul_f64(share));
        let left = || until.map(|until| until.saturating_duration_since(Instant::now()));
        let read = inner_span!("hydrate");
        let query = Arc::new(self.hydrate(&call, left()).instrument(read).await);
        let sources = if query.caller.is_some() { &self.caller } else { &self.sources };
        let gathered = gather(sources, &query, left()).await;
        // The lists after the lock: then an item is either in them or among the unlisted.
        let catalog = self.state.catalog.read();
        let lists = self.state.popularity.lists();
        let Filtered { mut kept, mut removed } =
            filters::apply(fuse(gathered.lists), &query, &catalog);
        if query.caller.is_none() {
            fill(&mut kept, &removed, &query, &catalog, &lists);
        }
        let over = kept.split_off(kept.len().min(query.limit));
        removed.extend(over.into_iter().map(|merged| (merged.item, DropReason::OverLimit)));
        Ok(reply(kept, removed, gathered.failed, &catalog))
    }
}

/// Fills up to the limit from the popular items, then from those too new to be listed.
fn fill(
    kept: &mut Vec<Merged>,
    removed: &[(Named, DropReason)],
    query: &Query,
    catalog: &Catalog,
    lists: &PopularityLists,
) {
    if kept.len() >= query.limit {
        return;
    }
    let kept_items = kept.iter().map(|candidate| &candidate.item);
    let named = kept_items.chain(removed.iter().map(|(item, _)| item));
    let mut met: HashSet<u32> = named
        .filter_map(|item| match item {
            Named::Known(index) => Some(*index),
            Named::Unknown(_) => None,
        })
        .collect();
    for index in lists.overall.iter().copied().chain(catalog.unlisted()) {
        if kept.len() >= query.limit {
            return;
        }
        if catalog.available(index) && !query.blocks(index) && met.insert(index) {
            kept.push(Merged { item: Named::Known(index), sources: vec![Kind::Popular] });
        }
    }
}

fn reply(
    kept: Vec<Merged>,
    removed: Vec<(Named, DropReason)>,
    failed: Vec<(Kind, String)>,
    catalog: &Catalog,
) -> Retrieved {
    let id = |item: Named| match item {
        Named::Known(index) => catalog.id(index).cloned(),
        Named::Unknown(id) => Some(id),
    };
    let candidates = kept
        .into_iter()
        .filter_map(|Merged { item, sources }| Some(Candidate { item_id: id(item)?, sources }));
    let candidates = candidates.collect();
    let dropped_total = u32::try_from(removed.len()).unwrap_or(u32::MAX);
    let dropped = removed
        .into_iter()
        .take(LISTED_DROPS)
        .filter_map(|(item, reason)| Some(Dropped { item_id: id(item)?, reason }))
        .collect();
    Retrieved { candidates, dropped, dropped_total, failed }
}

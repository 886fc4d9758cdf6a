//! User states: history and profile through the user encoder, cached while they stay as they are.

use std::{
    borrow::Cow,
    slice,
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::Duration,
};

use plugrank_bundle::{Bundle, GraphName, ItemFeatures};
use plugrank_contract::{
    CallError, Deadline, HistoryEntry, HistoryLimits, ItemIds, TimestampMs, UserId, UserView,
    embedding::Tiers,
};
use plugrank_inference::{
    InputRanges, Library, SessionOptions,
    batcher::{
        BatchError, BatchObserver, Batcher, Buckets, GraphModel, GraphModelError, Policy, RowAxis,
        Variable, history_buckets, sources::HistoryBlock, warm_up,
    },
};
use plugrank_items::{FeatureColumn, ItemTable, View};

use crate::{
    error::EncodingError,
    metrics::EncodingMetrics,
    options::EncodingOptions,
    record_set::RecordSet,
    record_tiers::{Names, RecordTiers},
    state_cache::{CachedState, EncodedState, HistoryItem, StateCache},
    user_inputs::{UserRow, UserSchema},
};

/// What user states are made with.
pub(crate) struct UserStateParts<'a> {
    pub(crate) library: &'a Library,
    pub(crate) bundle: &'a Bundle,
    pub(crate) items: Arc<ItemTable>,
    pub(crate) features: Arc<FeatureColumn>,
    pub(crate) options: &'a EncodingOptions,
    pub(crate) session: SessionOptions,
    pub(crate) observer: Arc<dyn BatchObserver>,
    pub(crate) metrics: Arc<EncodingMetrics>,
}

/// Makes and keeps user states.
pub(crate) struct UserStates {
    schema: UserSchema,
    items: Arc<ItemTable>,
    features: Arc<FeatureColumn>,
    cache: StateCache,
    batcher: Batcher<GraphModel>,
    limits: HistoryLimits,
    metrics: Arc<EncodingMetrics>,
    /// The state of a user of whom nothing is known: the last resort.
    nameless: OnceLock<Arc<EncodedState>>,
}

/// A user's state for one request.
#[derive(Clone, Debug)]
pub struct UserEncoding {
    /// What the user encoder made.
    pub state: Arc<EncodedState>,
    /// Bucket of the time since the newest history entry; 0 without one.
    pub recency_bucket: u8,
    /// Whether it came from the cache.
    pub cached: bool,
    /// What could not be read or made in time, so that missing records or an unknown user stand in;
    /// `None` when it is the user's own.
    pub late: Option<String>,
}

impl UserStates {
    pub(crate) fn start(
        parts: UserStateParts<'_>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, EncodingError> {
        let UserStateParts {
            library,
            bundle,
            items,
            features,
            options,
            session,
            observer,
            metrics,
        } = parts;
        let encoder = features.encoder();
        let load = |_| GraphModel::load(library, bundle, GraphName::UserEncoder, session);
        let mut models: Vec<GraphModel> =
            (0..options.user_threads).map(load).collect::<Result<_, _>>()?;
        let reads_history = models.iter().any(|model| model.varies_with(Variable::History));
        let schema = UserSchema::load(bundle, encoder, reads_history)?;
        let lengths = bundle.manifest().history;
        let longest = if reads_history { lengths.clicks + lengths.impressions } else { 1 };
        let buckets = Buckets::new(
            options.user_buckets.clone(),
            vec![1],
            history_buckets(longest),
            RowAxis::History,
            options.user_batch_rows.max(longest),
        )?;
        if let Some(model) = models.first_mut() {
            let ranges = InputRanges::new(bundle, encoder, None);
            let checked = model.check_lookups(GraphName::UserEncoder, &ranges);
            checked.map_err(GraphModelError::from)?;
        }
        let times = warm_up(&mut models, &buckets, progress)?;
        let policy = Policy {
            max_wait: Duration::from_micros(options.user_batch_wait_us),
            ..Policy::new(buckets)
        };
        let batcher = Batcher::start("user-encoder", models, policy, times, observer)?;
        let cache = StateCache::new(options.user_state_bytes());
        let limits = HistoryLimits { clicks: lengths.clicks, impressions: lengths.impressions };
        let nameless = OnceLock::new();
        Ok(Self { schema, items, features, cache, batcher, limits, metrics, nameless })
    }

    /// Makes the state of a user of whom nothing is known, and keeps it.
    pub(crate) async fn warm_up(&self) -> Result<(), CallError> {
        // An id with a line break is in no vocabulary, which has one value a line.
        let nobody = UserView::unknown(UserId::from("\n"));
        let state = self.run(&nobody, &[], None, &[], Deadline::NONE).await?;
        // A second warm-up finds the first one's state, which is the same.
        let _ = self.nameless.set(Arc::new(state));
        Ok(())
    }

    /// Whether every worker still runs.
    pub(crate) fn alive(&self) -> bool {
        self.batcher.alive()
    }

    /// Bytes of states held in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.cache.bytes()
    }

    /// The state of a user: from the cache, made now, or that of an unknown user when there is no
    /// time to make it.
    pub(crate) async fn state(
        &self,
        user: &UserView,
        as_of: TimestampMs,
        records: &RecordTiers,
        deadline: Deadline,
        tiers: Tiers,
    ) -> Result<UserEncoding, CallError> {
        let items = self.items.view();
        if let Some(state) = self.cache.get(user, self.limits, &items) {
            EncodingMetrics::add(&self.metrics.user_states_cached, 1);
            let recency_bucket = self.recency_bucket(user, as_of);
            return Ok(UserEncoding { state, recency_bucket, cached: true, late: None });
        }
        let made = deadline.limit(self.make(user, records, &items, deadline, tiers)).await;
        let error = match made {
            Some(Ok((state, late))) => {
                let recency_bucket = self.recency_bucket(user, as_of);
                return Ok(UserEncoding { state, recency_bucket, cached: false, late });
            }
            Some(Err(error)) => error,
            None => CallError::deadline("the user encoder did not answer in time"),
        };
        // Before the first warm-up there is nothing to stand in.
        let Some(state) = self.nameless.get() else { return Err(error) };
        let (state, late) = (Arc::clone(state), Some(error.message));
        Ok(UserEncoding { state, recency_bucket: 0, cached: true, late })
    }

    /// Makes a state, and keeps it unless it was made from what will be there in a moment. Beside it,
    /// what of it could not be read in time.
    async fn make(
        &self,
        user: &UserView,
        records: &RecordTiers,
        items: &View<'_>,
        deadline: Deadline,
        tiers: Tiers,
    ) -> Result<(Arc<EncodedState>, Option<String>), CallError> {
        let entries = self.entries(user);
        let read_of = self.history_items(&entries, items);
        let set = if self.schema.reads_records {
            let indices = read_of.iter().map(|(item, _)| *item).collect();
            let names = Names::History(&entries);
            // The encoder needs some time too.
            let by = if tiers == Tiers::All { deadline.part(RECORDS_SHARE) } else { deadline };
            Some(records.resolve(indices, names, items, by, tiers).await?)
        } else {
            None
        };
        let features = self.item_features(&entries, &read_of);
        let state = self.run(user, &entries, set.as_ref(), &features, deadline).await?;
        EncodingMetrics::add(&self.metrics.user_states_encoded, 1);
        let state = Arc::new(state);
        // A state made without vectors that will be there in a moment must not outlive that moment.
        if set.as_ref().is_none_or(|set| !set.provisional) {
            let cached = CachedState {
                version: user.version,
                epoch: AtomicU64::new(items.epoch()),
                items: read_of.into(),
                state: Arc::clone(&state),
            };
            self.cache.put(user.user_id.clone(), cached);
        }
        Ok((state, set.and_then(|set| set.late)))
    }

    /// The entries that the bundle reads.
    fn entries<'a>(&self, user: &'a UserView) -> Cow<'a, [HistoryEntry]> {
        if user.recent(self.limits).count() == user.entries.len() {
            return Cow::Borrowed(&user.entries);
        }
        Cow::Owned(user.recent(self.limits).cloned().collect())
    }

    /// Items of the entries and their contents; none when the encoder reads nothing of them.
    fn history_items(&self, entries: &[HistoryEntry], items: &View<'_>) -> Vec<HistoryItem> {
        if !self.schema.reads_records && !self.schema.reads_item_features {
            return Vec::new();
        }
        let mut indices = Vec::with_capacity(entries.len());
        let mut ids = entries.iter().map(|entry| entry.item_id.as_str());
        self.items.indices(&mut ids, &mut indices);
        indices.into_iter().map(|item| (item, items.content(item))).collect()
    }

    /// Features of the entries' items; of one that the table does not have only the id is known.
    fn item_features(&self, entries: &[HistoryEntry], items: &[HistoryItem]) -> Vec<ItemFeatures> {
        if !self.schema.reads_item_features {
            return Vec::new();
        }
        let features = self.features.view();
        let encoder = self.features.encoder();
        let of = |(entry, (item, content)): (&HistoryEntry, &HistoryItem)| match features
            .row(*item)
            .filter(|_| content.is_some())
        {
            Some(row) => row.into(),
            None => encoder.missing_item(&entry.item_id),
        };
        entries.iter().zip(items).map(of).collect()
    }

    async fn run(
        &self,
        user: &UserView,
        entries: &[HistoryEntry],
        records: Option<&RecordSet>,
        item_features: &[ItemFeatures],
        deadline: Deadline,
    ) -> Result<EncodedState, CallError> {
        let encoder = self.features.encoder();
        let user_features = &encoder.user(&user.user_id, user.profile.as_deref());
        let told = match self.schema.reads_told {
            true => encoder.history(entries),
            false => Vec::new(),
        };
        let row = UserRow { entries, records, item_features, user_features, told: &told };
        let entry = self.schema.entry(&row);
        let ran = self.batcher.run(entry, deadline).await.map_err(call_error)?;
        let outputs = self.schema.outputs(ran.output, entries.len())?;
        let history_len = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        Ok(EncodedState { outputs, history_len })
    }

    fn recency_bucket(&self, user: &UserView, as_of: TimestampMs) -> u8 {
        let newest = user.recent(self.limits).next().map_or(&[][..], slice::from_ref);
        HistoryBlock { entries: newest, time: self.schema.time }.recency_bucket(as_of)
    }
}

/// Share of the time for a state that its records may take.
const RECORDS_SHARE: f64 = 0.8;

fn call_error(error: BatchError) -> CallError {
    match error {
        BatchError::Expired => CallError::deadline(format!("user encoder: {error}")),
        BatchError::Stopped => CallError::unavailable(format!("user encoder: {error}")),
        BatchError::Failed(_) | BatchError::TooLarge { .. } => {
            CallError::internal(format!("user encoder: {error}"))
        }
    }
}

//! User states: history and profile through the user encoder, cached by what they were made from.

use std::sync::{Arc, OnceLock};

use plugrank_bundle::{Bundle, FeatureEncoder, GraphName, manifest::HistoryLengths};
use plugrank_contract::{
    CallError, HistoryEntry, ItemId, Matrix, TimestampMs, UserId,
    embedding::{RecordOrigin, UserState},
    item::ContentHash,
};
use plugrank_inference::{
    Library, SessionOptions,
    batcher::{
        BatchError, BatchObserver, Batcher, Buckets, GraphModel, Policy, RowAxis, Variable,
        history_buckets, sources::HistoryBlock, warm_up,
    },
};
use plugrank_store::{Store, StoredItem};
use tokio::time::Instant;

use crate::{
    error::EmbeddingError,
    memory::{Record, UserMemory},
    metrics::EmbeddingMetrics,
    options::EmbeddingOptions,
    user_inputs::{UserRow, UserSchema},
};

/// What is known of a user at a moment, before any vector is looked at.
pub(crate) struct UserFacts {
    id: UserId,
    as_of: TimestampMs,
    entries: Vec<HistoryEntry>,
    features: Box<[i64]>,
}

impl UserFacts {
    /// Items of the history, newest first.
    pub(crate) fn items(&self) -> impl Iterator<Item = &ItemId> {
        self.entries.iter().map(|entry| &entry.item_id)
    }
}

/// Makes and keeps user states.
pub(crate) struct UserStates {
    pub(crate) schema: UserSchema,
    store: Arc<dyn Store>,
    features: Arc<FeatureEncoder>,
    memory: UserMemory,
    batcher: Batcher<GraphModel>,
    reads_history: bool,
    lengths: HistoryLengths,
    metrics: Arc<EmbeddingMetrics>,
    /// The state of a user of whom nothing is known: the last resort.
    nameless: OnceLock<Arc<[Matrix]>>,
}

/// What a state is made of besides the user's facts.
pub(crate) struct HistoryItems<'a> {
    /// Record of each entry's item; empty when none are read.
    pub(crate) records: &'a [Record],
    pub(crate) origins: &'a [RecordOrigin],
    /// The items themselves, where the store was asked for them.
    pub(crate) stored: Option<&'a [Option<Arc<StoredItem>>]>,
}

impl UserStates {
    #[expect(clippy::too_many_arguments, reason = "called once, from the service's constructor")]
    pub(crate) fn start(
        library: &Library,
        bundle: &Bundle,
        store: Arc<dyn Store>,
        features: Arc<FeatureEncoder>,
        (options, session): (&EmbeddingOptions, SessionOptions),
        observer: Arc<dyn BatchObserver>,
        metrics: Arc<EmbeddingMetrics>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, EmbeddingError> {
        let schema = UserSchema::load(bundle, features.item_slots(), features.user_slots())?;
        let load = |_| GraphModel::load(library, bundle, GraphName::UserEncoder, session);
        let mut models: Vec<GraphModel> =
            (0..options.user_threads).map(load).collect::<Result<_, _>>()?;
        let reads_history = models.iter().any(|model| model.varies_with(Variable::History));
        let lengths = bundle.manifest().history;
        let longest = if reads_history { lengths.clicks + lengths.impressions } else { 1 };
        let buckets = Buckets::new(
            options.user_buckets.clone(),
            vec![1],
            history_buckets(longest),
            RowAxis::History,
            options.user_batch_rows.max(longest),
        )?;
        let times = warm_up(&mut models, &buckets, progress)?;
        let policy = Policy { max_wait: options.user_batch_wait, ..Policy::new(buckets) };
        let batcher = Batcher::start("user-encoder", models, policy, times, observer)?;
        let bytes = (options.memory_bytes as f64 * options.user_state_share) as u64;
        let memory = UserMemory::new(bytes);
        let nameless = OnceLock::new();
        Ok(Self {
            schema,
            store,
            features,
            memory,
            batcher,
            reads_history,
            lengths,
            metrics,
            nameless,
        })
    }

    /// Makes the state of a user of whom nothing is known, and keeps it.
    pub(crate) async fn warm_up(&self) -> Result<(), CallError> {
        // An id with a line break is in no vocabulary, which has one value a line.
        let nobody = self.unknown(UserId::from("\n"), 0);
        let none = HistoryItems { records: &[], origins: &[], stored: Some(&[]) };
        let outputs = self.run(&nobody, &none, None).await?;
        // A second warm-up finds the first one's state, which is the same.
        let _ = self.nameless.set(outputs);
        Ok(())
    }

    /// Facts of a user who could not be read.
    pub(crate) fn unknown(&self, id: UserId, as_of: TimestampMs) -> UserFacts {
        let features = self.features.user(&id, None);
        UserFacts { id, as_of, entries: Vec::new(), features }
    }

    /// The state that stands in for one that cannot be made in time.
    pub(crate) fn stand_in(&self) -> Option<UserState> {
        let outputs = self.nameless.get()?.to_vec();
        Some(UserState { outputs, recency_bucket: 0, history_len: 0, cached: true })
    }

    /// Whether every worker still runs.
    pub(crate) fn alive(&self) -> bool {
        self.batcher.alive()
    }

    /// Bytes of states held in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// Reads a user's history strictly before `as_of`, and the profile.
    pub(crate) async fn facts(
        &self,
        id: UserId,
        as_of: TimestampMs,
    ) -> Result<UserFacts, CallError> {
        let HistoryLengths { clicks, impressions } = self.lengths;
        let history = self.store.history(&id, as_of, clicks, impressions);
        let (history, profile) = futures::future::join(history, self.store.user(&id)).await;
        let unreadable =
            |error| CallError::unavailable(format!("user `{id}` could not be read: {error}"));
        let (history, profile) = (history.map_err(unreadable)?, profile.map_err(unreadable)?);
        let features = self.features.user(&id, profile.as_deref());
        Ok(UserFacts { id, as_of, entries: history.entries, features })
    }

    /// Key of a state: everything it is made from. `contents` are those of the history's items.
    pub(crate) fn key(&self, facts: &UserFacts, contents: &[Option<ContentHash>]) -> [u8; 32] {
        let mut hash = blake3::Hasher::new();
        let mut text = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        text(facts.id.as_str());
        facts.entries.iter().for_each(|entry| text(entry.item_id.as_str()));
        for entry in &facts.entries {
            hash.update(&[u8::from(entry.clicked)]);
            hash.update(&entry.timestamp.to_le_bytes());
        }
        for content in contents {
            match content {
                None => hash.update(&[0]),
                Some(content) => hash.update(&[1]).update(content),
            };
        }
        for id in &facts.features {
            hash.update(&id.to_le_bytes());
        }
        *hash.finalize().as_bytes()
    }

    /// A state from the cache.
    pub(crate) fn cached(&self, facts: &UserFacts, key: &[u8; 32]) -> Option<UserState> {
        let outputs = self.memory.state(key)?;
        EmbeddingMetrics::add(&self.metrics.user_states_cached, 1);
        Some(self.state(facts, &outputs, true))
    }

    /// Makes a state from the records of the history's items.
    pub(crate) async fn encode(
        &self,
        facts: &UserFacts,
        key: [u8; 32],
        history: &HistoryItems<'_>,
        deadline: Option<Instant>,
    ) -> Result<UserState, CallError> {
        let outputs = self.run(facts, history, deadline).await?;
        EmbeddingMetrics::add(&self.metrics.user_states_encoded, 1);
        // A state made without vectors that will be there in a moment must not outlive that
        // moment. Items the catalog does not have are part of the key.
        let provisional = history.stored.is_none_or(|stored| {
            let missing = |(item, origin): (&Option<_>, &RecordOrigin)| {
                item.is_some() && *origin == RecordOrigin::Missing
            };
            stored.iter().zip(history.origins).any(missing)
        });
        if !provisional {
            self.memory.put(key, Arc::clone(&outputs));
        }
        Ok(self.state(facts, &outputs, false))
    }

    async fn run(
        &self,
        facts: &UserFacts,
        history: &HistoryItems<'_>,
        deadline: Option<Instant>,
    ) -> Result<Arc<[Matrix]>, CallError> {
        let stored = |at: usize| history.stored.and_then(|stored| stored.get(at)?.as_ref());
        let item_features: Vec<_> = if self.schema.reads_item_features {
            let of = |(at, id): (usize, &ItemId)| match stored(at) {
                Some(item) => self.features.item(&item.item),
                None => self.features.missing_item(id),
            };
            facts.items().enumerate().map(of).collect()
        } else {
            Vec::new()
        };
        let row = UserRow {
            entries: &facts.entries,
            records: history.records,
            item_features: &item_features,
            user_features: &facts.features,
        };
        let mut entry = self.schema.entry(&row);
        if !self.reads_history {
            entry.dims.history = 1;
        }
        let ran = self.batcher.run(entry, deadline).await.map_err(call_error)?;
        let outputs = self.schema.matrices(&ran.output, facts.entries.len());
        outputs.map_err(|error| CallError::internal(error.to_string()))
    }

    fn state(&self, facts: &UserFacts, outputs: &Arc<[Matrix]>, cached: bool) -> UserState {
        let history = HistoryBlock { entries: &facts.entries, time: self.schema.time };
        UserState {
            outputs: outputs.to_vec(),
            recency_bucket: history.recency_bucket(facts.as_of),
            history_len: u32::try_from(facts.entries.len()).unwrap_or(u32::MAX),
            cached,
        }
    }
}

fn call_error(error: BatchError) -> CallError {
    match error {
        BatchError::Expired => CallError::deadline(format!("user encoder: {error}")),
        BatchError::Stopped => CallError::unavailable(format!("user encoder: {error}")),
        BatchError::Failed(_) | BatchError::TooLarge { .. } => {
            CallError::internal(format!("user encoder: {error}"))
        }
    }
}

//! The parts put together.

use std::sync::{Arc, atomic::AtomicUsize};

use plugrank_bundle::{Bundle, ItemRecordLayout};
use plugrank_contract::{
    CallError, Deadline, ItemId, ItemIndex, ItemList, TimestampMs, UserId, UserRead, UserView,
    embedding::Tiers,
};
use plugrank_inference::{
    Library, SessionOptions,
    batcher::{BatchObserver, NoObserver},
};
use plugrank_items::{FeatureColumn, ItemTable, RecordTable, RefreshedItems};
use plugrank_settings::{check, refuse};
use plugrank_store::{Store, StoreError, VectorSpace};
use tokio::runtime::Handle;

use crate::{
    encode_queue::{EncodeCore, EncodeQueue},
    encode_rate::EncodeRate,
    encoder::Encoder,
    error::EncodingError,
    item_models::ItemSchema,
    metrics::{EncodingCounts, EncodingMetrics},
    missing_records::MissingRecords,
    options::EncodingOptions,
    record_set::RecordSet,
    record_tiers::{Names, RecordTiers},
    table_writer::TableWriter,
    unified_inputs::UnifiedInputs,
    user_reader::UserReader,
    user_states::{UserEncoding, UserStateParts, UserStates},
    write_back::WriteBack,
};

/// Share of a call's time that reading the user may take, so that something is left for the state.
const USER_SHARE: f64 = 0.6;

/// What [`Encoding`] is built from.
pub struct EncodingParts {
    /// ONNX Runtime.
    pub library: Library,
    /// The model.
    pub bundle: Arc<Bundle>,
    /// Contents of items, behaviour and cached vectors.
    pub store: Arc<dyn Store>,
    /// The item table.
    pub items: Arc<ItemTable>,
    /// Features of the bundle for every item of the table, attached to it before it was loaded.
    pub features: Arc<FeatureColumn>,
    /// What graphs run on.
    pub session: SessionOptions,
    /// How encoding is run.
    pub options: EncodingOptions,
    /// Told of user-encoder batches.
    pub observer: Option<Arc<dyn BatchObserver>>,
}

/// Item records and user states of one bundle, cached, encoded on a miss.
pub struct Encoding {
    pub(crate) tiers: RecordTiers,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) options: EncodingOptions,
    items: Arc<ItemTable>,
    users: UserReader,
    states: UserStates,
    version: String,
    metrics: Arc<EncodingMetrics>,
}

impl Encoding {
    /// Loads the graphs, runs every user-encoder shape once (`progress`: done, of) and starts the
    /// background work. Takes seconds and blocks: not for an executor's thread.
    ///
    /// # Errors
    /// When the bundle, an option or a graph cannot be used, or there is no tokio runtime.
    pub fn new(
        parts: EncodingParts,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, EncodingError> {
        let EncodingParts { library, bundle, store, items, features, session, options, observer } =
            parts;
        refuse(check(&options)).map_err(EncodingError::Option)?;
        let runtime = Handle::try_current().map_err(|_| EncodingError::NoRuntime)?;
        let metrics = Arc::<EncodingMetrics>::default();
        let schema = Arc::new(ItemSchema::load(&bundle, Arc::clone(features.encoder()))?);
        let encoder = Arc::new(Encoder::start(
            &library,
            &bundle,
            schema,
            Arc::clone(&store),
            (&options, session),
            Arc::clone(&metrics),
        )?);
        let state_parts = UserStateParts {
            library: &library,
            bundle: &bundle,
            items: Arc::clone(&items),
            features: Arc::clone(&features),
            options: &options,
            session,
            observer: observer.unwrap_or_else(|| Arc::new(NoObserver)),
            metrics: Arc::clone(&metrics),
        };
        let states = UserStates::start(state_parts, progress)?;
        let (for_records, for_missing) = options.record_bytes();
        let records = RecordTable::new(bundle.record().clone(), for_records);
        let table = Arc::new(TableWriter { items: Arc::clone(&items), records });
        let space = VectorSpace::Record(bundle.version().to_owned());
        let write_back = WriteBack::start(
            &runtime,
            Arc::clone(&store),
            (encoder.modal_space().clone(), space.clone()),
            options.write_back_queue.div_ceil(options.encode_batch),
            Arc::clone(&metrics),
        );
        let core = EncodeCore {
            store: Arc::clone(&store),
            encoder: Arc::clone(&encoder),
            table: Arc::clone(&table),
            write_back,
            metrics: Arc::clone(&metrics),
            rate: EncodeRate::default(),
            waited_for: AtomicUsize::new(0),
        };
        let queue = EncodeQueue::start(&runtime, Arc::new(core), &options);
        let encodes = Arc::clone(features.encoder());
        let missing = MissingRecords::new(&bundle, encodes, encoder, runtime, for_missing);
        let tiers = RecordTiers {
            store: Arc::clone(&store),
            table,
            features,
            queue,
            missing,
            metrics: Arc::clone(&metrics),
            space,
            encode_on_miss: options.encode_on_miss,
            max_encoded: options.encode_per_call,
        };
        let users = UserReader::for_bundle(Arc::clone(&store), &bundle);
        let version = bundle.version().to_owned();
        Ok(Self { tiers, store, options, items, users, states, version, metrics })
    }

    /// Runs both encoders once and keeps the missing record of an unknown item and the state of an
    /// unknown user, the last resort of a call without time.
    ///
    /// # Errors
    /// When the graph fails.
    pub async fn warm_up(&self) -> Result<(), EncodingError> {
        self.tiers.missing.warm_up().await?;
        let state = self.states.warm_up().await;
        state.map_err(|error| EncodingError::Encode(error.to_string()))
    }

    /// Records of items, in their order. It always answers: what is not there by `deadline` is a
    /// missing record, and goes on being encoded behind the call. Where the record table has all of
    /// them, nothing is waited for, and nothing is allocated per item.
    ///
    /// # Errors
    /// Only when not even a missing record can be made.
    pub async fn records(
        &self,
        items: &ItemList,
        deadline: Deadline,
        tiers: Tiers,
    ) -> Result<RecordSet, EncodingError> {
        let indices = items.shared_indices_in(&self.items);
        let view = self.items.view();
        self.tiers.resolve(indices, Names::List(items), &view, deadline, tiers).await
    }

    /// The state of a user whose history goes back as far as the bundle reads it: see
    /// [`Self::users`]. When it cannot be made by `deadline` it is that of an unknown user.
    ///
    /// # Errors
    /// When it cannot be made before the first warm-up.
    pub async fn user_state(
        &self,
        user: &UserView,
        as_of: TimestampMs,
        deadline: Deadline,
        tiers: Tiers,
    ) -> Result<UserEncoding, CallError> {
        self.states.state(user, as_of, &self.tiers, deadline, tiers).await
    }

    /// Records of items and the state of a user, side by side.
    ///
    /// # Errors
    /// When not even what stands in for them can be made.
    pub async fn unified_inputs(
        &self,
        items: &ItemList,
        (user_id, user): (&UserId, &UserRead),
        as_of: TimestampMs,
        deadline: Deadline,
        tiers: Tiers,
    ) -> Result<UnifiedInputs, CallError> {
        let state = async {
            let by = deadline.part(USER_SHARE);
            let (view, why) = self.users.read(user_id, as_of, user, by).await;
            (self.user_state(&view, as_of, deadline, tiers).await, why)
        };
        let records = self.records(items, deadline, tiers);
        let (records, (user, unread)) = futures::future::join(records, state).await;
        let (mut records, mut user) = (records?, user?);
        let reasons = [unread, user.late.take(), records.late.take()];
        Ok(UnifiedInputs { records, user, late: joined(reasons) })
    }

    /// Reads items of the store again, and forgets their records, unless what they are made of is the same.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn invalidate(&self, ids: &[ItemId]) -> Result<RefreshedItems, StoreError> {
        let applied = self.items.refresh(self.store.as_ref(), ids).await?;
        let changed: Vec<ItemIndex> = {
            let (items, records) = (self.items.view(), self.records_table().view());
            let current = |item: &ItemIndex| {
                records.get(*item).is_some_and(|row| row.content() == items.content(*item))
            };
            let written = applied.written.iter().filter(|item| !current(item));
            written.chain(&applied.removed).copied().collect()
        };
        self.records_table().forget(&changed);
        Ok(applied)
    }

    /// Version of the bundle.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What a record consists of.
    #[must_use]
    pub fn layout(&self) -> &ItemRecordLayout {
        self.records_table().layout()
    }

    /// How it is run.
    #[must_use]
    pub fn options(&self) -> &EncodingOptions {
        &self.options
    }

    /// Catalog, behaviour and cached vectors.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The item table of the process.
    #[must_use]
    pub fn items(&self) -> &Arc<ItemTable> {
        &self.items
    }

    /// Features of every item.
    #[must_use]
    pub fn features(&self) -> &Arc<FeatureColumn> {
        &self.tiers.features
    }

    /// The records in process.
    #[must_use]
    pub fn records_table(&self) -> &Arc<RecordTable> {
        &self.tiers.table.records
    }

    /// Reads users as far back as the bundle reads their histories.
    #[must_use]
    pub fn users(&self) -> &UserReader {
        &self.users
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counts(&self) -> EncodingCounts {
        self.metrics.snapshot()
    }

    /// Bytes held by the in-process tier: item records and user states.
    #[must_use]
    pub fn memory_bytes(&self) -> (u64, u64) {
        (self.records_table().bytes() + self.tiers.missing.bytes(), self.states.bytes())
    }

    /// Items queued or being encoded.
    #[must_use]
    pub fn encoding(&self) -> usize {
        self.tiers.queue.under_way()
    }

    /// Whether every worker still runs; false fails readiness.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.tiers.queue.core.encoder.alive() && self.states.alive()
    }

    /// Waits until what was encoded so far is in the store.
    pub async fn flush(&self) {
        self.tiers.queue.core.write_back.flush().await;
    }
}

/// All reasons as one, each once.
fn joined<const N: usize>(reasons: [Option<String>; N]) -> Option<String> {
    let add = |all: String, one: String| match all.contains(&one) {
        true => all,
        false => format!("{all}; {one}"),
    };
    reasons.into_iter().flatten().reduce(add)
}

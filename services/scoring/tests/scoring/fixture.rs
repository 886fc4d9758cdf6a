//! A store in a temporary folder, the small bundle, and scoring with the encoders beside it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use plugrank_bundle::Bundle;
use plugrank_contract::{
    CallError, Context, Event, EventType, Item, ItemId, TimestampMs, UserId, UserRead,
    embedding::{Fetch, Tiers},
    scoring::{ModelKind, Score, Scored},
};
use plugrank_embedding::EmbeddingService;
use plugrank_encoding::{Embeddings, Encoding, EncodingOptions, EncodingParts, RemoteEncoding};
use plugrank_inference::{Library, SessionOptions};
use plugrank_items::{FeatureColumn, ItemTable};
use plugrank_scoring::{ScoringOptions, ScoringParts, ScoringService};
use plugrank_store::{NewItem, Store};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
use plugrank_transport::{Client, Service};

pub(crate) struct Fixture {
    pub(crate) scoring: Arc<ScoringService>,
    pub(crate) encoding: Arc<Encoding>,
    pub(crate) items: Arc<ItemTable>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bundle: Arc<Bundle>,
    _folder: tempfile::TempDir,
}

pub(crate) fn small_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/bundle/tests/fixtures/small")
}

pub(crate) fn library() -> Library {
    Library::load(None).expect("ORT_DYLIB_PATH names the ONNX Runtime library")
}

/// Few shapes, so that a test starts quickly, and a row limit that larger requests exceed.
pub(crate) fn options() -> ScoringOptions {
    ScoringOptions {
        batch_rows: 64,
        candidate_buckets: vec![8, 32],
        user_buckets: vec![1, 2, 4],
        workers: 1,
        run_in_place_us: 0,
        margin_us: 500,
        ..ScoringOptions::default()
    }
}

/// Items `i1` to `i40`; some have two categories, some no age.
fn items() -> Vec<NewItem> {
    let words = ["red", "blue", "lamp", "shoe", "a", "book"];
    let categories = |number: usize| {
        let second = number.is_multiple_of(4).then_some("sale");
        let all = [Some(["toys", "shoes", "books"][number % 3]), second];
        all.into_iter().flatten().map(str::to_owned).collect()
    };
    let item = |number: usize| Item {
        item_id: ItemId::from(format!("i{number}")),
        title: format!("{} {}", words[number % 6], words[(number / 6) % 6]),
        text: String::new(),
        categories: categories(number),
        created_at: (!number.is_multiple_of(5)).then_some(number as i64 * 1_000),
        available: true,
        image_hash: None,
        features: BTreeMap::new(),
    };
    (1..=40).map(|number| NewItem { item: item(number), image: None }).collect()
}

/// User `uN` has N events, one every 1000 s, every other one a click.
fn events() -> Vec<Event> {
    let event = |user: i64, at: i64| Event {
        event_id: format!("{user}-{at}"),
        event_type: if at % 2 == 0 { EventType::click() } else { EventType::impression() },
        user_id: UserId::from(format!("u{user}")),
        item_id: ItemId::from(format!("i{}", user * 3 + at)),
        value: None,
        request_id: None,
        position: None,
        surface: None,
        timestamp: at * 1_000_000,
    };
    (0..=6).flat_map(|user| (1..=user).map(move |at| event(user, at))).collect()
}

/// The item table of one process, with the features that the bundle reads.
pub(crate) struct Catalog {
    pub(crate) items: Arc<ItemTable>,
    pub(crate) features: Arc<FeatureColumn>,
}

impl Catalog {
    /// The store's items; `first` get the first indices.
    pub(crate) async fn load(bundle: &Bundle, store: &dyn Store, first: &[ItemId]) -> Self {
        let items = ItemTable::new();
        let features = FeatureColumn::new(Arc::new(bundle.feature_encoder().unwrap()));
        items.attach(Arc::clone(&features));
        let _ = items.indices_or_new(first);
        items.load(store, &|_| {}).await.unwrap();
        Self { items, features }
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(Bundle::open(&small_folder()).unwrap()), options()).await
    }

    pub(crate) async fn with(bundle: Arc<Bundle>, options: ScoringOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let store: Arc<dyn Store> =
            Arc::new(EmbeddedStore::open(&path, EmbeddedOptions::default()).unwrap());
        store.put_items(items()).await.unwrap();
        store.append_events(events()).await.unwrap();
        let Catalog { items, features } = Catalog::load(&bundle, store.as_ref(), &[]).await;
        let encoders = EncodingParts {
            library: library(),
            bundle: Arc::clone(&bundle),
            store: Arc::clone(&store),
            items: Arc::clone(&items),
            features,
            session: SessionOptions::default(),
            options: EncodingOptions::default(),
            observer: None,
        };
        let encoding = Arc::new(Encoding::new(encoders, &mut |_, _| {}).unwrap());
        encoding.warm_up().await.unwrap();
        let scoring = scoring(ScoringParts { options, ..parts(&bundle, &store, &encoding) });
        Self { scoring, encoding, items, store, bundle, _folder: folder }
    }

    /// What another service over the same store and table is built from.
    pub(crate) fn parts(&self) -> ScoringParts {
        parts(&self.bundle, &self.store, &self.encoding)
    }

    /// The embedding role over the same encoders.
    pub(crate) fn embedding_role(&self) -> Arc<EmbeddingService> {
        Arc::new(EmbeddingService::new(Arc::clone(&self.encoding)))
    }

    /// A service that asks an embedding role.
    pub(crate) fn beside(
        &self,
        role: Client<Fetch>,
        options: ScoringOptions,
    ) -> Arc<ScoringService> {
        let remote = RemoteEncoding::new(role, Arc::clone(&self.bundle), Arc::clone(&self.items));
        scoring(ScoringParts { embeddings: Embeddings::Remote(remote), options, ..self.parts() })
    }

    /// A service in a process of its own, with an item table that numbers the items otherwise, and
    /// the embedding role elsewhere.
    pub(crate) async fn apart(&self) -> (Arc<ScoringService>, Arc<ItemTable>) {
        let first: Vec<ItemId> =
            (1..=40).rev().map(|number| ItemId::from(format!("i{number}"))).collect();
        let Catalog { items, features } =
            Catalog::load(&self.bundle, self.store.as_ref(), &first).await;
        let role = self.embedding_role();
        let remote = RemoteEncoding::new(role, Arc::clone(&self.bundle), Arc::clone(&items));
        let embeddings = Embeddings::Remote(remote);
        let table = Arc::clone(&items);
        (scoring(ScoringParts { embeddings, items, features, ..self.parts() }), table)
    }

    pub(crate) async fn score(&self, call: Score) -> Result<Scored, CallError> {
        self.scoring.call(Context::background(), call).await
    }
}

fn parts(bundle: &Arc<Bundle>, store: &Arc<dyn Store>, encoding: &Arc<Encoding>) -> ScoringParts {
    ScoringParts {
        library: library(),
        bundle: Arc::clone(bundle),
        embeddings: Embeddings::Here(Arc::clone(encoding)),
        store: Arc::clone(store),
        items: Arc::clone(encoding.items()),
        features: Arc::clone(encoding.features()),
        options: options(),
        max_candidates: 200,
        formulas: Vec::new(),
        observer: None,
        remote: None,
    }
}

pub(crate) fn scoring(parts: ScoringParts) -> Arc<ScoringService> {
    Arc::new(ScoringService::new(parts, &mut |_, _, _| {}).unwrap())
}

pub(crate) const LATER: TimestampMs = 9_000_000;

pub(crate) fn call(user: &str, items: impl IntoIterator<Item = usize>) -> Score {
    Score {
        user_id: UserId::from(user),
        items: items.into_iter().map(|item| ItemId::from(format!("i{item}"))).collect(),
        user: UserRead::NotRead,
        as_of: LATER,
        model: ModelKind::Unified,
        tiers: Tiers::All,
        facts_for: 0,
        rule_inputs: Arc::default(),
        given: None,
        value: None,
        explain: false,
    }
}

pub(crate) fn near(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    for (at, (x, y)) in a.iter().zip(b).enumerate() {
        assert!((x - y).abs() <= tolerance, "row {at}: {x} and {y}");
    }
}

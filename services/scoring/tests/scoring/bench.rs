//! A store in a temporary folder, the small bundle, and both services over them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use plugrank_bundle::Bundle;
use plugrank_contract::{
    CallError, Context, Event, EventType, Item, ItemId, TimestampMs, UserId,
    embedding::{Fetch, Tiers},
    scoring::{ModelKind, Score, Scored},
};
use plugrank_embedding::{EmbeddingOptions, EmbeddingParts, EmbeddingService};
use plugrank_inference::{Library, SessionOptions};
use plugrank_scoring::{ScoringOptions, ScoringParts, ScoringService};
use plugrank_store::{EmbeddedOptions, EmbeddedStore, NewItem, Store};
use plugrank_transport::{Client, Service};

pub(crate) struct Bench {
    pub(crate) scoring: Arc<ScoringService>,
    pub(crate) embedding: Arc<EmbeddingService>,
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
        max_candidates: 200,
        ..ScoringOptions::default()
    }
}

fn items() -> Vec<NewItem> {
    let words = ["red", "blue", "lamp", "shoe", "a", "book"];
    let item = |number: usize| Item {
        item_id: ItemId::from(format!("i{number}")),
        title: format!("{} {}", words[number % 6], words[(number / 6) % 6]),
        text: String::new(),
        categories: vec![["toys", "shoes", "books"][number % 3].to_owned()],
        created_at: None,
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
        event_type: if at % 2 == 0 { EventType::Click } else { EventType::Impression },
        user_id: UserId::from(format!("u{user}")),
        item_id: ItemId::from(format!("i{}", user * 3 + at)),
        request_id: None,
        position: None,
        timestamp: at * 1_000_000,
    };
    (0..=6).flat_map(|user| (1..=user).map(move |at| event(user, at))).collect()
}

impl Bench {
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
        let parts = EmbeddingParts {
            library: library(),
            bundle: Arc::clone(&bundle),
            store: Arc::clone(&store),
            session: SessionOptions::default(),
            options: EmbeddingOptions::default(),
            observer: None,
        };
        let embedding = Arc::new(EmbeddingService::new(parts, &mut |_, _| {}).unwrap());
        embedding.warm_up().await.unwrap();
        let client: Client<Fetch> = embedding.clone();
        let scoring = scoring(&bundle, &store, client, options);
        Self { scoring, embedding, store, bundle, _folder: folder }
    }

    pub(crate) async fn score(&self, call: Score) -> Result<Scored, CallError> {
        self.scoring.call(Context::background(), call).await
    }
}

pub(crate) fn scoring(
    bundle: &Arc<Bundle>,
    store: &Arc<dyn Store>,
    embedding: Client<Fetch>,
    options: ScoringOptions,
) -> Arc<ScoringService> {
    let parts = ScoringParts {
        library: library(),
        bundle: Arc::clone(bundle),
        embedding,
        store: Arc::clone(store),
        session: SessionOptions::default(),
        options,
        observer: None,
        elsewhere: None,
    };
    Arc::new(ScoringService::new(parts, &mut |_, _, _| {}).unwrap())
}

pub(crate) const LATER: TimestampMs = 9_000_000;

pub(crate) fn call(user: &str, items: impl IntoIterator<Item = usize>) -> Score {
    Score {
        user_id: UserId::from(user),
        item_ids: items.into_iter().map(|item| ItemId::from(format!("i{item}"))).collect(),
        as_of: LATER,
        model: ModelKind::Unified,
        tiers: Tiers::All,
    }
}

pub(crate) fn near(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    for (at, (x, y)) in a.iter().zip(b).enumerate() {
        assert!((x - y).abs() <= tolerance, "row {at}: {x} and {y}");
    }
}

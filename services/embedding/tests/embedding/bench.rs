//! A store in a temporary folder, the small bundle, and the service over them.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use plugrank_bundle::Bundle;
use plugrank_contract::{
    Context, Event, EventType, Item, ItemId, TimestampMs, User, UserId,
    embedding::{Fetch, Fetched, RecordOrigin, Tiers},
};
use plugrank_embedding::{EmbeddingOptions, EmbeddingParts, EmbeddingService};
use plugrank_inference::{Library, SessionOptions};
use plugrank_store::{EmbeddedOptions, EmbeddedStore, NewItem, Store};
use plugrank_transport::Service;

pub(crate) struct Bench {
    pub(crate) service: Arc<EmbeddingService>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bundle: Arc<Bundle>,
    _folder: tempfile::TempDir,
}

pub(crate) fn small_bundle() -> Arc<Bundle> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = folder.join("../../shared/bundle/tests/fixtures/small");
    Arc::new(Bundle::open(&folder).unwrap())
}

pub(crate) fn library() -> Library {
    Library::load(None).expect("ORT_DYLIB_PATH names the ONNX Runtime library")
}

pub(crate) fn item(id: &str, title: &str) -> NewItem {
    let item = Item {
        item_id: ItemId::from(id),
        title: title.to_owned(),
        text: String::new(),
        categories: vec!["toys".to_owned()],
        created_at: None,
        available: true,
        image_hash: None,
        features: BTreeMap::new(),
    };
    NewItem { item, image: None }
}

pub(crate) fn ids(names: &[&str]) -> Vec<ItemId> {
    names.iter().map(|name| ItemId::from(*name)).collect()
}

pub(crate) fn event(number: u64, user: &str, item: &str, at: TimestampMs) -> Event {
    Event {
        event_id: format!("e{number}"),
        event_type: if number.is_multiple_of(2) { EventType::Click } else { EventType::Impression },
        user_id: UserId::from(user),
        item_id: ItemId::from(item),
        request_id: None,
        position: None,
        timestamp: at,
    }
}

pub(crate) fn service(store: &Arc<dyn Store>, options: EmbeddingOptions) -> Arc<EmbeddingService> {
    let parts = EmbeddingParts {
        library: library(),
        bundle: small_bundle(),
        store: Arc::clone(store),
        session: SessionOptions::default(),
        options,
        observer: None,
    };
    Arc::new(EmbeddingService::new(parts, &mut |_, _| {}).unwrap())
}

impl Bench {
    /// Six items (`i1` to `i5`, and `new`, which the vocabulary lacks) and two users, of whom `u1`
    /// has a history of four entries at 1000 to 4000 s.
    pub(crate) async fn new(options: EmbeddingOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let store: Arc<dyn Store> =
            Arc::new(EmbeddedStore::open(&path, EmbeddedOptions::default()).unwrap());
        let titles = ["red lamp", "blue shoe", "a book", "red shoe", "blue book"];
        let named = titles.iter().enumerate();
        let mut items: Vec<_> =
            named.map(|(at, title)| item(&format!("i{}", at + 1), title)).collect();
        items.push(item("new", "a red book"));
        store.put_items(items).await.unwrap();
        let users =
            ["u1", "u2"].map(|id| User { user_id: UserId::from(id), features: BTreeMap::new() });
        store.put_users(users.to_vec()).await.unwrap();
        let events = (1..=4).map(|at| event(at, "u1", &format!("i{at}"), at as i64 * 1_000_000));
        store.append_events(events.collect()).await.unwrap();
        let service = service(&store, options);
        service.warm_up().await.unwrap();
        Self { service, store, bundle: small_bundle(), _folder: folder }
    }

    pub(crate) async fn fetch(&self, names: &[&str]) -> Fetched {
        let call = Fetch { item_ids: ids(names), user: None, tiers: Tiers::All };
        self.service.call(Context::background(), call).await.unwrap()
    }

    pub(crate) async fn fetch_user(&self, user: &str, as_of: TimestampMs) -> Fetched {
        let call = Fetch {
            item_ids: Vec::new(),
            user: Some((UserId::from(user), as_of)),
            tiers: Tiers::All,
        };
        self.service.call(Context::background(), call).await.unwrap()
    }
}

/// Lets background work come to its end.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..5_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not come about within five seconds");
}

pub(crate) fn all(fetched: &Fetched, origin: RecordOrigin) -> bool {
    fetched.origins.iter().all(|one| *one == origin)
}

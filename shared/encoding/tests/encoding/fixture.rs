//! A store in a temporary folder, the small bundle, and an encoding over them.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use plugrank_bundle::Bundle;
use plugrank_contract::Deadline;
use plugrank_contract::{
    Event, EventType, Item, ItemId, ItemList, TimestampMs, User, UserId, UserRead, UserView,
    embedding::{RecordOrigin, Tiers},
};
use plugrank_encoding::{Encoding, EncodingOptions, EncodingParts, RecordSet, UserEncoding};
use plugrank_inference::{Library, SessionOptions};
use plugrank_items::{FeatureColumn, ItemTable};
use plugrank_store::{NewItem, Store};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};

pub(crate) struct Fixture {
    pub(crate) encoding: Arc<Encoding>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bundle: Arc<Bundle>,
    _folder: tempfile::TempDir,
}

pub(crate) fn small_bundle() -> Arc<Bundle> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    Arc::new(Bundle::open(&folder.join("../bundle/tests/fixtures/small")).unwrap())
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

pub(crate) fn list(names: &[&str]) -> ItemList {
    ItemList::named(ids(names))
}

pub(crate) fn event(number: u64, user: &str, item: &str, at: TimestampMs) -> Event {
    Event {
        event_id: format!("e{number}"),
        event_type: if number.is_multiple_of(2) {
            EventType::click()
        } else {
            EventType::impression()
        },
        user_id: UserId::from(user),
        item_id: ItemId::from(item),
        value: None,
        request_id: None,
        position: None,
        surface: None,
        timestamp: at,
    }
}

/// What an encoding is built from, with the item table of the store loaded.
pub(crate) async fn parts(store: &Arc<dyn Store>, options: EncodingOptions) -> EncodingParts {
    parts_of(small_bundle(), store, options).await
}

/// The same for another bundle.
pub(crate) async fn parts_of(
    bundle: Arc<Bundle>,
    store: &Arc<dyn Store>,
    options: EncodingOptions,
) -> EncodingParts {
    let items = ItemTable::new();
    let features = FeatureColumn::new(Arc::new(bundle.feature_encoder().unwrap()));
    items.attach(Arc::clone(&features));
    items.load(store.as_ref(), &|_| {}).await.unwrap();
    EncodingParts {
        library: Library::load(None).expect("ORT_DYLIB_PATH names the ONNX Runtime library"),
        bundle,
        store: Arc::clone(store),
        items,
        features,
        session: SessionOptions::default(),
        options,
        observer: None,
    }
}

/// An encoding of another process over the same store.
pub(crate) async fn encoding(store: &Arc<dyn Store>, options: EncodingOptions) -> Arc<Encoding> {
    let encoding = Encoding::new(parts(store, options).await, &mut |_, _| {}).unwrap();
    encoding.warm_up().await.unwrap();
    Arc::new(encoding)
}

impl Fixture {
    /// Six items (`i1` to `i5`, and `new`, which the vocabulary lacks) and two users, of whom `u1`
    /// has a history of four entries at 1000 to 4000 s.
    pub(crate) async fn new(options: EncodingOptions) -> Self {
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
        let encoding = encoding(&store, options).await;
        Self { encoding, store, bundle: small_bundle(), _folder: folder }
    }

    /// Records without a limit, through all tiers.
    pub(crate) async fn records(&self, names: &[&str]) -> RecordSet {
        self.encoding.records(&list(names), Deadline::NONE, Tiers::All).await.unwrap()
    }

    pub(crate) async fn user(&self, user: &str, as_of: TimestampMs) -> Arc<UserView> {
        let user = UserId::from(user);
        let read = self.encoding.users().read(&user, as_of, &UserRead::NotRead, Deadline::NONE);
        let (view, late) = read.await;
        assert_eq!(late, None);
        view
    }

    /// A user's state, read now, through all tiers.
    pub(crate) async fn state(&self, user: &str, as_of: TimestampMs) -> UserEncoding {
        let view = self.user(user, as_of).await;
        self.encoding.user_state(&view, as_of, Deadline::NONE, Tiers::All).await.unwrap()
    }

    /// Writes items, and tells the table.
    pub(crate) async fn write(&self, items: Vec<NewItem>) {
        let ids: Vec<ItemId> = items.iter().map(|new| new.item.item_id.clone()).collect();
        self.store.put_items(items).await.unwrap();
        self.refresh(&ids).await;
    }

    pub(crate) async fn refresh(&self, ids: &[ItemId]) {
        self.encoding.items().refresh(self.store.as_ref(), ids).await.unwrap();
    }
}

/// A context whose deadline is this far from now.
pub(crate) fn within(time: Duration) -> Deadline {
    Deadline::after(time)
}

/// Waits until background work has reached a condition.
pub(crate) async fn wait_until(mut done: impl FnMut() -> bool) {
    for _ in 0..5_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the condition did not hold within five seconds");
}

pub(crate) fn origins(records: &RecordSet) -> Vec<RecordOrigin> {
    (0..records.len()).map(|position| records.origin(position)).collect()
}

pub(crate) fn all(records: &RecordSet, origin: RecordOrigin) -> bool {
    origins(records).iter().all(|one| *one == origin)
}

pub(crate) fn rows(records: &RecordSet) -> Vec<&[u8]> {
    records.rows(0..records.len()).collect()
}

//! The embedding role over a real store and real graphs, called locally and remotely.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use plugrank_bundle::Bundle;
use plugrank_contract::{
    CallError, Context, Deadline, ErrorCode, Event, EventType, HistoryLimits, Item, ItemId,
    ItemList, UserId, UserRead,
    embedding::{Fetch, FetchUser, FetchVectors, Fetched, Invalidate, RecordOrigin, Tiers},
};
use plugrank_embedding::EmbeddingService;
use plugrank_encoding::{
    Embeddings, Encoding, EncodingOptions, EncodingParts, RemoteEncoding, UnifiedAsk, UnifiedInputs,
};
use plugrank_inference::{Library, SessionOptions};
use plugrank_items::{FeatureColumn, ItemTable};
use plugrank_store::{NewItem, Store};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
use plugrank_transport::Service;

const LATER: i64 = 5_000_000;

struct Fixture {
    service: Arc<EmbeddingService>,
    store: Arc<dyn Store>,
    bundle: Arc<Bundle>,
    _folder: tempfile::TempDir,
}

fn item(id: &str, title: &str) -> NewItem {
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

fn ids(names: &[&str]) -> Vec<ItemId> {
    names.iter().map(|name| ItemId::from(*name)).collect()
}

fn event(number: i64) -> Event {
    Event {
        event_id: format!("e{number}"),
        event_type: if number % 2 == 0 { EventType::click() } else { EventType::impression() },
        user_id: UserId::from("u1"),
        item_id: ItemId::from(format!("i{number}")),
        value: None,
        request_id: None,
        position: None,
        surface: None,
        timestamp: number * 1_000_000,
    }
}

impl Fixture {
    /// Three items, and a user `u1` who was shown all of them.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let store: Arc<dyn Store> =
            Arc::new(EmbeddedStore::open(&path, EmbeddedOptions::default()).unwrap());
        let items = [("i1", "red lamp"), ("i2", "blue shoe"), ("i3", "a book")];
        store.put_items(items.map(|(id, title)| item(id, title)).to_vec()).await.unwrap();
        store.append_events((1..=3).map(event).collect()).await.unwrap();
        let small = Path::new(env!("CARGO_MANIFEST_DIR"));
        let small = small.join("../../shared/bundle/tests/fixtures/small");
        let bundle = Arc::new(Bundle::open(&small).unwrap());
        let items = ItemTable::new();
        let features = FeatureColumn::new(Arc::new(bundle.feature_encoder().unwrap()));
        items.attach(Arc::clone(&features));
        items.load(store.as_ref(), &|_| {}).await.unwrap();
        let parts = EncodingParts {
            library: Library::load(None).expect("ORT_DYLIB_PATH names the ONNX Runtime library"),
            bundle: Arc::clone(&bundle),
            store: Arc::clone(&store),
            items,
            features,
            session: SessionOptions::default(),
            options: EncodingOptions::default(),
            observer: None,
        };
        let encoding = Encoding::new(parts, &mut |_, _| {}).unwrap();
        encoding.warm_up().await.unwrap();
        let service = Arc::new(EmbeddingService::new(Arc::new(encoding)));
        Self { service, store, bundle, _folder: folder }
    }

    fn here(&self) -> Embeddings {
        Embeddings::Here(Arc::clone(self.service.encoding()))
    }

    fn remote(&self) -> Embeddings {
        let items = Arc::clone(self.service.encoding().items());
        let client = Arc::clone(&self.service);
        Embeddings::Remote(RemoteEncoding::new(client, Arc::clone(&self.bundle), items))
    }
}

async fn ask(
    embeddings: &Embeddings,
    names: &[&str],
    user: &UserRead,
) -> Result<UnifiedInputs, CallError> {
    let ask = UnifiedAsk {
        items: &ItemList::named(ids(names)),
        user_id: &UserId::from("u1"),
        user,
        as_of: LATER,
        tiers: Tiers::All,
        context: &Context::background(),
        deadline: Deadline::NONE,
    };
    embeddings.fetch(ask).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_embedding_role_returns_what_a_local_one_does() {
    let fixture = Fixture::new().await;
    let names = ["i3", "nobody", "i1", "i3"];
    let wide = HistoryLimits { clicks: 1_000, impressions: 1_000 };
    let view = fixture.store.user_view(&UserId::from("u1"), LATER, wide).await.unwrap();
    for user in [UserRead::NotRead, UserRead::Read(view), UserRead::Failed("away".to_owned())] {
        let here = ask(&fixture.here(), &names, &user).await.unwrap();
        let remote = ask(&fixture.remote(), &names, &user).await.unwrap();
        assert!(here.records.rows(0..4).eq(remote.records.rows(0..4)));
        assert_eq!(here.records.items(), remote.records.items());
        assert_eq!(remote.records.origins.missing, 1);
        assert_eq!(here.user.state, remote.user.state);
        assert_eq!(here.user.recency_bucket, remote.user.recency_bucket);
        assert_eq!(here.late, remote.late);
        let failed = matches!(user, UserRead::Failed(_));
        assert_eq!((here.late.is_some(), here.user.state.history_len == 3), (failed, !failed));
    }
}

/// Alters the answer to a call.
struct Altered(Arc<EmbeddingService>, Alter);

type Alter = fn(&mut Fetched);

#[async_trait]
impl Service<Fetch> for Altered {
    async fn call(&self, context: Context, call: Fetch) -> Result<Fetched, CallError> {
        let mut fetched = self.0.call(context, call).await?;
        (self.1)(&mut fetched);
        Ok(fetched)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_match_the_bundle_is_refused() {
    let fixture = Fixture::new().await;
    let alterations: [(Alter, ErrorCode); 4] = [
        (|fetched| fetched.bundle = "another".to_owned(), ErrorCode::Unavailable),
        (|fetched| fetched.origins.clear(), ErrorCode::Internal),
        (|fetched| fetched.user = None, ErrorCode::Internal),
        (|fetched| fetched.user.as_mut().unwrap().outputs.reverse(), ErrorCode::Internal),
    ];
    for (alter, code) in alterations {
        let client = Arc::new(Altered(Arc::clone(&fixture.service), alter));
        let items = Arc::clone(fixture.service.encoding().items());
        let remote = RemoteEncoding::new(client, Arc::clone(&fixture.bundle), items);
        let asked = ask(&Embeddings::Remote(remote), &["i1"], &UserRead::NotRead).await;
        assert_eq!(asked.unwrap_err().code, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_without_a_user_has_one_row_and_origin_per_item() {
    let fixture = Fixture::new().await;
    let items = ItemList::named(ids(&["i1", "nobody"]));
    let call = Fetch { items, user: None, tiers: Tiers::All };
    let fetched = fixture.service.call(Context::background(), call.clone()).await.unwrap();
    assert_eq!((fetched.items.rows(), fetched.items.dim()), (2, fixture.bundle.record().dim));
    assert_eq!(fetched.origins, [RecordOrigin::Encoded, RecordOrigin::Missing]);
    assert_eq!((fetched.bundle.as_str(), fetched.user), (fixture.bundle.version(), None));
    let again = fixture.service.call(Context::background(), call).await.unwrap();
    assert_eq!(again.origins, [RecordOrigin::Memory, RecordOrigin::Missing]);
    assert_eq!(again.items, fetched.items);
}

#[tokio::test(flavor = "multi_thread")]
async fn fetched_vectors_are_the_retrieval_part_of_the_record() {
    let fixture = Fixture::new().await;
    let items = ItemList::named(ids(&["i1", "i2"]));
    let call = Fetch { items, user: None, tiers: Tiers::All };
    let records = fixture.service.call(Context::background(), call).await.unwrap();
    let call = FetchVectors { item_ids: ids(&["i1", "i2"]), changed: false };
    let vectors = fixture.service.call(Context::background(), call).await.unwrap();
    let layout = fixture.bundle.record();
    assert_eq!(vectors.vectors.dim(), layout.vector().unwrap().dim);
    for row in 0..2 {
        let expected = layout.slice(layout.vector().unwrap(), records.items.row(row));
        assert_eq!(vectors.vectors.row(row), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalidated_item_is_read_again() {
    let fixture = Fixture::new().await;
    let call = FetchVectors { item_ids: ids(&["i1", "i2"]), changed: false };
    let old = fixture.service.call(Context::background(), call.clone()).await.unwrap();
    fixture.store.put_items(vec![item("i1", "blue book book")]).await.unwrap();
    let invalidate = Invalidate { item_ids: ids(&["i1"]) };
    fixture.service.call(Context::background(), invalidate).await.unwrap();
    let new = fixture.service.call(Context::background(), call).await.unwrap();
    assert_eq!(new.origins, [RecordOrigin::Encoded, RecordOrigin::Memory]);
    assert_ne!(new.vectors.row(0), old.vectors.row(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_has_passed_is_an_error_at_once() {
    let fixture = Fixture::new().await;
    let user = FetchUser { user_id: UserId::from("u1"), as_of: LATER, user: UserRead::NotRead };
    let items = ItemList::named(ids(&["i1"]));
    let call = Fetch { items, user: Some(user), tiers: Tiers::All };
    let context = Context::background().within(Duration::ZERO);
    let error = fixture.service.call(context, call).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::DeadlineExceeded);
}

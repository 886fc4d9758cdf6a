//! Requests whose data is all in process: no waiting and no store reads.

use std::sync::Arc;

use futures::FutureExt;
use plugrank_contract::Deadline;
use plugrank_contract::{
    UserId, UserRead,
    embedding::{RecordOrigin, Tiers},
};
use plugrank_encoding::{Encoding, EncodingOptions, UnifiedInputs};
use plugrank_store::Store;

use crate::{
    fixture::{Fixture, all, encoding, item, list, rows},
    slow_store::SlowStore,
};

const LATER: i64 = 5_000_000;

struct Counted {
    store: Arc<SlowStore>,
    encoding: Arc<Encoding>,
    fixture: Fixture,
}

impl Counted {
    async fn new() -> Self {
        let fixture = Fixture::new(EncodingOptions::default()).await;
        let store = SlowStore::new(Arc::clone(&fixture.store));
        let behind: Arc<dyn Store> = store.clone();
        let encoding = encoding(&behind, EncodingOptions::default()).await;
        Self { store, encoding, fixture }
    }

    async fn inputs(&self, names: &[&str], user: &UserRead, tiers: Tiers) -> UnifiedInputs {
        let user = (&UserId::from("u1"), user);
        let items = list(names).resolve(self.encoding.items());
        let inputs = self.encoding.unified_inputs(&items, user, LATER, Deadline::NONE, tiers);
        inputs.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_records_and_states_are_returned_at_once_without_store_reads() {
    let counted = Counted::new().await;
    let names = ["i1", "i2", "nobody", "i3", "i1"];
    let user = UserRead::Read(counted.fixture.user("u1", LATER).await);
    let first = counted.inputs(&names, &user, Tiers::All).await;
    let reads = counted.store.reads();
    let second = counted.inputs(&names, &user, Tiers::All).now_or_never();
    let second = second.expect("nothing is waited for");
    assert_eq!(counted.store.reads(), reads);
    assert_eq!((second.user.cached, second.late), (true, None));
    assert_eq!(second.user.state, first.user.state);
    assert_eq!(rows(&second.records), rows(&first.records));
    assert_eq!((second.records.origins.memory, second.records.origins.missing), (4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_read_only_when_no_earlier_stage_tried() {
    let counted = Counted::new().await;
    let users = counted.encoding.users();
    let id = UserId::from("u1");
    let reads = counted.store.reads();
    let failed = UserRead::Failed("the store is unavailable".to_owned());
    let (view, why) = users.read(&id, LATER, &failed, Deadline::NONE).await;
    assert_eq!((view.entries.len(), why.as_deref()), (0, Some("the store is unavailable")));
    let given = counted.fixture.user("u1", LATER).await;
    let (view, why) =
        users.read(&id, LATER, &UserRead::Read(Arc::clone(&given)), Deadline::NONE).await;
    assert!(Arc::ptr_eq(&view, &given) && why.is_none());
    assert_eq!(counted.store.reads(), reads);
    // A view that goes back less far than the bundle reads.
    let mut short = (*given).clone();
    short.limits.clicks = users.limits().clicks - 1;
    let short = UserRead::Read(Arc::new(short));
    let (view, why) = users.read(&id, LATER, &short, Deadline::NONE).await;
    assert!(counted.store.reads() > reads);
    assert_eq!((view.entries.len(), why), (4, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cached_tier_returns_without_waiting() {
    let counted = Counted::new().await;
    let names = list(&["i1", "i2", "nobody"]);
    let reads = counted.store.reads();
    let cached = || {
        let records = counted.encoding.records(&names, Deadline::NONE, Tiers::Cached);
        records.now_or_never().expect("nothing is waited for").unwrap()
    };
    assert!(all(&cached(), RecordOrigin::Missing));
    assert_eq!(counted.store.reads(), reads);
    let whole = counted.encoding.records(&names, Deadline::NONE, Tiers::All).await.unwrap();
    assert_eq!(rows(&cached()), rows(&whole));
    // The last known record, though its content has changed.
    counted.fixture.store.put_items(vec![item("i1", "a changed title")]).await.unwrap();
    let table = counted.encoding.items();
    table.refresh(counted.fixture.store.as_ref(), &["i1".into()]).await.unwrap();
    assert_eq!(rows(&cached()), rows(&whole));
    let changed = counted.encoding.records(&names, Deadline::NONE, Tiers::All).await.unwrap();
    assert_ne!(changed.bytes(0), whole.bytes(0));
}

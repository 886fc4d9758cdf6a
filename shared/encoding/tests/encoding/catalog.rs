//! Encoding the catalog ahead of requests.

use std::sync::Arc;

use plugrank_contract::Deadline;
use plugrank_contract::embedding::{RecordOrigin, Tiers};
use plugrank_encoding::{CatalogProgress, EncodingOptions};

use plugrank_store::{Store, VectorSpace};

use crate::{
    fixture::{Fixture, all, encoding, ids, item, list, origins},
    slow_store::SlowStore,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_is_encoded_once() {
    let options = EncodingOptions { encode_batch: 4, ..EncodingOptions::default() };
    let fixture = Fixture::new(options.clone()).await;
    fixture.records(&["i2"]).await;
    fixture.encoding.flush().await;
    let mut steps = Vec::new();
    let done = fixture.encoding.encode_catalog(&mut |step| steps.push(step)).await.unwrap();
    let expected = CatalogProgress { seen: 6, total: 6, cached: 1, encoded: 5, failed: 0 };
    assert_eq!(done, expected);
    assert_eq!(steps.last(), Some(&expected));
    assert!(steps.is_sorted_by_key(|step| step.seen), "{steps:?}");
    assert!(all(&fixture.records(&["i1", "new"]).await, RecordOrigin::Memory));

    let other = encoding(&fixture.store, options).await;
    let again = other.encode_catalog(&mut |_| {}).await.unwrap();
    assert_eq!((again.cached, again.encoded), (6, 0));
    let names = list(&["i1", "new"]);
    let fetched = other.records(&names, Deadline::NONE, Tiers::All).await.unwrap();
    assert!(all(&fetched, RecordOrigin::Memory), "they were read into the table");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_larger_than_the_table_evicts_nothing() {
    // A hundredth of a MiB for records.
    let options =
        EncodingOptions { memory_mb: 1, user_state_share: 0.99, ..EncodingOptions::default() };
    let fixture = Fixture::new(options).await;
    let table = fixture.encoding.records_table();
    let more = table.capacity() + 10;
    let items = (0..more).map(|number| item(&format!("more-{number}"), "red shoe")).collect();
    fixture.write(items).await;
    let done = fixture.encoding.encode_catalog(&mut |_| {}).await.unwrap();
    assert_eq!((done.seen, done.failed), (more as u64 + 6, 0));
    assert_eq!(table.evicted(), 0);
    let view = table.view();
    let kept = (0..more as u32 + 6).filter(|item| view.get(*item).is_some());
    assert_eq!(kept.count(), table.capacity());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_also_read_from_a_store_that_cannot_scan_them() {
    let options = EncodingOptions::default();
    let fixture = Fixture::new(options.clone()).await;
    fixture.encoding.encode_catalog(&mut |_| {}).await.unwrap();
    let slow: Arc<dyn Store> = SlowStore::new(Arc::clone(&fixture.store));
    let space = VectorSpace::Record(fixture.bundle.version().to_owned());
    assert_eq!(slow.scan_vectors(&space, b"", None, 1).await.unwrap(), None);
    let other = encoding(&slow, options).await;
    let done = other.encode_catalog(&mut |_| {}).await.unwrap();
    assert_eq!((done.cached, done.encoded, done.failed), (6, 0, 0));
    let fetched = other.records(&list(&["i1", "new"]), Deadline::NONE, Tiers::Cached).await;
    assert!(all(&fetched.unwrap(), RecordOrigin::Memory));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_records_of_the_items_as_they_are_now_are_read() {
    let options = EncodingOptions::default();
    let fixture = Fixture::new(options.clone()).await;
    fixture.encoding.encode_catalog(&mut |_| {}).await.unwrap();
    let before = fixture.records(&["i1", "i2", "i3"]).await;
    fixture.store.put_items(vec![item("i1", "blue book book")]).await.unwrap();
    fixture.store.delete_items(&ids(&["i2"])).await.unwrap();
    // What another bundle made, what is cut off, and what is no record at all.
    let record = vec![7; fixture.bundle.record().bytes()];
    let space = |version: &str| VectorSpace::Record(version.to_owned());
    let junk = vec![(b"i3".to_vec(), record.clone()), (b"i3\xff1234567".to_vec(), record.clone())];
    fixture.store.put_vectors(&space(fixture.bundle.version()), junk).await.unwrap();
    let key = [&b"i4"[..], &[1; 8]].concat();
    fixture.store.put_vectors(&space("another"), vec![(key, record)]).await.unwrap();

    let other = encoding(&fixture.store, options.clone()).await;
    let done = other.encode_catalog(&mut |_| {}).await.unwrap();
    assert_eq!((done.total, done.cached, done.encoded, done.failed), (5, 4, 1, 0));
    let names = list(&["i1", "i2", "i3"]);
    let after = other.records(&names, Deadline::NONE, Tiers::All).await.unwrap();
    let (memory, missing) = (RecordOrigin::Memory, RecordOrigin::Missing);
    assert_eq!(origins(&after), [memory, missing, memory], "a deleted item does not come back");
    assert_ne!(after.bytes(0), before.bytes(0), "the record is of the new content");
    assert_eq!(after.bytes(2), before.bytes(2));

    // Here the table learns of a change only after the records were read.
    let late = encoding(&fixture.store, options).await;
    fixture.store.put_items(vec![item("i3", "red lamp lamp")]).await.unwrap();
    assert_eq!(late.encode_catalog(&mut |_| {}).await.unwrap().cached, 5);
    late.items().refresh(fixture.store.as_ref(), &ids(&["i3"])).await.unwrap();
    let then = late.records(&list(&["i3"]), Deadline::NONE, Tiers::All).await.unwrap();
    assert_eq!(origins(&then), [RecordOrigin::Encoded]);
    assert_ne!(then.bytes(0), after.bytes(2));
}

//! Encoding the catalog ahead of requests.

use plugrank_contract::Deadline;
use plugrank_contract::embedding::{RecordOrigin, Tiers};
use plugrank_encoding::{CatalogProgress, EncodingOptions};

use crate::fixture::{Fixture, all, encoding, item, list};

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

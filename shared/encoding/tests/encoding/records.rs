//! Item records through the tiers.

use std::time::Duration;

use plugrank_contract::Deadline;
use plugrank_contract::{
    ItemId, UNKNOWN_ITEM,
    embedding::{RecordOrigin, Tiers},
};
use plugrank_encoding::{Encoding, EncodingError, EncodingOptions, OriginCounts, modal_key};
use plugrank_items::content_of;
use plugrank_store::VectorSpace;

use crate::fixture::{
    Fixture, all, encoding, ids, item, list, origins, parts, rows, wait_until, within,
};

const PATIENT: Duration = Duration::from_secs(5);

fn options() -> EncodingOptions {
    EncodingOptions::default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_encoded_once_and_then_found_in_every_tier() {
    let fixture = Fixture::new(options()).await;
    let names = ["i3", "i1", "new", "i1"];
    let first = fixture.records(&names).await;
    assert!(all(&first, RecordOrigin::Encoded), "{:?}", first.origins);
    assert_eq!((first.len(), first.bytes(0).len()), (4, fixture.bundle.record().bytes()));
    assert_eq!(first.bytes(1), first.bytes(3), "one item, one record");
    assert_ne!(first.bytes(0), first.bytes(1));

    let second = fixture.records(&names).await;
    assert!(all(&second, RecordOrigin::Memory));
    assert_eq!(rows(&second), rows(&first));
    assert_eq!(second.origins, OriginCounts { memory: 4, ..OriginCounts::default() });

    fixture.encoding.flush().await;
    let other = encoding(&fixture.store, options()).await;
    let third = other.records(&list(&names), Deadline::NONE, Tiers::All).await.unwrap();
    assert!(all(&third, RecordOrigin::Store), "{:?}", third.origins);
    assert_eq!(rows(&third), rows(&first));
    assert_eq!(fixture.encoding.counts().items_encoded, 3);
    assert_eq!(other.counts().items_encoded, 0);
    let fourth = other.records(&list(&names), Deadline::NONE, Tiers::All).await.unwrap();
    assert!(all(&fourth, RecordOrigin::Memory), "what the store gave is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_callers_of_a_new_item_encode_it_once() {
    let fixture = Fixture::new(options()).await;
    let calls = (0..30).map(|_| fixture.records(&["i1", "i2", "i3", "i4", "i5"]));
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| rows(answer) == rows(&answers[0])));
    assert_eq!(fixture.encoding.counts().items_encoded, 5);
    wait_until(|| fixture.encoding.encoding() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_item_never_gets_its_old_record() {
    let fixture = Fixture::new(options()).await;
    let old = fixture.records(&["i1", "i2"]).await;
    fixture.write(vec![item("i1", "blue book book")]).await;
    let new = fixture.records(&["i1", "i2"]).await;
    assert_eq!(origins(&new), [RecordOrigin::Encoded, RecordOrigin::Memory]);
    assert_ne!(new.bytes(0), old.bytes(0));
    assert_eq!(new.bytes(1), old.bytes(1));
    assert!(all(&fixture.records(&["i1"]).await, RecordOrigin::Memory));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_content_newer_than_the_table_is_kept_until_the_table_follows() {
    let fixture = Fixture::new(options()).await;
    // The item table does not know of the change yet.
    fixture.store.put_items(vec![item("i1", "blue book book")]).await.unwrap();
    let ahead = fixture.records(&["i1"]).await;
    assert!(all(&ahead, RecordOrigin::Encoded));
    fixture.refresh(&ids(&["i1"])).await;
    let then = fixture.records(&["i1"]).await;
    assert!(all(&then, RecordOrigin::Memory));
    assert_eq!(then.bytes(0), ahead.bytes(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_item_gets_the_missing_record() {
    let fixture = Fixture::new(options()).await;
    let fetched = fixture.records(&["nobody", "i1", "i6"]).await;
    let missing = RecordOrigin::Missing;
    assert_eq!(origins(&fetched), [missing, RecordOrigin::Encoded, missing]);
    assert_eq!((fetched.items()[0], fetched.items()[1]), (UNKNOWN_ITEM, 0));
    assert_ne!(fetched.bytes(0), fetched.bytes(1));
    let counts = fixture.encoding.counts();
    assert_eq!((counts.unknown, counts.missing), (2, 0));
    // The graph of this bundle reads no item id, so all items without content are equal.
    assert_eq!(fetched.bytes(0), fetched.bytes(2));
    assert_eq!(fixture.records(&["nobody"]).await.bytes(0), fetched.bytes(0));

    fixture.records(&["i1"]).await;
    fixture.store.delete_items(&ids(&["i1"])).await.unwrap();
    fixture.refresh(&ids(&["i1"])).await;
    let removed = fixture.records(&["i1"]).await;
    assert_eq!((origins(&removed), removed.bytes(0)), (vec![missing], fetched.bytes(0)));
    let cached = fixture.encoding.records(&list(&["i1"]), Deadline::NONE, Tiers::Cached).await;
    assert!(all(&cached.unwrap(), missing), "its row is not the item any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_encoded_after_a_deadline_serve_the_next_call() {
    let fixture = Fixture::new(EncodingOptions { encode_on_miss: false, ..options() }).await;
    let names = list(&["i1", "i2"]);
    let call = || fixture.encoding.records(&names, within(PATIENT), Tiers::All);
    let first = call().await.unwrap();
    assert!(all(&first, RecordOrigin::Missing));
    assert_eq!(fixture.encoding.counts().missing, 2);
    wait_until(|| fixture.encoding.counts().items_encoded == 2).await;
    let second = call().await.unwrap();
    assert!(all(&second, RecordOrigin::Memory));
    assert_ne!(rows(&second), rows(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_a_deadline_waits_for_a_limited_number_of_items() {
    let fixture = Fixture::new(EncodingOptions { encode_per_call: 2, ..options() }).await;
    let names = list(&["i1", "i2", "i3", "i4"]);
    let fetched = fixture.encoding.records(&names, within(PATIENT), Tiers::All).await.unwrap();
    let (encoded, missing) = (RecordOrigin::Encoded, RecordOrigin::Missing);
    assert_eq!(origins(&fetched), [encoded, encoded, missing, missing]);
    wait_until(|| fixture.encoding.counts().items_encoded == 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_bytes_of_the_wrong_length_are_made_again() {
    let fixture = Fixture::new(options()).await;
    let good = fixture.records(&["i1"]).await;
    let stored = fixture.store.items(&ids(&["i1"])).await.unwrap();
    let content = stored[0].as_ref().unwrap().content;
    let version = content_of(&content).unwrap().get().to_le_bytes();
    let key = [b"i1".as_slice(), &version].concat();
    fixture.encoding.flush().await;
    let record_space = VectorSpace::Record(fixture.bundle.version().to_owned());
    let found = fixture.store.vectors(&record_space, std::slice::from_ref(&key)).await.unwrap();
    assert_eq!(found[0].as_deref(), Some(good.bytes(0)), "the key of a record");
    let modal_key = modal_key(&stored[0].as_ref().unwrap().item);
    let damaged = vec![(key, vec![1, 2, 3])];
    fixture.store.put_vectors(&record_space, damaged).await.unwrap();
    let modal_space = VectorSpace::Modal(fixture.bundle.modal_version());
    fixture.store.put_vectors(&modal_space, vec![(modal_key, vec![9])]).await.unwrap();
    let other = encoding(&fixture.store, options()).await;
    let again = other.records(&list(&["i1"]), Deadline::NONE, Tiers::All).await.unwrap();
    assert_eq!(origins(&again), [RecordOrigin::Encoded]);
    assert_eq!(again.bytes(0), good.bytes(0));
    assert_eq!(other.counts().corrupt_vectors, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_changes_the_record_and_a_broken_one_counts_as_absent() {
    let fixture = Fixture::new(options()).await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../bundle/tests/fixtures/images/drawing.png");
    let mut drawn = item("i2", "red lamp");
    drawn.image = Some(std::fs::read(path).unwrap());
    let mut broken = item("i3", "red lamp");
    broken.image = Some(b"no image".to_vec());
    fixture.write(vec![drawn, broken]).await;
    // `i1` is a "red lamp" too, without an image.
    let fetched = fixture.records(&["i1", "i2", "i3"]).await;
    assert_ne!(fetched.bytes(1), fetched.bytes(0));
    assert_eq!(fetched.bytes(2), fetched.bytes(0));
    assert_eq!(fixture.encoding.counts().bad_images, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_item_keeps_its_record_when_read_again() {
    let fixture = Fixture::new(options()).await;
    fixture.records(&["i1", "i2"]).await;
    fixture.encoding.flush().await;
    fixture.encoding.invalidate(&ids(&["i1", "unknown"])).await.unwrap();
    let fetched = fixture.records(&["i1", "i2"]).await;
    assert_eq!(origins(&fetched), [RecordOrigin::Memory, RecordOrigin::Memory]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_item_is_found_once_it_is_invalidated() {
    let fixture = Fixture::new(options()).await;
    fixture.store.put_items(vec![item("later", "a blue lamp")]).await.unwrap();
    assert!(all(&fixture.records(&["later"]).await, RecordOrigin::Missing));
    fixture.encoding.invalidate(&[ItemId::from("later")]).await.unwrap();
    assert!(all(&fixture.records(&["later"]).await, RecordOrigin::Encoded));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_option_is_named() {
    let fixture = Fixture::new(options()).await;
    let impossible = EncodingOptions { encode_batch: 0, ..options() };
    let error =
        Encoding::new(parts(&fixture.store, impossible).await, &mut |_, _| {}).err().unwrap();
    assert!(matches!(&error, EncodingError::Option(text) if text.contains("encode_batch")));
}

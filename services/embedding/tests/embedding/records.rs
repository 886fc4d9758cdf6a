//! Item records through the tiers.

use std::{sync::Arc, time::Duration};

use plugrank_contract::{
    Context, ItemId,
    embedding::{Fetch, FetchVectors, Invalidate, RecordOrigin, Tiers},
};
use plugrank_embedding::{
    CatalogProgress, EmbeddingError, EmbeddingOptions, EmbeddingParts, EmbeddingService,
};
use plugrank_inference::SessionOptions;
use plugrank_store::VectorSpace;
use plugrank_transport::Service;

use crate::bench::{Bench, all, ids, item, library, service, small_bundle, until};

fn options() -> EmbeddingOptions {
    EmbeddingOptions::default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_encoded_once_and_then_found_in_every_tier() {
    let bench = Bench::new(options()).await;
    let names = ["i3", "i1", "new", "i1"];
    let first = bench.fetch(&names).await;
    assert!(all(&first, RecordOrigin::Encoded), "{:?}", first.origins);
    assert_eq!((first.items.rows(), first.items.dim()), (4, bench.bundle.record().dim));
    assert_eq!(first.items.row(1), first.items.row(3), "one item, one record");
    assert_ne!(first.items.row(0), first.items.row(1));
    assert_eq!(first.bundle, bench.bundle.version());

    let second = bench.fetch(&names).await;
    assert!(all(&second, RecordOrigin::Memory));
    assert_eq!(second.items, first.items);

    bench.service.flush().await;
    let other = service(&bench.store, options());
    let call = Fetch { item_ids: ids(&names), user: None, tiers: Tiers::All };
    let third = other.call(Context::background(), call).await.unwrap();
    assert!(all(&third, RecordOrigin::Store), "{:?}", third.origins);
    assert_eq!(third.items, first.items);
    assert_eq!(bench.service.counts().items_encoded, 3);
    assert_eq!(other.counts().items_encoded, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_of_one_new_item_encode_it_once() {
    let bench = Bench::new(options()).await;
    let calls = (0..30).map(|_| bench.fetch(&["i1", "i2", "i3", "i4", "i5"]));
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.items == answers[0].items));
    assert_eq!(bench.service.counts().items_encoded, 5);
    until(|| bench.service.encoding() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_item_never_gets_its_old_record() {
    let bench = Bench::new(options()).await;
    let old = bench.fetch(&["i1", "i2"]).await;
    bench.store.put_items(vec![item("i1", "blue book book")]).await.unwrap();
    let new = bench.fetch(&["i1", "i2"]).await;
    assert_eq!(new.origins, [RecordOrigin::Encoded, RecordOrigin::Memory]);
    assert_ne!(new.items.row(0), old.items.row(0));
    assert_eq!(new.items.row(1), old.items.row(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_item_gets_the_missing_record() {
    let bench = Bench::new(options()).await;
    let fetched = bench.fetch(&["nobody", "i1", "i6"]).await;
    let missing = RecordOrigin::Missing;
    assert_eq!(fetched.origins, [missing, RecordOrigin::Encoded, missing]);
    assert_ne!(fetched.items.row(0), fetched.items.row(1));
    let counts = bench.service.counts();
    assert_eq!((counts.unknown, counts.missing), (2, 0));
    // The graph of this bundle reads no item id, so that without content all are alike.
    assert_eq!(fetched.items.row(0), fetched.items.row(2));
    assert_eq!(bench.fetch(&["nobody"]).await.items.row(0), fetched.items.row(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_does_not_wait_for_is_there_for_the_next() {
    let bench = Bench::new(EmbeddingOptions { encode_on_miss: false, ..options() }).await;
    let hurried = Context::background().within(Duration::from_secs(5));
    let call = Fetch { item_ids: ids(&["i1", "i2"]), user: None, tiers: Tiers::All };
    let first = bench.service.call(hurried.clone(), call.clone()).await.unwrap();
    assert!(all(&first, RecordOrigin::Missing));
    assert_eq!(bench.service.counts().missing, 2);
    until(|| bench.service.counts().items_encoded == 2).await;
    let second = bench.service.call(hurried, call).await.unwrap();
    assert!(all(&second, RecordOrigin::Memory));
    assert_ne!(second.items, first.items);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_a_deadline_waits_for_no_more_items_than_it_may() {
    let bench = Bench::new(EmbeddingOptions { max_encoded_per_call: 2, ..options() }).await;
    let context = Context::background().within(Duration::from_secs(5));
    let call = Fetch { item_ids: ids(&["i1", "i2", "i3", "i4"]), user: None, tiers: Tiers::All };
    let fetched = bench.service.call(context, call).await.unwrap();
    let (encoded, missing) = (RecordOrigin::Encoded, RecordOrigin::Missing);
    assert_eq!(fetched.origins, [encoded, encoded, missing, missing]);
    until(|| bench.service.counts().items_encoded == 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_bytes_of_the_wrong_length_are_made_again() {
    let bench = Bench::new(options()).await;
    let good = bench.fetch(&["i1"]).await;
    let stored = bench.store.items(&ids(&["i1"])).await.unwrap();
    let content = stored[0].as_ref().unwrap().content;
    let key = [b"i1".as_slice(), &content].concat();
    bench.service.flush().await;
    let record_space = VectorSpace::Record(bench.bundle.version().to_owned());
    let damaged = vec![(key, vec![1, 2, 3])];
    bench.store.put_vectors(&record_space, damaged).await.unwrap();
    let modal_space = VectorSpace::Modal(bench.bundle.modal_version());
    bench.store.put_vectors(&modal_space, vec![(content.to_vec(), vec![9])]).await.unwrap();
    let other = service(&bench.store, options());
    let call = Fetch { item_ids: ids(&["i1"]), user: None, tiers: Tiers::All };
    let again = other.call(Context::background(), call).await.unwrap();
    assert_eq!(again.origins, [RecordOrigin::Encoded]);
    assert_eq!(again.items, good.items);
    assert_eq!(other.counts().corrupt_vectors, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_changes_the_record_and_a_broken_one_counts_as_absent() {
    let bench = Bench::new(options()).await;
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/bundle/tests/fixtures/images/drawing.png"
    );
    let mut drawn = item("i2", "red lamp");
    drawn.image = Some(std::fs::read(path).unwrap());
    let mut broken = item("i3", "red lamp");
    broken.image = Some(b"no image".to_vec());
    bench.store.put_items(vec![drawn, broken]).await.unwrap();
    // `i1` is a "red lamp" too, without an image.
    let fetched = bench.fetch(&["i1", "i2", "i3"]).await;
    assert_ne!(fetched.items.row(1), fetched.items.row(0));
    assert_eq!(fetched.items.row(2), fetched.items.row(0));
    assert_eq!(bench.service.counts().bad_images, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_are_the_part_that_candidates_are_found_by() {
    let bench = Bench::new(options()).await;
    let records = bench.fetch(&["i1", "i2"]).await;
    let call = FetchVectors { item_ids: ids(&["i1", "i2"]) };
    let vectors = bench.service.call(Context::background(), call).await.unwrap();
    let layout = bench.bundle.record();
    assert_eq!(vectors.vectors.dim(), layout.vector().dim);
    for row in 0..2 {
        let expected = layout.slice(layout.vector(), records.items.row(row));
        assert_eq!(vectors.vectors.row(row), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalidated_items_leave_the_memory_and_nothing_else() {
    let bench = Bench::new(options()).await;
    bench.fetch(&["i1", "i2"]).await;
    bench.service.flush().await;
    let call = Invalidate { item_ids: ids(&["i1", "unknown"]) };
    bench.service.call(Context::background(), call).await.unwrap();
    let fetched = bench.fetch(&["i1", "i2"]).await;
    assert_eq!(fetched.origins, [RecordOrigin::Store, RecordOrigin::Memory]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_is_encoded_once_and_what_was_done_is_not_done_again() {
    let bench = Bench::new(EmbeddingOptions { encode_batch: 4, ..options() }).await;
    bench.fetch(&["i2"]).await;
    bench.service.flush().await;
    let mut steps = Vec::new();
    let done = bench.service.encode_catalog(&mut |step| steps.push(step)).await.unwrap();
    let expected = CatalogProgress { seen: 6, total: 6, cached: 1, encoded: 5, failed: 0 };
    assert_eq!(done, expected);
    assert_eq!(steps.last(), Some(&expected));
    assert!(steps.is_sorted_by_key(|step| step.seen), "{steps:?}");

    let other = service(&bench.store, options());
    let again = other.encode_catalog(&mut |_| {}).await.unwrap();
    assert_eq!((again.cached, again.encoded), (6, 0));
    let call = Fetch { item_ids: ids(&["i1", "new"]), user: None, tiers: Tiers::All };
    let fetched = other.call(Context::background(), call).await.unwrap();
    assert!(all(&fetched, RecordOrigin::Memory), "they were read into memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_has_passed_is_an_error_at_once() {
    let bench = Bench::new(options()).await;
    let call = Fetch { item_ids: vec![ItemId::from("i1")], user: None, tiers: Tiers::All };
    let context = Context::background().within(Duration::ZERO);
    let error = bench.service.call(context, call).await.unwrap_err();
    assert_eq!(error.code, plugrank_contract::ErrorCode::DeadlineExceeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impossible_option_is_named() {
    let bench = Bench::new(options()).await;
    let parts = EmbeddingParts {
        library: library(),
        bundle: small_bundle(),
        store: Arc::clone(&bench.store),
        session: SessionOptions::default(),
        options: EmbeddingOptions { encode_batch: 0, ..options() },
        observer: None,
    };
    let error = EmbeddingService::new(parts, &mut |_, _| {}).err().unwrap();
    assert!(matches!(&error, EmbeddingError::Option(text) if text.contains("encode_batch")));
}

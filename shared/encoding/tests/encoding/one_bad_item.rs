//! An item that the graph cannot encode does not affect the items encoded with it.

use std::{fs, path::Path, sync::Arc};

use plugrank_bundle::Bundle;
use plugrank_contract::{
    Deadline,
    embedding::{RecordOrigin, Tiers},
};
use plugrank_encoding::{CatalogProgress, Encoding, EncodingOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::fixture::{Fixture, item, list, origins, parts_of};

/// The small bundle with an item encoder that fails for an item whose only category is `books`.
fn picky_bundle() -> (TempDir, Arc<Bundle>) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bundle/tests/fixtures");
    let (small, folder) = (fixtures.join("small"), tempfile::tempdir().unwrap());
    let text = fs::read_to_string(small.join("manifest.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    fs::create_dir(folder.path().join("vocab")).unwrap();
    for file in manifest["files"].as_object().unwrap().keys() {
        fs::copy(small.join(file), folder.path().join(file)).unwrap();
    }
    let graph = fs::read(fixtures.join("wrong/pairs/item_encoder.onnx")).unwrap();
    let sum: String = Sha256::digest(&graph).iter().map(|byte| format!("{byte:02x}")).collect();
    manifest["files"]["item_encoder.onnx"] = json!({ "sha256": sum, "bytes": graph.len() });
    fs::write(folder.path().join("item_encoder.onnx"), graph).unwrap();
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    let bundle = Arc::new(Bundle::open(folder.path()).unwrap());
    (folder, bundle)
}

/// Six items that can be encoded, and `bad`, which cannot.
async fn fixture() -> (TempDir, Fixture, Arc<Encoding>) {
    let options = EncodingOptions::default();
    let (folder, bundle) = picky_bundle();
    let fixture = Fixture::new(options.clone()).await;
    let mut bad = item("bad", "a red book");
    bad.item.categories = vec!["books".to_owned()];
    fixture.store.put_items(vec![bad]).await.unwrap();
    let parts = parts_of(bundle, &fixture.store, options).await;
    let encoding = Encoding::new(parts, &mut |_, _| {}).unwrap();
    encoding.warm_up().await.unwrap();
    (folder, fixture, Arc::new(encoding))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_fails_to_encode_does_not_affect_others_of_its_call() {
    let (_folder, _bench, encoding) = fixture().await;
    let names = ["i1", "i2", "bad", "i3", "new"];
    let records = encoding.records(&list(&names), Deadline::NONE, Tiers::All).await.unwrap();
    let (encoded, missing) = (RecordOrigin::Encoded, RecordOrigin::Missing);
    assert_eq!(origins(&records), [encoded, encoded, missing, encoded, encoded]);
    let counts = encoding.counts();
    assert_eq!((counts.items_encoded, counts.encode_failures), (4, 1));
    let alone = encoding.records(&list(&["bad"]), Deadline::NONE, Tiers::All).await.unwrap();
    assert_eq!(origins(&alone), [missing]);
    assert_eq!(encoding.counts().encode_failures, 2);
    assert!(encoding.alive());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_fails_to_encode_does_not_stop_the_catalog() {
    let (_folder, _bench, encoding) = fixture().await;
    let done = encoding.encode_catalog(&mut |_| {}).await.unwrap();
    assert_eq!(done, CatalogProgress { seen: 7, total: 7, cached: 0, encoded: 6, failed: 1 });
    let names = list(&["i1", "i2", "i3", "i4", "i5", "new"]);
    let records = encoding.records(&names, Deadline::NONE, Tiers::Cached).await.unwrap();
    assert_eq!(origins(&records), [RecordOrigin::Memory; 6]);
}

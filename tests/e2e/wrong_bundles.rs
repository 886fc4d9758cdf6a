//! Invalid bundles are refused at load and at start, with the reason.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    bundle_copy::{copy_of_bundle, edit_manifest, list},
    site::{Site, plugrank, repository, stderr},
};

/// The shipped bundle with more values in a vocabulary than its graphs have rows for.
fn longer(vocabulary: &str) -> TempDir {
    let bundle = copy_of_bundle();
    append(bundle.path(), vocabulary);
    bundle
}

fn append(bundle: &Path, vocabulary: &str) {
    let path = bundle.join(vocabulary);
    let mut values = fs::read_to_string(&path).unwrap();
    values.extend((0..50).map(|number| format!("later{number}\n")));
    fs::write(path, values).unwrap();
    list(bundle, vocabulary);
}

#[test]
fn a_vocabulary_longer_than_its_table_is_refused_by_verify_load_and_serve() {
    let dataset = repository("models/simshop/dataset");
    for (vocabulary, graph, feature) in [
        ("vocab/item_id.txt", "item_encoder", "item_id"),
        ("vocab/user_id.txt", "user_encoder", "user_id"),
        ("vocab/brand.txt", "item_encoder", "brand"),
    ] {
        let bundle = longer(vocabulary);
        let verified = plugrank(&["bundle", "verify"]).arg(bundle.path()).output().unwrap();
        let loaded = Site::load_for(bundle.path(), &dataset, &[]);
        let served = Site::refused_with(bundle.path());
        for (command, output) in [("verify", verified), ("load", loaded), ("serve", served)] {
            let told = stderr(&output);
            assert!(!output.status.success(), "{command}, {vocabulary}: {told}");
            let named = format!("{graph}: id ");
            let largest_id = format!("of feature `{feature}`, whose ids go to ");
            assert!(told.contains(&named) && told.contains(&largest_id), "{command}: {told}");
            assert!(told.contains("longer than the embedding table"), "{command}: {told}");
        }
    }
}

#[tokio::test]
async fn a_model_with_ids_beyond_its_table_fails_to_load() {
    let models = TempDir::new().unwrap();
    super::bundle_copy::copy(&repository("models/simshop/bundle"), &models.path().join("two"));
    let two = models.path().join("two");
    append(&two, "vocab/user_id.txt");
    edit_manifest(&two, |manifest| manifest["version"] = json!("two"));
    let site = Site::start_with(&format!("models.folder = {:?}", models.path())).await;
    let (status, reply) = site.post_json("/v1/models", &json!({"name": "two"})).await;
    assert_eq!(status, 202, "{reply}");
    let deadline = Instant::now() + Duration::from_secs(120);
    let failed = loop {
        let (_, list) = site.get("/v1/models").await;
        let of_two = |model: &&Value| model["version"] == "two" || model["name"] == "two";
        let found = list["models"].as_array().unwrap().iter().find(of_two).cloned();
        match found {
            Some(model) if model["state"] == "failed" => break model,
            Some(model) if model["state"] == "ready" => panic!("it was loaded: {model}"),
            _ => {}
        }
        assert!(Instant::now() < deadline, "the model did not fail in time: {list}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(failed.to_string().contains("of feature `user_id`, whose ids go to"), "{failed}");
    // Users beyond its table are ranked by the earlier model.
    for user in ["u1", "later3"] {
        let reply = site.rank(json!({"user_id": user, "k": 2})).await;
        assert_eq!((&reply["rung"], &reply["degraded"]), (&json!("full"), &json!([])), "{reply}");
    }
}

#[test]
fn files_with_a_byte_order_mark_are_named() {
    let mark = |bundle: &Path, file: &str| {
        let content = fs::read(bundle.join(file)).unwrap();
        fs::write(bundle.join(file), [b"\xef\xbb\xbf", &content[..]].concat()).unwrap();
    };
    let vocabulary = copy_of_bundle();
    mark(vocabulary.path(), "vocab/brand.txt");
    list(vocabulary.path(), "vocab/brand.txt");
    let manifest = copy_of_bundle();
    mark(manifest.path(), "manifest.json");
    for (bundle, file) in [(vocabulary, "vocab/brand.txt"), (manifest, "manifest.json")] {
        let verified = plugrank(&["bundle", "verify"]).arg(bundle.path()).output().unwrap();
        for output in [verified, Site::refused_with(bundle.path())] {
            let told = stderr(&output);
            assert!(!output.status.success(), "{told}");
            assert!(told.contains(file) && told.contains("byte order mark"), "{told}");
        }
    }
}

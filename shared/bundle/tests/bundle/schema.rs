//! The JSON Schema says what the code reads.

use jsonschema::Validator;
use plugrank_bundle::{GraphName, InputSource};
use serde_json::{Value, json};

use crate::bundle_copy::BundleCopy;

fn schema() -> Validator {
    let text = include_str!("../../manifest.schema.json");
    let schema: Value = serde_json::from_str(text).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn the_small_manifest_conforms() {
    let manifest = BundleCopy::new().manifest();
    let errors: Vec<_> = schema().iter_errors(&manifest).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn the_typed_manifest_conforms() {
    let copy = BundleCopy::from("typed");
    let written = serde_json::to_value(copy.open().unwrap().manifest()).unwrap();
    for manifest in [copy.manifest(), written] {
        let errors: Vec<_> =
            schema().iter_errors(&manifest).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[test]
fn written_manifests_conform_to_the_schema() {
    let manifest = BundleCopy::new().open().unwrap().manifest().clone();
    let manifest = serde_json::to_value(manifest).unwrap();
    assert!(schema().is_valid(&manifest), "{manifest:#}");
}

#[test]
fn optional_keys_may_be_absent_for_schema_and_code() {
    let copy = BundleCopy::new().edit(|manifest| {
        let manifest = manifest.as_object_mut().unwrap();
        manifest.remove("calibration");
        manifest.remove("metrics");
    });
    assert!(schema().is_valid(&copy.manifest()));
    copy.open().unwrap();
}

#[test]
fn the_code_refuses_what_the_schema_refuses() {
    let changes: [fn(&mut Value); 19] = [
        |m| m["format"] = json!(3),
        |m| m["extra"] = json!(1),
        |m| m["name"] = json!(""),
        |m| m["time"] = json!("seconds"),
        |m| drop(m.as_object_mut().unwrap().remove("history")),
        |m| drop(m.as_object_mut().unwrap().remove("encoder_version")),
        |m| m["history"]["clicks"] = json!(10_001),
        |m| m["modal"]["text"]["max_tokens"] = json!(0),
        |m| m["modal"]["text"]["graph"] = json!("image_encoder"),
        |m| m["modal"]["image"]["mean"] = json!([0.5, 0.5]),
        |m| m["modal"]["image"]["std"] = json!([0.5, 0.5, 0]),
        |m| m["features"]["item"][0]["length"] = json!(0),
        |m| drop(m["graphs"].as_object_mut().unwrap().remove("unified")),
        |m| m["graphs"]["ranker"] = m["graphs"]["idrec"].clone(),
        |m| m["graphs"]["idrec"]["inputs"][0]["source"] = json!("history.item.item_vector"),
        |m| m["graphs"]["idrec"]["outputs"][0]["dtype"] = json!("f64"),
        |m| m["graphs"]["idrec"]["inputs"][0]["shape"][0] = json!("rows"),
        |m| m["calibration"]["unified"] = json!({ "method": "platt", "a": 0, "b": 0 }),
        |m| m["files"]["../x"] = json!({ "sha256": "0".repeat(64), "bytes": 0 }),
    ];
    let schema = schema();
    for (number, change) in changes.into_iter().enumerate() {
        let copy = BundleCopy::new().edit(change);
        assert!(!schema.is_valid(&copy.manifest()), "the schema takes change {number}");
        assert!(copy.open().is_err(), "the code takes change {number}");
    }
}

#[test]
fn the_schema_lists_every_source_of_each_graph() {
    let schema = schema();
    let manifest = BundleCopy::new().manifest();
    for graph in [
        GraphName::TextEncoder,
        GraphName::ImageEncoder,
        GraphName::ItemEncoder,
        GraphName::UserEncoder,
        GraphName::Unified,
        GraphName::Idrec,
    ] {
        for form in graph.sources() {
            let source = form.replace("NAME", "x").replace("OUTPUT", "x");
            assert!(source.parse::<InputSource>().unwrap().allowed_in(graph), "{graph}: {source}");
            let mut manifest = manifest.clone();
            manifest["graphs"][graph.as_str()]["inputs"][0]["source"] = json!(source);
            assert!(schema.is_valid(&manifest), "manifest.schema.json: {graph} has no {form}");
        }
    }
}

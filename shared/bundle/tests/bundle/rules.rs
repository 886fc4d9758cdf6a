//! Manifests that parse but are inconsistent.

use plugrank_bundle::BundleError;
use serde_json::{Value, json};

use crate::bundle_copy::BundleCopy;

/// The message with which the small bundle is refused after a change of its manifest.
fn after(change: impl FnOnce(&mut Value)) -> String {
    BundleCopy::new().edit(change).refused()
}

fn input<'a>(manifest: &'a mut Value, graph: &str, name: &str) -> &'a mut Value {
    let inputs = manifest["graphs"][graph]["inputs"].as_array_mut().unwrap();
    inputs.iter_mut().find(|input| input["name"] == name).unwrap()
}

#[test]
fn a_source_must_exist_and_be_allowed_in_its_graph() {
    for (graph, name, found) in [
        ("unified", "vector", "candidate.vector"),
        ("unified", "vector", "history.item.item_vector"),
        ("item_encoder", "modal", "text.mask"),
        ("text_encoder", "mask", "history.mask"),
    ] {
        let copy = BundleCopy::new().edit(|m| input(m, graph, name)["source"] = json!(found));
        let error = copy.open().unwrap_err();
        assert!(
            matches!(&error, BundleError::Source { graph: g, input, found: f }
                if g.as_str() == graph && input == name && f == found),
            "{error}"
        );
    }
    let message = after(|m| input(m, "text_encoder", "mask")["source"] = json!("history.mask"));
    assert_eq!(
        message,
        "manifest.json: input `mask` of text_encoder cannot come from `history.mask`; inputs of \
         text_encoder come from text.token_ids, text.mask"
    );
}

#[test]
fn an_input_has_its_sources_type_and_shape() {
    let message = after(|m| input(m, "unified", "vector")["dtype"] = json!("f32"));
    assert!(message.contains("at `graphs.unified.inputs.vector`: is f32, but"), "{message}");
    let wrong = json!(["users", "candidates", 5]);
    let message = after(|m| input(m, "unified", "vector")["shape"] = wrong);
    assert!(
        message.ends_with(
            "has the shape [users, candidates, 5], but `candidate.item.item_vector` has \
             [users, candidates, 4]"
        ),
        "{message}"
    );
    let message = after(|m| input(m, "image_encoder", "pixels")["shape"][3] = json!(6));
    assert!(message.contains("`image.pixels` has [batch, 3, 6, 5]"), "{message}");
    let message = after(|m| input(m, "unified", "mask")["shape"][1] = json!("entries"));
    assert!(message.contains("unknown dimension `entries`"), "{message}");
}

#[test]
fn a_source_must_name_an_existing_feature_or_output() {
    let brand = json!("item.feature.brand");
    let message = after(|m| input(m, "item_encoder", "categories")["source"] = brand);
    assert!(message.ends_with("there is no feature `brand`"), "{message}");
    let state = json!("user.state.nothing");
    let message = after(|m| input(m, "unified", "keys")["source"] = state);
    assert!(message.ends_with("user_encoder has no output `nothing`"), "{message}");
}

#[test]
fn required_graphs_must_be_present() {
    let gone = |graph: &'static str| {
        after(move |m| {
            m["graphs"].as_object_mut().unwrap().remove(graph);
        })
    };
    assert!(gone("user_encoder").contains("the graph `user_encoder` is missing"));
    assert!(gone("text_encoder").contains("there is no graph `text_encoder`"));
    let idrec = BundleCopy::new().edit(|m| {
        m["graphs"].as_object_mut().unwrap().remove("idrec");
        m["calibration"].as_object_mut().unwrap().remove("idrec");
    });
    idrec.open().unwrap();
    let message = after(|m| m["graphs"]["ranker"] = m["graphs"]["idrec"].clone());
    assert!(message.contains("unknown variant `ranker`"), "{message}");
}

#[test]
fn input_and_output_names_are_unique() {
    let message = after(|m| input(m, "unified", "mask")["name"] = json!("keys"));
    assert!(message.contains("at `graphs.unified.inputs`: `keys` is there twice"), "{message}");
    let twice = |m: &mut Value| {
        m["graphs"]["item_encoder"]["outputs"][1]["name"] = json!("item_vector");
    };
    assert!(after(twice).contains("`item_vector` is there twice"));
}

#[test]
fn graphs_must_have_the_required_outputs() {
    let message = after(|m| m["graphs"]["idrec"]["outputs"][0]["dtype"] = json!("f16"));
    assert!(message.contains("there must be one output, the task's logit"), "{message}");
    let message = after(|m| m["graphs"]["idrec"]["outputs"][0]["shape"] = json!(["users"]));
    assert!(message.contains("has the shape [users]; expected [users, candidates]"), "{message}");
    let message = after(|m| m["graphs"]["image_encoder"]["outputs"][0]["shape"][1] = json!(9));
    assert!(message.contains("`image_vector` is 9 wide, but `modal` says 3"), "{message}");
    let message = after(|m| m["graphs"]["item_encoder"]["outputs"][1]["dtype"] = json!("f32"));
    assert!(message.contains("candidate.item.query") || message.contains("one dtype"), "{message}");
    let message = after(|m| m["retrieval"]["item_vector"] = json!("nothing"));
    assert!(message.contains("at `retrieval.item_vector`: item_encoder has no output `nothing`"));
}

#[test]
fn a_record_has_one_dtype() {
    let message = after(|m| {
        m["graphs"]["item_encoder"]["outputs"][1]["dtype"] = json!("f32");
        input(m, "unified", "query")["dtype"] = json!("f32");
    });
    assert!(message.contains("all outputs must have one dtype"), "{message}");
}

#[test]
fn sizes_must_add_up_and_stay_in_range() {
    let message = after(|m| m["modal"]["dim"] = json!(8));
    assert!(message.contains("at `modal.dim`: is 8, but its parts add up to 7"), "{message}");
    let message = after(|m| m["modal"]["text"]["dim"] = json!(u64::MAX));
    assert!(message.contains("at `modal.text.dim`: must be 1 to 65536"), "{message}");
    let message = after(|m| m["history"]["clicks"] = json!(u64::MAX));
    assert!(message.contains("at `history.clicks`: is above 10000"), "{message}");
    let none = json!({ "clicks": 0, "impressions": 0 });
    assert!(after(|m| m["history"] = none).contains("both 0"));
    let message = after(|m| m["features"]["item"][1]["length"] = json!(0));
    assert!(message.contains("at `features.item.categories`: `length` must be"), "{message}");
    let message = after(|m| m["modal"]["image"]["std"][1] = json!(0.0));
    assert!(message.contains("at `modal.image.std`: must be above 0"), "{message}");
}

#[test]
fn every_referenced_file_must_be_listed() {
    for (file, key) in [
        ("unified.onnx", "graphs.unified.file"),
        ("tokenizer.json", "modal.text.tokenizer"),
        ("vocab/item_id.txt", "features.item.item_id"),
        ("reference.safetensors", "reference.file"),
    ] {
        let message = after(|m| {
            m["files"].as_object_mut().unwrap().remove(file);
        });
        assert!(
            message.contains(&format!("at `{key}`: `{file}` is not listed in `files`")),
            "{message}"
        );
    }
}

#[test]
fn invalid_calibrations_are_refused() {
    let calibrated = |graph: &str, with: Value| after(|m| m["calibration"][graph] = with);
    let message = calibrated("unified", json!({ "method": "isotonic", "x": [1, 0], "y": [0, 1] }));
    assert!(message.contains("at `calibration.unified.click`: `x` must be strictly ascending"));
    let message = calibrated("item_encoder", json!({ "method": "platt", "a": 1, "b": 0 }));
    assert!(message.contains("only `unified` and `idrec` are calibrated"), "{message}");
    assert!(calibrated("unified", json!({ "method": "none" })).contains("unknown variant `none`"));
    let message = calibrated("unified", json!({ "method": "platt", "a": 1, "b": 0, "c": 2 }));
    assert!(message.contains("unknown field `c`"), "{message}");
    assert!(after(|m| m["reference"]["tolerance"] = json!(0)).contains("reference.tolerance"));
}

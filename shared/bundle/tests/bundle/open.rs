//! Files that are missing, changed or outside the folder; manifests that cannot be parsed.

use std::fs;

use plugrank_bundle::{BundleError, Dim, GraphName, InputSource};
use serde_json::json;

use crate::bundle_copy::{BundleCopy, fixture, small};

#[test]
fn the_small_bundle_opens() {
    let bundle = small();
    assert_eq!(bundle.version(), "small-1");
    let unified = bundle.graph(GraphName::Unified).unwrap();
    assert_eq!(unified.inputs[2].source, InputSource::CandidateItem("item_vector".into()));
    let named = |name: &str| Dim::Named(name.into());
    assert_eq!(unified.inputs[2].shape, [named("users"), named("candidates"), Dim::Fixed(4)]);
    assert_eq!(bundle.graph_path(GraphName::Idrec).unwrap(), fixture("small").join("idrec.onnx"));
    assert!(
        (bundle.calibration(GraphName::Unified, "click").apply(1.0) - 0.731_058_6).abs() < 1e-6
    );
    assert!((bundle.calibration(GraphName::Unified, "order").apply(0.0) - 0.5).abs() < 1e-7);
}

#[test]
fn the_item_record_is_the_item_encoders_outputs() {
    let bundle = small();
    let record = bundle.record();
    let parts: Vec<_> = record.parts.iter().map(|p| (p.name.as_str(), p.offset, p.dim)).collect();
    assert_eq!(parts, [("item_vector", 0, 4), ("query", 4, 2)]);
    assert_eq!(
        (record.dim, record.bytes(), record.vector().unwrap().name.as_str()),
        (6, 12, "item_vector")
    );
    let bytes: Vec<u8> = (0..12).collect();
    assert_eq!(record.slice(record.part("query").unwrap(), &bytes), [8, 9, 10, 11]);
}

#[test]
fn the_description_names_what_is_inside() {
    let text = small().describe();
    for part in ["small-1", "candidate.item.item_vector", "platt: a 1.5000", "vocab/item_id.txt"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let copy = BundleCopy::new();
    fs::remove_file(copy.path("unified.onnx")).unwrap();
    assert!(matches!(copy.open(), Err(BundleError::Missing { .. })));
    let message = copy.refused();
    assert!(message.contains("unified.onnx is missing from the bundle"), "{message}");
}

#[test]
fn a_missing_manifest_or_folder_is_named() {
    let copy = BundleCopy::new();
    fs::remove_file(copy.path("manifest.json")).unwrap();
    assert!(copy.refused().contains("manifest.json is missing from the bundle"));
    let error = plugrank_bundle::Bundle::open(&copy.path("nowhere")).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn a_cut_off_file_is_named_with_both_sizes() {
    let copy = BundleCopy::new();
    fs::write(copy.path("idrec.onnx"), b"short").unwrap();
    assert!(matches!(copy.open(), Err(BundleError::Size { .. })));
    let message = copy.refused();
    let whole = fs::metadata(fixture("small/idrec.onnx")).unwrap().len();
    assert!(message.starts_with(&format!("idrec.onnx has 5 bytes and not {whole}")), "{message}");
}

#[test]
fn a_changed_file_is_named_with_both_checksums() {
    let copy = BundleCopy::new();
    let mut content = fs::read(copy.path("idrec.onnx")).unwrap();
    let last = content.len() - 1;
    content[last] ^= 1;
    fs::write(copy.path("idrec.onnx"), &content).unwrap();
    assert!(matches!(copy.open(), Err(BundleError::Checksum { .. })));
    let message = copy.refused();
    assert!(message.starts_with("the SHA-256 of idrec.onnx is "), "{message}");
}

#[test]
fn files_outside_the_folder_are_refused() {
    for name in ["../secret.txt", "/etc/hostname", "vocab/../../secret.txt", ""] {
        let entry = json!({ "sha256": "0", "bytes": 0 });
        let copy = BundleCopy::new().edit(|manifest| manifest["files"][name] = entry);
        let error = copy.open().unwrap_err();
        assert!(matches!(&error, BundleError::Outside { file } if file == name), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn links_may_stay_inside_and_not_lead_outside() {
    use std::os::unix::fs::symlink;

    let copy = BundleCopy::new();
    fs::rename(copy.path("idrec.onnx"), copy.path("real.onnx")).unwrap();
    symlink("real.onnx", copy.path("idrec.onnx")).unwrap();
    copy.open().unwrap();
    fs::remove_file(copy.path("idrec.onnx")).unwrap();
    symlink(fixture("small/idrec.onnx"), copy.path("idrec.onnx")).unwrap();
    assert!(matches!(copy.open(), Err(BundleError::Outside { file }) if file == "idrec.onnx"));
}

#[test]
fn an_unsupported_format_version_is_refused() {
    let copy = BundleCopy::new().edit(|manifest| manifest["format"] = json!(3));
    let message = copy.refused();
    assert_eq!(
        message,
        "manifest.json has format 3; this version of Plugrank reads formats 1 to 2"
    );
    let copy = BundleCopy::new().edit(|manifest| manifest["format"] = json!("one"));
    assert!(copy.refused().contains("at `format`"));
}

#[test]
fn an_unknown_key_is_named_with_its_path() {
    let copy = BundleCopy::new().edit(|manifest| manifest["modal"]["text"]["stem"] = json!(true));
    let message = copy.refused();
    assert!(message.contains("at `modal.text.stem`: unknown field `stem`"), "{message}");
    let copy = BundleCopy::new().edit(|manifest| manifest["history"]["clicks"] = json!(-1));
    assert!(copy.refused().contains("at `history.clicks`"));
}

#[test]
fn a_manifest_that_is_not_json_is_refused() {
    let copy = BundleCopy::new();
    fs::write(copy.path("manifest.json"), "{ \"format\": 1,").unwrap();
    assert!(copy.refused().starts_with("manifest.json, at `.`: EOF"));
    fs::write(copy.path("manifest.json"), "[]").unwrap();
    assert!(copy.refused().starts_with("manifest.json, at `format`"));
}

/// `unified.onnx` with one more weight that lies in `location`. Protobuf messages that follow each
/// other are one, so the weight is appended to the graph.
fn with_external_weight(location: &str) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        [&[number << 3 | 2, length], content].concat()
    };
    let entry = [field(1, b"location"), field(2, location.as_bytes())].concat();
    let tensor = [field(13, &entry), vec![14 << 3, 1]].concat();
    let model = field(7, &field(5, &tensor));
    [fs::read(fixture("small").join("unified.onnx")).unwrap(), model].concat()
}

#[test]
fn weights_in_a_file_that_is_not_listed_are_refused() {
    let copy = BundleCopy::new().write("unified.onnx", &with_external_weight("w.bin"));
    fs::write(copy.path("w.bin"), b"weights").unwrap();
    let message = copy.refused();
    assert!(
        message.starts_with("unified.onnx: keeps weights in `w.bin`, which manifest.json does not"),
        "{message}"
    );
    assert!(copy.write("w.bin", b"weights").open().is_ok());
    let outside = BundleCopy::new().write("unified.onnx", &with_external_weight("../w.bin"));
    assert!(outside.refused().contains("`../w.bin`"));
}

#[test]
fn a_byte_order_mark_is_named() {
    let copy = BundleCopy::new();
    let manifest = fs::read_to_string(copy.path("manifest.json")).unwrap();
    fs::write(copy.path("manifest.json"), format!("\u{feff}{manifest}")).unwrap();
    assert_eq!(
        copy.refused(),
        "manifest.json: begins with a byte order mark; save it as UTF-8 without one"
    );
}

//! `plugrank bundle verify` and `inspect`.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use super::{
    bundle_copy::{copy_of_bundle, edit_manifest, list},
    site::{plugrank, repository, stderr},
};

fn verify(bundle: &Path) -> Output {
    plugrank(&["bundle", "verify"]).arg(bundle).output().unwrap()
}

fn refused(bundle: &Path) -> String {
    let output = verify(bundle);
    assert!(!output.status.success(), "a broken bundle was accepted");
    stderr(&output)
}

/// Changes bytes in the middle of a graph, where its weights are.
fn change_weight(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 64] {
        *byte = byte.wrapping_add(1);
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_shipped_bundle_is_verified() {
    let output = verify(&repository("models/simshop/bundle"));
    assert!(output.status.success(), "{}", stderr(&output));
    let output =
        plugrank(&["bundle", "inspect"]).arg(repository("models/simshop/bundle")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for graph in ["item_encoder", "user_encoder", "unified", "idrec"] {
        assert!(text.contains(graph), "{text}");
    }
}

#[test]
fn each_defect_has_its_own_message() {
    let changed = copy_of_bundle();
    change_weight(&changed.path().join("unified.onnx"));
    let changed = refused(changed.path());
    assert!(changed.contains("unified.onnx") && changed.contains("SHA-256"), "{changed}");

    let missing = copy_of_bundle();
    fs::remove_file(missing.path().join("user_encoder.onnx")).unwrap();
    let missing = refused(missing.path());
    assert!(missing.contains("user_encoder.onnx") && missing.contains("missing"), "{missing}");

    let shape = copy_of_bundle();
    edit_manifest(shape.path(), |manifest| {
        let height = &mut manifest["graphs"]["image_encoder"]["inputs"][0]["shape"][2];
        *height = Value::from(height.as_u64().unwrap() + 1);
        manifest["modal"]["image"]["height"] = height.clone();
    });
    let shape = refused(shape.path());
    assert!(shape.contains("image_encoder") && shape.contains("shape"), "{shape}");

    let inconsistent = copy_of_bundle();
    edit_manifest(inconsistent.path(), |manifest| {
        let width = &mut manifest["graphs"]["item_encoder"]["outputs"][0]["shape"][1];
        *width = Value::from(width.as_u64().unwrap() + 1);
    });
    let inconsistent = refused(inconsistent.path());
    assert!(
        inconsistent.contains("manifest.json") && inconsistent.contains("shape"),
        "{inconsistent}"
    );

    assert!(changed != missing && missing != shape && changed != shape);
}

#[test]
fn a_changed_weight_is_found_even_with_a_matching_checksum() {
    let bundle = copy_of_bundle();
    let graph = bundle.path().join("unified.onnx");
    // Scale the stored floats: any run of bytes that reads as ordinary weights.
    let mut bytes = fs::read(&graph).unwrap();
    let mut changed = 0;
    for chunk in bytes.chunks_exact_mut(4) {
        let value = f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        if (0.01..0.5).contains(&value.abs()) {
            chunk.copy_from_slice(&(value * 1.5).to_le_bytes());
            changed += 1;
        }
    }
    assert!(changed > 100, "only {changed} weights found");
    fs::write(&graph, &bytes).unwrap();
    list(bundle.path(), "unified.onnx");
    let message = refused(bundle.path());
    assert!(message.contains("unified"), "{message}");
    assert!(!message.contains("SHA-256"), "the checksum fits: {message}");
}

#[test]
fn verify_and_inspect_print_json() {
    let bundle = repository("models/simshop/bundle");
    let json = |arguments: &[&str]| -> Value {
        let output = plugrank(arguments).arg(&bundle).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let manifest = json(&["bundle", "inspect", "--json"]);
    let verified = json(&["bundle", "verify", "--json"]);
    assert_eq!(verified["version"], manifest["version"], "{manifest}");
    let unified = |graph: &&Value| graph["graph"] == "unified";
    let graphs = verified["graphs"].as_array().unwrap();
    assert!(graphs.iter().find(unified).unwrap()["elements"].as_u64().unwrap() > 0);
}

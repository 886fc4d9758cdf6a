//! `verify`: what it recomputes, and each way a bundle fails it.

use std::fs;

use plugrank_bundle::{Bundle, BundleError, GraphName};
use plugrank_inference::{
    InputRanges, SessionOptions, VerifyError, batcher::GraphModel, check_lookups, verify,
    verify_folder,
};

use crate::bundle_copy::{BundleCopy, fixture, library, small};

/// Moves each of the five weights by which `idrec.onnx` knows users.
fn move_user_weights(graph: &mut [u8]) {
    // Field 9 of ONNX' TensorProto is `raw_data`; here 20 bytes long.
    let starts: Vec<_> =
        graph.windows(2).enumerate().filter(|(_, bytes)| *bytes == [0x4a, 20]).collect();
    let [(start, _)] = starts[..] else { panic!("{} weights are 20 bytes long", starts.len()) };
    for weight in graph[start + 2..start + 22].chunks_exact_mut(4) {
        let value = f32::from_le_bytes(weight.try_into().unwrap());
        weight.copy_from_slice(&(value + 0.25).to_le_bytes());
    }
}

#[test]
fn the_small_bundle_is_verified() {
    let report = verify(&small(), &library(), SessionOptions::default()).unwrap();
    let names: Vec<_> = report.graphs.iter().map(|graph| graph.graph.as_str()).collect();
    assert_eq!(
        names,
        ["text_encoder", "image_encoder", "item_encoder", "user_encoder", "unified", "idrec"]
    );
    for graph in &report.graphs {
        assert!(graph.elements > 0 && graph.max_difference < 1e-6, "{graph:?}");
    }
    let (bundle, again) = verify_folder(&fixture("small"), None).unwrap();
    assert_eq!((bundle.version(), again.graphs.len()), ("small-1", 6));
}

#[test]
fn a_changed_weight_is_found_by_its_checksum() {
    let copy = BundleCopy::new().spoil("idrec.onnx", |graph| move_user_weights(graph));
    let error = copy.verify().unwrap_err();
    assert!(matches!(&error, VerifyError::Bundle(BundleError::Checksum { .. })), "{error}");
    assert!(error.to_string().starts_with("the SHA-256 of idrec.onnx is "), "{error}");
}

#[test]
fn a_changed_weight_with_its_checksum_is_found_by_the_reference_rows() {
    let copy =
        BundleCopy::new().spoil("idrec.onnx", |graph| move_user_weights(graph)).list("idrec.onnx");
    match copy.verify().unwrap_err() {
        VerifyError::Difference { graph, output, got, expected, max_difference, .. } => {
            assert_eq!((graph, output.as_str()), (GraphName::Idrec, "logit"));
            assert!((got - expected - 0.25).abs() < 1e-6, "{got} and {expected}");
            assert!((max_difference - 0.25).abs() < 1e-6);
        }
        other => panic!("{other}"),
    }
    let message = copy.refused();
    assert!(message.starts_with("idrec: output `logit`, row "), "{message}");
    assert!(message.contains("largest difference 2.500e-1, allowed 1.0e-4"), "{message}");
}

#[test]
fn a_missing_file_is_found() {
    let copy = BundleCopy::new();
    fs::remove_file(copy.path("user_encoder.onnx")).unwrap();
    let error = copy.verify().unwrap_err();
    assert!(matches!(error, VerifyError::Bundle(BundleError::Missing { .. })), "{error}");
}

#[test]
fn a_graph_of_another_shape_is_found() {
    let message = BundleCopy::new().with_wrong("wider", GraphName::ItemEncoder).refused();
    assert_eq!(
        message,
        "item_encoder: output `item_vector` has the shape [items, 6] and not [items, 4]; the \
         manifest and the graph's file do not belong together"
    );
}

#[test]
fn inputs_and_outputs_must_match_the_graph() {
    let unknown = BundleCopy::new().edit(|manifest| {
        manifest["graphs"]["idrec"]["inputs"][0]["name"] = "user".into();
    });
    assert!(unknown.refused().starts_with("idrec: the graph has no input `user`"));
    let missing = BundleCopy::new().edit(|manifest| {
        manifest["graphs"]["unified"]["inputs"].as_array_mut().unwrap().pop();
    });
    let message = missing.refused();
    assert!(message.starts_with("unified: the manifest does not name the input `recency`"));
    let dtype = BundleCopy::new().edit(|manifest| {
        manifest["graphs"]["user_encoder"]["outputs"][1]["dtype"] = "f16".into();
        manifest["graphs"]["unified"]["inputs"][1]["dtype"] = "f16".into();
    });
    let message = dtype.refused();
    assert!(message.contains("`interest` is f32 and not f16"), "{message}");
}

#[test]
fn an_invalid_graph_file_is_named() {
    let copy =
        BundleCopy::new().spoil("unified.onnx", |bytes| bytes.truncate(300)).list("unified.onnx");
    let message = copy.refused();
    assert!(message.contains("unified.onnx cannot be loaded: "), "{message}");
}

#[test]
fn reference_rows_must_be_present_and_finite() {
    let renamed = |bytes: &mut Vec<u8>| {
        let name = b"idrec/out/logit";
        let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
        bytes[at + name.len() - 1] = b'X';
    };
    let file = "reference.safetensors";
    let message = BundleCopy::new().spoil(file, renamed).list(file).refused();
    assert!(message.contains("there is no tensor `idrec/out/logit`"), "{message}");
    // The elements of f16 tensors come last.
    let spoiled = |bytes: &mut Vec<u8>| {
        let end = bytes.len();
        bytes[end - 2..].fill(0xff);
    };
    let message = BundleCopy::new().spoil(file, spoiled).list(file).refused();
    assert!(message.contains("holds values that are no finite numbers"), "{message}");
    let message = BundleCopy::new().spoil(file, |bytes| bytes.truncate(99)).list(file).refused();
    assert!(message.starts_with("reference.safetensors: "), "{message}");
}

#[test]
fn a_graph_that_mixes_rows_is_refused() {
    let idrec = GraphName::Idrec;
    let message = BundleCopy::new().with_wrong("mixing", idrec).with_reference_of(idrec).refused();
    assert!(message.starts_with("idrec: output `logit`, row 0, changes by "), "{message}");
    assert!(message.contains("when it runs alone"), "{message}");
}

#[test]
fn a_graph_that_reads_padding_is_refused() {
    let user = GraphName::UserEncoder;
    let message = BundleCopy::new().with_wrong("unmasked", user).with_reference_of(user).refused();
    assert!(message.starts_with("user_encoder: output `"), "{message}");
    assert!(message.contains("when it runs with padding"), "{message}");
}

#[test]
fn a_vocabulary_longer_than_its_table_is_refused() {
    let copy = BundleCopy::new()
        .spoil("vocab/categories.txt", |values| values.extend(b"later\n"))
        .list("vocab/categories.txt");
    let message = copy.refused();
    let start = "item_encoder: id 5 of feature `categories`, whose ids go to 5, cannot be";
    assert!(message.starts_with(start), "{message}");
    assert!(message.contains("is longer than the embedding table"), "{message}");
}

#[test]
fn a_tokenizer_with_more_tokens_than_its_table_is_refused() {
    let copy = BundleCopy::new()
        .spoil("tokenizer.json", |json| {
            let text = String::from_utf8(json.clone()).unwrap();
            *json = text.replace("\"book\": 9", "\"book\": 9, \"later\": 10").into_bytes();
        })
        .list("tokenizer.json");
    let message = copy.refused();
    let start = "text_encoder: id 10 of `text.token_ids`, whose ids go to 10, cannot be looked up";
    assert!(message.starts_with(start), "{message}");
}

#[test]
fn the_largest_ids_are_checked_without_reference_rows() {
    let check = |copy: &BundleCopy, graphs: &[GraphName]| {
        let bundle = Bundle::open(&copy.path("")).unwrap();
        let features = bundle.feature_encoder().unwrap();
        check_lookups(&bundle, &features, &library(), graphs).map_err(|error| error.to_string())
    };
    let all: Vec<GraphName> = small().manifest().graphs.keys().copied().collect();
    assert_eq!(check(&BundleCopy::new(), &all), Ok(()));
    let longer =
        |file: &str| BundleCopy::new().spoil(file, |values| values.extend(b"later\n")).list(file);
    let users = longer("vocab/user_id.txt");
    let message = check(&users, &all).unwrap_err();
    assert!(message.contains("of feature `user_id`, whose ids go to"), "{message}");
    assert_eq!(check(&users, &[GraphName::ItemEncoder]), Ok(()), "it does not read users");
    let model = |copy: &BundleCopy| {
        let bundle = Bundle::open(&copy.path("")).unwrap();
        let features = bundle.feature_encoder().unwrap();
        let options = SessionOptions::default();
        let mut model = GraphModel::load(&library(), &bundle, GraphName::Idrec, options).unwrap();
        let ranges = InputRanges::new(&bundle, &features, None);
        model.check_lookups(GraphName::Idrec, &ranges).map_err(|error| error.id)
    };
    assert_eq!((model(&BundleCopy::new()), model(&users)), (Ok(()), Err(5)));
}

#[test]
fn non_finite_outputs_of_the_largest_id_are_refused() {
    let poisoned = |weight: usize| {
        BundleCopy::new().spoil("idrec.onnx", |graph| {
            let start = graph.windows(2).position(|bytes| bytes == [0x4a, 20]).unwrap() + 2;
            let place = start + 4 * weight;
            graph[place..place + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        })
    };
    // Missing, unknown, the last user. Where the reference rows have one, the difference tells.
    let refused: Vec<String> =
        [0, 1, 4].map(|weight| poisoned(weight).list("idrec.onnx").refused()).to_vec();
    assert!(refused.iter().all(|message| message.starts_with("idrec: output `logit`")));
    let told = |text: &str| refused.iter().any(|message| message.contains(text));
    assert!(told("is not finite where feature `user_id` is id"), "{refused:?}");
}

//! One graph at a time.

use std::path::Path;

use plugrank_bundle::{Dim, GraphName, TensorDtype};
use plugrank_inference::{
    InferenceError, Library, Provider, Session, SessionOptions, Slot, Tensor, TensorData,
};

use crate::bundle_copy::{fixture, library, reference, session, small};

fn ids(shape: &[usize], data: &[i64]) -> Tensor {
    Tensor { shape: shape.to_vec(), data: TensorData::I64(data.to_vec()) }
}

#[test]
fn inputs_and_outputs_are_listed_in_graph_order() {
    let session = session(GraphName::UserEncoder);
    let history = &session.inputs()[0];
    assert_eq!((history.name.as_str(), history.dtype), ("history_vector", Some(TensorDtype::F16)));
    let named = |name: &str| Dim::Named(name.to_owned());
    assert_eq!(history.shape, [named("users"), named("history"), Dim::Fixed(4)]);
    let outputs: Vec<_> = session.outputs().iter().map(|port| port.name.as_str()).collect();
    assert_eq!(outputs, ["keys", "interest"]);
    assert_eq!(session.provider(), Provider::Cpu);
}

#[test]
fn a_row_is_the_same_alone_and_in_a_batch() {
    for graph in [GraphName::Idrec, GraphName::Unified, GraphName::UserEncoder] {
        let mut session = session(graph);
        let rows = reference(&fixture("small"), graph);
        let inputs: Vec<_> =
            rows.iter().filter_map(|(name, x)| Some((name.strip_prefix("in/")?, x))).collect();
        let together = session.run(&inputs).unwrap();
        for row in 0..2 {
            let alone: Vec<_> = inputs.iter().map(|(name, x)| (*name, one(x, row))).collect();
            let alone: Vec<_> = alone.iter().map(|(name, x)| (*name, x)).collect();
            let alone = session.run(&alone).unwrap();
            assert!(!alone.is_empty() && alone.len() == together.len(), "{graph}");
            for (alone, together) in alone.iter().zip(&together) {
                let together = one(together, row);
                assert_eq!(alone.shape, together.shape);
                let pairs = alone.data.to_f64().into_iter().zip(together.data.to_f64());
                for (a, b) in pairs {
                    assert!((a - b).abs() < 1e-6, "{graph}, row {row}: {a} and {b}");
                }
            }
        }
    }
}

/// One row of a tensor.
fn one(tensor: &Tensor, row: usize) -> Tensor {
    let elements = tensor.data.len() / tensor.shape[0];
    let bytes = tensor.data.to_le_bytes();
    let width = bytes.len() / tensor.shape[0];
    let bytes = &bytes[row * width..(row + 1) * width];
    let data = TensorData::from_le_bytes(tensor.data.dtype(), bytes).unwrap();
    assert_eq!(data.len(), elements);
    let shape = [&[1], &tensor.shape[1..]].concat();
    Tensor { shape, data }
}

#[test]
fn runs_are_bitwise_reproducible() {
    let mut session = session(GraphName::Unified);
    let rows = reference(&fixture("small"), GraphName::Unified);
    let inputs: Vec<_> =
        rows.iter().filter_map(|(name, x)| Some((name.strip_prefix("in/")?, x))).collect();
    let first = session.run(&inputs).unwrap();
    for _ in 0..20 {
        assert_eq!(session.run(&inputs).unwrap(), first);
    }
}

#[test]
fn invalid_inputs_are_errors_and_the_session_stays_usable() {
    let mut session = session(GraphName::Idrec);
    let (users, items) = (ids(&[1], &[2]), ids(&[1, 3], &[2, 3, 4]));
    let short = ids(&[1, 4], &[2, 3, 4]);
    let error = session.run(&[("user_id", &users), ("item_id", &short)]).unwrap_err();
    assert_eq!(error.to_string(), "input `item_id`: the shape [1, 4] does not hold 3 elements");
    let flat = ids(&[3], &[2, 3, 4]);
    let error = session.run(&[("user_id", &users), ("item_id", &flat)]).unwrap_err();
    assert!(error.to_string().contains("item_id"), "{error}");
    let floats = Tensor { shape: vec![1, 3], data: TensorData::F32(vec![0.0; 3]) };
    let error = session.run(&[("user_id", &users), ("item_id", &floats)]).unwrap_err();
    assert_eq!(error.to_string(), "input `item_id` is f32, but the graph reads i64");
    let error = session.run(&[("user_id", &users)]).unwrap_err();
    assert!(matches!(error, InferenceError::Run(_)), "{error}");
    let error = session.run(&[("user_id", &users), ("items", &items)]).unwrap_err();
    assert!(error.to_string().contains("items"), "{error}");
    let outside = ids(&[1, 3], &[2, 3, 99]);
    let error = session.run(&[("user_id", &users), ("item_id", &outside)]).unwrap_err();
    assert!(matches!(error, InferenceError::Run(_)), "{error}");
    let outputs = session.run(&[("user_id", &users), ("item_id", &items)]).unwrap();
    assert_eq!(outputs[0].shape, [1, 3]);
}

#[test]
fn no_rows_are_no_outputs() {
    let mut session = session(GraphName::Idrec);
    let outputs = session.run(&[("user_id", &ids(&[0], &[])), ("item_id", &ids(&[0, 3], &[]))]);
    assert_eq!(outputs.unwrap()[0].shape, [0, 3]);
}

#[test]
fn an_unavailable_provider_is_an_error_or_falls_back_with_a_notice() {
    let path = small().graph_path(GraphName::Idrec).unwrap();
    let absent =
        SessionOptions { provider: Provider::Cuda, device: 999, ..SessionOptions::default() };
    let error = Session::load(&library(), &path, absent).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("the execution provider `cuda` cannot be used"), "{message}");
    let replaced = SessionOptions { fallback: true, ..absent };
    let mut session = Session::load(&library(), &path, replaced).unwrap();
    assert_eq!(session.provider(), Provider::Cpu);
    session.run(&[("user_id", &ids(&[1], &[2])), ("item_id", &ids(&[1, 1], &[2]))]).unwrap();
}

#[test]
fn a_file_that_is_no_graph_is_named() {
    let options = SessionOptions { fallback: true, ..SessionOptions::default() };
    for file in ["small/manifest.json", "small/nowhere.onnx"] {
        let path = fixture(file);
        let message = Session::load(&library(), &path, options).unwrap_err().to_string();
        assert!(message.contains(file) && message.contains("cannot be loaded"), "{message}");
    }
}

#[test]
fn the_library_is_loaded_once() {
    library();
    // Whatever is named later, the process keeps what it has.
    Library::load(Some(Path::new("/nowhere/libonnxruntime.so"))).unwrap();
}

#[test]
fn prepared_inputs_keep_the_order_they_were_given_in() {
    let mut session = session(GraphName::Unified);
    let rows = reference(&fixture("small"), GraphName::Unified);
    let inputs: Vec<_> =
        rows.iter().filter_map(|(name, x)| Some((name.strip_prefix("in/")?, x))).collect();
    let expected = session.run(&inputs).unwrap();
    for turn in 0..inputs.len() {
        let mut inputs = inputs.clone();
        inputs.rotate_left(turn);
        let slot = |name, x: &&'_ Tensor| (name, x.data.dtype(), x.shape.clone());
        let shapes: Vec<_> = inputs.iter().map(|(name, x)| slot(*name, x)).collect();
        let slots: Vec<_> =
            shapes.iter().map(|(name, dtype, shape)| Slot { name, dtype: *dtype, shape }).collect();
        let output = Slot { name: "logit", dtype: TensorDtype::F32, shape: &expected[0].shape };
        let mut prepared = session.prepare(&slots, &[output]).unwrap();
        for _ in 0..2 {
            for (block, (_, x)) in prepared.inputs().unwrap().iter_mut().zip(&inputs) {
                block.set(&x.data).unwrap();
            }
            let outputs = session.run_prepared(&prepared).unwrap();
            assert_eq!(outputs.get(0).unwrap(), expected[0].data.block());
            assert!(outputs.get(1).is_err());
        }
    }
}

#[test]
fn slots_that_do_not_match_the_graph_are_refused() {
    let session = session(GraphName::Idrec);
    let user = Slot { name: "user_id", dtype: TensorDtype::I64, shape: &[1] };
    let item = Slot { name: "item_id", dtype: TensorDtype::I64, shape: &[1, 3] };
    let logit = Slot { name: "logit", dtype: TensorDtype::F32, shape: &[1, 3] };
    let refused = |inputs: &[Slot<'_>], outputs: &[Slot<'_>]| {
        session.prepare(inputs, outputs).unwrap_err().to_string()
    };
    assert!(refused(&[user], &[logit]).contains("input `item_id` is missing"));
    let floats = Slot { dtype: TensorDtype::F32, ..item };
    assert_eq!(
        refused(&[user, floats], &[logit]),
        "input `item_id` is f32, but the graph reads i64"
    );
    let other = Slot { name: "items", ..item };
    assert!(refused(&[user, item, other], &[logit]).contains("no input `items`"));
    let other = Slot { name: "logits", ..logit };
    assert!(refused(&[user, item], &[other]).contains("no output `logits`"));
}

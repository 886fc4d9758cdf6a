//! Tensors of callers: values that a graph cannot compute with are refused.

use plugrank_bundle::{Dim, GraphName};
use plugrank_contract::{
    CallError, Context, ErrorCode, NamedTensor, TensorDtype,
    scoring::{Infer, Inferred, ModelKind},
};
use plugrank_transport::Service;

use crate::fixture::Fixture;

/// Every input of the unified graph for one user, two candidates and one history entry: zeros.
fn zeros(fixture: &Fixture) -> Vec<NamedTensor> {
    let graph = fixture.bundle.graph(GraphName::Unified).unwrap();
    let length = |dim: &Dim| match dim {
        Dim::Fixed(length) => *length,
        Dim::Named(name) if name == "candidates" => 2,
        Dim::Named(_) => 1,
    };
    let tensor = |input: &plugrank_bundle::manifest::InputSpec| {
        let shape: Vec<usize> = input.shape.iter().map(length).collect();
        let bytes = shape.iter().product::<usize>() * input.dtype.size();
        NamedTensor { name: input.name.clone(), dtype: input.dtype, shape, data: vec![0; bytes] }
    };
    graph.inputs.iter().map(tensor).collect()
}

async fn infer(fixture: &Fixture, inputs: Vec<NamedTensor>) -> Result<Inferred, CallError> {
    let call = Infer { model: ModelKind::Unified, inputs };
    Service::<Infer>::call(&*fixture.scoring, Context::background(), call).await
}

#[tokio::test]
async fn ids_out_of_range_and_non_finite_numbers_are_refused() {
    let fixture = Fixture::new().await;
    let inferred = infer(&fixture, zeros(&fixture)).await.unwrap();
    assert_eq!(inferred.outputs[0].shape, [1, 2]);
    let (mut ids, mut numbers) = (0, 0);
    for place in 0..zeros(&fixture).len() {
        let good = zeros(&fixture);
        let NamedTensor { name, dtype, data, .. } = &good[place];
        let values: &[&[u8]] = match dtype {
            TensorDtype::I64 => {
                ids += 1;
                &[&9_999_999_i64.to_le_bytes(), &(-1_i64).to_le_bytes(), &i64::MAX.to_le_bytes()]
            }
            TensorDtype::F32 => {
                numbers += 1;
                &[&f32::NAN.to_le_bytes(), &f32::INFINITY.to_le_bytes()]
            }
            TensorDtype::F16 => &[&[0x00, 0x7c], &[0x00, 0x7e]],
        };
        for value in values {
            let mut inputs = good.clone();
            let last = data.len() - value.len();
            inputs[place].data[last..].copy_from_slice(value);
            let refused = infer(&fixture, inputs).await.unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidArgument, "{refused}");
            assert!(refused.message.starts_with(&format!("input `{name}` is ")), "{refused}");
        }
    }
    assert!(ids > 0 && numbers > 0, "{ids} inputs of ids, {numbers} of numbers");
}
